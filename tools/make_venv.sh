#!/bin/sh
# A virtual environment: make_venv.sh PYTHON FOLDER. Debian and Ubuntu keep what it takes in a package of its own.
set -u
cd "$(dirname "$0")/.." || exit 1
python=$1 folder=$2

command -v "$python" >/dev/null 2>&1 || {
    echo "There is no $python. Install Python 3.11 or later, or name yours: make PYTHON=python3.12 ..." >&2
    exit 1
}
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "$python is Python $version; 3.11 or later is needed. Name one: make PYTHON=python3.12 ..." >&2
    exit 1
}
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    package="python$version-venv"
    tools/apt_install.sh "$package"
    case $? in
    0) ;;
    2)
        echo "$python lacks what makes virtual environments. Install it: sudo apt-get install $package" >&2
        exit 1
        ;;
    *) exit 1 ;;
    esac
fi
exec "$python" -m venv "$folder"
