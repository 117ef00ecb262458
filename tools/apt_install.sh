#!/bin/sh
# Installs Debian packages: 0 done, 1 apt-get failed and is quoted, 2 not ours to do here (no root, or no apt-get).
set -u

[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || exit 2
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made=""
trap 'rm -f "$log" $made' EXIT
# policy-rc.d keeps the packages from starting their services: the tests start their own.
if [ ! -e "$policy" ]; then
    made=$policy
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
if apt-get update -qq >"$log" 2>&1 && apt-get install -y -qq --no-install-recommends "$@" >>"$log" 2>&1; then
    exit 0
fi
echo "Could not install $*; apt-get wrote:" >&2
tail -n 5 "$log" >&2
exit 1
