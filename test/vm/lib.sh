# Sourced by scripts that ./run runs in a virtual machine: parts of a container
# host, each started when asked for. Nothing of it is meant for a real host.

# wait_for SECONDS COMMAND...: until COMMAND is true.
wait_for() {
	local end=$(($(date +%s) + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(date +%s)" -ge $end ]; then
			echo "still not true: $*" >&2
			return 1
		fi
		sleep 0.2
	done
}

# start_docker [DOCKERD-OPTIONS...]: a Docker engine without networks.
start_docker() {
	dockerd --bridge=none --iptables=false --ip6tables=false "$@" >/tmp/dockerd.log 2>&1 </dev/null &
	wait_for 90 docker version || {
		tail -n 20 /tmp/dockerd.log >&2
		return 1
	}
}

# busybox_tar: a tar of a root file system with busybox, for an engine's import.
busybox_tar() {
	local dir
	dir=$(mktemp -d)
	mkdir -p "$dir/bin" "$dir/tmp" "$dir/dev" "$dir/proc" "$dir/sys" "$dir/etc"
	cp /bin/busybox "$dir/bin/busybox"
	for c in sh sleep cat tail dd head yes kill true false ls echo cp mkdir printf seq; do
		ln "$dir/bin/busybox" "$dir/bin/$c"
	done
	tar -C "$dir" -c .
	rm -r "$dir"
}

# docker_image: the image lab/busybox:1.
docker_image() { busybox_tar | docker import - lab/busybox:1 >/dev/null; }

# start_docker_unit: Docker as systemd starts it, without networks. Wants systemd
# as process 1.
start_docker_unit() {
	mkdir -p /etc/docker
	printf '{"bridge": "none", "iptables": false, "ip6tables": false}\n' >/etc/docker/daemon.json
	systemctl start docker.service && wait_for 90 docker version
}

# podman_conf: podman as root, without systemd and networks.
podman_conf() {
	mkdir -p /etc/containers
	printf '[containers]\nnetns = "none"\n[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' >/etc/containers/containers.conf
}

# start_podman: Podman's Docker-compatible socket, /run/podman/podman.sock.
start_podman() {
	podman_conf
	mkdir -p /run/podman
	podman system service --time=0 unix:///run/podman/podman.sock >/tmp/podman.log 2>&1 </dev/null &
	DOCKER_HOST=unix:///run/podman/podman.sock wait_for 90 docker version
}

# podman_image: the same image for podman.
podman_image() {
	podman_conf
	busybox_tar | podman import --quiet - lab/busybox:1 >/dev/null
}

# start_journald: systemd's journal by itself, in memory, reading the kernel log.
start_journald() {
	mkdir -p /run/systemd/journal /run/log/journal /etc/systemd/journald.conf.d
	printf '[Journal]\nStorage=volatile\nReadKMsg=yes\nAudit=no\nRateLimitIntervalSec=0\n' >/etc/systemd/journald.conf.d/vm.conf
	/lib/systemd/systemd-journald >/tmp/journald.log 2>&1 </dev/null &
	wait_for 20 journalctl -k -n 1 -q
}

# start_rsyslog FILE [RULES]: rsyslog that writes the kernel log to FILE, or by RULES.
start_rsyslog() {
	printf 'module(load="imklog" permitnonkernelfacility="on")\n%s\n' "${2:-*.* $1;RSYSLOG_TraditionalFileFormat}" >/etc/rsyslog-vm.conf
	rsyslogd -n -f /etc/rsyslog-vm.conf -i /run/rsyslog-vm.pid >/run/rsyslog-vm.log 2>&1 </dev/null &
	wait_for 20 test -s "$1"
}

# cgroup NAME LIMIT: a memory cgroup below the root; prints its directory.
cgroup() {
	local dir
	if [ -d /sys/fs/cgroup/memory ]; then
		dir=/sys/fs/cgroup/memory/$1
		mkdir -p "$dir"
		[ -z "${2-}" ] || echo "$2" >"$dir/memory.limit_in_bytes"
	else
		dir=/sys/fs/cgroup
		local part
		while IFS= read -r -d / part; do # the controllers are handed down, one step after the other
			echo +memory +cpuset +pids >"$dir/cgroup.subtree_control"
			dir=$dir/$part
			mkdir -p "$dir"
		done <<<"$1/"
		[ -z "${2-}" ] || echo "$2" >"$dir/memory.max"
	fi
	echo "$dir"
}
