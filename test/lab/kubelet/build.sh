#!/bin/sh
# build.sh DIR VERSION: puts into DIR what a node of Kubernetes needs beside a containerd:
# the kubelet and the API server, built from their module (ten minutes and 2.5 GB of memory
# on two cores, once), etcd and the network plugins from Debian's or Ubuntu's packages.
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd) version=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

if [ ! -x "$dir/etcd" ] || [ ! -x "$dir/cni/bridge" ]; then
	for p in etcd-server containernetworking-plugins; do
		apt-get -o APT::Sandbox::User=root download -qq "$p" >/dev/null
	done
	for deb in ./*.deb; do
		dpkg-deb -x "$deb" files
	done
	mkdir -p "$dir/cni"
	cp files/usr/lib/cni/bridge files/usr/lib/cni/host-local files/usr/lib/cni/loopback "$dir/cni/"
	cp files/usr/bin/etcd "$dir/"
fi

if [ ! -x "$dir/kubelet" ] || [ ! -x "$dir/kube-apiserver" ]; then
	# Kubernetes takes its own libraries from folders beside its module, which a module's
	# archive has not: a module of our own takes those that were released with it.
	export GOFLAGS='-mod=mod -trimpath' CGO_ENABLED=0
	source=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
	{
		echo 'module lab'
		grep -E '^(go|godebug) ' "$source/go.mod"
		echo "require k8s.io/kubernetes $version"
		sed -n 's|^[[:space:]]*\(k8s.io/[a-z-]*\) => .*|replace \1 => \1 v0.'"${version#v1.}"'|p' "$source/go.mod"
	} >go.mod
	for p in kubelet kube-apiserver; do
		nice go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$dir/$p" "k8s.io/kubernetes/cmd/$p"
	done
fi
