#!/bin/sh
# Fetches what the browser's tests need beside Chromium: axe-core, which looks for what
# shuts people out, from npm, into bin/axe. Does nothing where it is there.
set -eu
version=4.14.1
cd "$(dirname "$0")/../.."
[ ! -e bin/axe/axe.min.js ] || exit 0
if ! command -v npm >/dev/null 2>&1; then
	echo "browser: npm is missing; without it the pages are not held against axe-core" >&2
	exit 0
fi
mkdir -p bin/axe
trap 'rm -f "bin/axe/axe-core-$version.tgz"' EXIT
npm pack --silent --pack-destination bin/axe "axe-core@$version" >/dev/null
tar -xzf "bin/axe/axe-core-$version.tgz" -C bin/axe --strip-components 1 package/axe.min.js package/LICENSE
