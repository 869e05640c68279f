#!/bin/sh
# build-crio.sh DIR VERSION: puts CRI-O into DIR, with its pinns, built from its module (ten
# minutes on two cores, once). What it needs beside them, conmon, runc and skopeo, and a
# compiler for its C, come from Debian's or Ubuntu's packages, where root may install them.
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd) version=$2

missing() {
	out=
	for p in conmon runc skopeo gcc; do
		command -v "$p" >/dev/null 2>&1 || out="$out $p"
	done
	[ -e /usr/include/stdio.h ] || out="$out libc6-dev"
	echo "$out"
}

need=$(missing)
if [ -n "$need" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	apt-get -o DPkg::Lock::Timeout=300 update -qq
	# shellcheck disable=SC2086 # a list of package names
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $need >/dev/null
	need=$(missing)
fi
if [ -n "$need" ]; then
	echo "build-crio.sh: install$need" >&2
	exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS='-mod=mod -trimpath' CGO_ENABLED=1
source=$(go mod download -json "github.com/cri-o/cri-o@$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
if [ ! -x "$dir/pinns" ]; then
	gcc -std=c99 -Os -static -o "$dir/pinns" "$source"/pinns/src/*.c
fi
if [ ! -x "$dir/crio" ]; then
	{
		echo 'module lab'
		grep '^go ' "$source/go.mod"
		echo "require github.com/cri-o/cri-o $version"
	} >go.mod
	cp "$source/go.sum" .
	# Without libseccomp, GPG and btrfs, for whose headers it would ask.
	nice go build -ldflags '-s -w' -tags 'containers_image_openpgp exclude_graphdriver_btrfs btrfs_noversion' \
		-o "$dir/crio" github.com/cri-o/cri-o/cmd/crio
fi
