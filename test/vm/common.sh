# Functions that build and run share; sourced, needs $here.

say() { printf 'vm: %s\n' "$*" >&2; }
die() {
	printf 'vm: %s\n' "$*" >&2
	exit 125
}

# cache_dir prints where images are kept.
cache_dir() { printf '%s\n' "${OOMWATCH_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/oomwatch/vm}"; }

# suite_line SUITE prints the suite's kernel release and userland release.
suite_line() {
	awk -v s="$1" '!/^#/ && $1 == s { print $2, $3; found = 1 } END { exit !found }' "$here/suites" ||
		die "no suite \"$1\"; there are: $(awk '!/^#/ && NF { printf "%s ", $1 }' "$here/suites")"
}

# userland_packages RELEASE prints the packages of the root file system, with commas.
userland_packages() {
	local p=docker.io,containerd,runc,iptables,kmod,procps,podman,crun,iproute2,ca-certificates
	p=$p,systemd,systemd-oomd,rsyslog,earlyoom,busybox-static,util-linux-extra
	# Until trixie the docker command was part of docker.io.
	[ "$1" = bookworm ] || p=$p,docker-cli
	printf '%s\n' "$p"
}

# recipe SUITE prints what an image depends on: when it changes, it is built anew.
recipe() {
	local u
	u=$(suite_line "$1")
	printf '%s %s %s\n' "$u" "$(userland_packages "${u#* }")" "$(cat "$here/init" "$here/build" | cksum | cut -d' ' -f1)"
}

# apt_mirror prints the Debian mirror that this machine's apt uses.
apt_mirror() {
	local m
	m=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
		awk '$1 == "Debian" && $2 !~ /-(security|updates|backports)$/ { print $3; exit }')
	[ -n "$m" ] || die "apt on this machine knows no Debian mirror: run apt-get update, or build on Debian"
	printf '%s\n' "${m%/}"
}

# need_tools COMMAND:PACKAGE... makes sure that the commands are there.
need_tools() {
	local pair missing=()
	for pair; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
	done
	[ ${#missing[@]} -eq 0 ] && return
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
		say "installing ${missing[*]}"
		export DEBIAN_FRONTEND=noninteractive
		apt-get -o DPkg::Lock::Timeout=300 update -qq &&
			apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
			die "could not install ${missing[*]}"
		return
	fi
	die "missing: apt-get install ${missing[*]}"
}

# modules_in_order DIR NAME... prints the module files that must be loaded, in
# order, for the modules NAME of the tree DIR (which has a modules.dep). A
# module that is built into the kernel needs no file.
modules_in_order() {
	local dir=$1
	shift
	awk -v dir="$dir" -v want="$*" '
		function base(path) { sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path); return path }
		function load(path,   i, n, deps) {
			if (path in done) return
			done[path] = 1
			n = split(dep[path], deps, " ")
			for (i = n; i > 0; i--) load(deps[i])
			print dir "/" path
		}
		{ path = $1; sub(/:$/, "", path); $1 = ""; dep[path] = $0; file[base(path)] = path }
		END {
			n = split(want, names, " ")
			for (i = 1; i <= n; i++) if (names[i] in file) load(file[names[i]])
		}' "$dir/modules.dep"
}
