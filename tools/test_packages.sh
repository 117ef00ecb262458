#!/bin/sh
# Debian packages that some tests want: installed where we may, else told with the tests that will be skipped.
set -u
cd "$(dirname "$0")/.." || exit 1

missing=""
want() {  # command, package, what is skipped without it
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || {
        missing="$missing $2"
        skipped="${skipped:-}  $2: $3
"
    }
}

want curl curl "tests/e2e/test_documented_commands.py, the requests of the documentation"
want nginx nginx-light "tests/e2e/test_proxies.py, the nginx example"
want caddy caddy "tests/e2e/test_proxies.py, the Caddy example"
want openssl openssl "tests/e2e/test_proxies.py, everything with a certificate"
want systemd-analyze systemd "tests/e2e/test_proxies.py, the systemd unit"
want gcc gcc "the benchmark's slow disk"
want chromium "chromium fonts-dejavu-core" "tests/browser, the pages in a browser"

[ -n "$missing" ] || exit 0

# shellcheck disable=SC2086 # a list of packages
tools/apt_install.sh $missing
case $? in
0) exit 0 ;;
2) echo "Not installed (as root on Debian or Ubuntu, make test installs them):$missing" >&2 ;;
esac
printf 'Skipped without them:\n%s' "$skipped" >&2
