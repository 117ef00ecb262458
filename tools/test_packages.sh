#!/bin/sh
# Debian packages that some tests want: installed where we may, else told with the tests that will be skipped.
set -u

missing=""
want() {  # command, package, what is skipped without it
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || {
        missing="$missing $2"
        skipped="${skipped:-}  $2: $3
"
    }
}

want nginx nginx-light "tests/e2e/test_proxies.py, the nginx example"
want caddy caddy "tests/e2e/test_proxies.py, the Caddy example"
want curl curl "tests/e2e/test_documented_commands.py, the requests of the documentation"
want openssl openssl "tests/e2e/test_proxies.py, everything with a certificate"
want systemd-analyze systemd "tests/e2e/test_proxies.py, the systemd unit"
want gcc gcc "the benchmark's slow disk"
want chromium "chromium fonts-dejavu-core" "tests/browser, the pages in a browser"

[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    # policy-rc.d keeps the packages from starting their services: the tests start their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    # shellcheck disable=SC2086 # a list of packages
    if apt-get update -qq >"$log" 2>&1 && apt-get install -y -qq --no-install-recommends $missing >>"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    echo "Could not install$missing; apt-get wrote:" >&2
    tail -n 5 "$log" >&2
    rm -f "$log"
else
    echo "Not installed (as root on Debian or Ubuntu, make test installs them):$missing" >&2
fi
printf 'Skipped without them:\n%s' "$skipped" >&2
