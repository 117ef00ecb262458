#!/usr/bin/env bash
# Types and tests of the pages, and whether building them again gives the very files that are committed.
set -eu
cd "$(dirname "$0")/../web"
if ! node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null; then
    echo "skipped: the tests of web/ need node 20 or newer (the pages in the package are built already)"
    exit 0
fi
built=../src/odograph/viewer/web/build.json
before=$(cat "$built")
npm ci --ignore-scripts --no-audit --no-fund
npm run check
npm test
npm run build
if [ "$before" != "$(cat "$built")" ]; then
    echo "the pages in the package are not what web/ builds: commit what \`make web\` made"
    exit 1
fi
