#!/bin/bash
# Runs in a virtual machine (see ./capture): causes real OOM kills and other
# deaths, one scene after the other, and leaves in $OUT what each reader of the
# kernel log showed of each, as SCENE-READER.log, and in truth.txt who really was
# killed where.
#   SCENES   which scenes, in order (each is a function scene_NAME below)
#   ALL      scenes to be kept as every reader shows them; the others are kept
#            raw and as one more reader shows them, another one each time
#   TURN     which reader that is for the first of them (0)
#   HOST     set on a machine that others use as well: leave its log as it is, and
#            use only readers that need no daemon (./capture host)
. ./lib.sh

# Readers of the kernel log: name and command. Each shows what was logged since
# the last forget.
declare -A reader=(
	[kmsg]='raw_kmsg'
	[dmesg]='shown dmesg'
	[dmesg-t]='shown dmesg -t'
	[dmesg-T]='shown dmesg -T'
	[dmesg-x]='shown dmesg -x'
	[dmesg-xT]='shown dmesg -x -T'
	[dmesg-S]='shown dmesg -S'
	[dmesg-r]='shown dmesg -r'
	[dmesg-d]='shown dmesg -d'
	[dmesg-e]='shown dmesg --reltime --nopager --color=never'
	[dmesg-J]='dmesg -J'
	[dmesg-iso]='shown dmesg --time-format iso'
	[dmesg-color]='shown dmesg --color=always'
	[journal-short]='journal short'
	[journal-iso]='journal short-iso'
	[journal-precise]='journal short-precise'
	[journal-iso-precise]='journal short-iso-precise'
	[journal-full]='journal short-full'
	[journal-monotonic]='journal short-monotonic'
	[journal-unix]='journal short-unix'
	[journal-export]='journal export'
	[journal-json]='journal json --all'
	[journal-verbose]='journal verbose'
	[journal-cat]='journal cat'
	[rsyslog]='since /tmp/rsyslog-traditional'
	[rsyslog-iso]='since /tmp/rsyslog-file'
	[rsyslog-5424]='since /tmp/rsyslog-5424'
)
if [ -n "${HOST-}" ]; then
	for r in "${!reader[@]}"; do
		case $r in dmesg-J | journal-* | rsyslog*) unset "reader[$r]" ;; esac
	done
	others=(dmesg dmesg-T dmesg-x dmesg-S dmesg-iso)
else
	others=(dmesg journal-short dmesg-T rsyslog dmesg-x journal-iso dmesg-iso journal-json rsyslog-iso dmesg-J journal-export)
fi

# On a machine of our own dmesg is made to forget; else the last lines it
# prints, as many as the raw records have, are the new ones.
shown() {
	if [ -n "${HOST-}" ]; then
		"$@" | tail -n "$(raw_kmsg | awk '!/^ / { n += 1 + gsub(/\\x0a/, "") } END { print n + 0 }')"
	else
		"$@"
	fi
}
raw_kmsg() {
	# One read, one record; the end of the ring is an error to dd.
	dd if=/dev/kmsg iflag=nonblock bs=8192 2>/dev/null |
		awk -F '[,;]' -v after="$seq" '/^ / { if (keep) print; next } { keep = $2 > after } keep'
}
last_seq() {
	dd if=/dev/kmsg iflag=nonblock bs=8192 2>/dev/null | awk -F '[,;]' '!/^ / { n = $2 } END { print n + 0 }'
}
journal() { journalctl -k --no-pager --after-cursor="$cursor" -o "$@"; }
since() { tail -c "+$((${size[$1]:-0} + 1))" "$1"; }

# forget makes the readers begin here.
forget() {
	seq=$(last_seq)
	[ -z "${HOST-}" ] || return 0
	dmesg -C
	cursor=$(journalctl -k -n 1 --show-cursor --no-pager -q | sed -n 's/^-- cursor: //p')
	for f in /tmp/rsyslog-*; do size[$f]=$(stat -c %s "$f"); done
}
declare -A size

keep() { # keep SCENE READER
	{ ${reader[$2]} | excerpt "$1" "$2"; } >"$OUT/$1-$2.log" 2>"$scratch/err" || {
		echo "$1: $2: $(head -n 1 "$scratch/err")"
		rm -f "$OUT/$1-$2.log"
	}
}

# excerpt SCENE READER passes on the part that is to be kept.
excerpt() {
	case $1 in
	no_killable) # the same report over and over: two of them, from a beginning
		awk '/invoked oom-killer/ { on = 1 } on { print } on && /no killable/ && ++n == 2 { exit }'
		;;
	*) cat ;;
	esac
}

# truth WORD [PID PATH] TEXT: what really happened. The words: "killed", a process
# that the kernel killed and the end of its cgroup's path; "forged", a pid that a
# program's record names; "fault", a process that another record is about;
# "note". Tabs between the fields, one line.
truth() {
	local line=$scene field
	for field; do line+=$'\t'${field//[$'\n\t']/?}; done
	printf '%s\n' "$line" >>"$OUT/truth.txt"
}

# in_cgroup DIR COMMAND...: run COMMAND in the cgroup, tell its pid in $pid.
in_cgroup() {
	local dir=$1
	shift
	(
		echo 0 >"$dir/cgroup.procs"
		exec "$@"
	) >/dev/null 2>&1 &
	pid=$!
}
# die_in DIR COMMAND...: the same, and wait for its end; tells the truth of it.
die_in() {
	in_cgroup "$@"
	wait $pid 2>/dev/null
	local status=$?
	[ $status -ne 137 ] || truth killed $pid "$(path_of "$1")" "${*:2}"
	[ $status -eq 137 ] || truth note "pid $pid ended with status $status: ${*:2}"
}
path_of() { local p=${1#/sys/fs/cgroup}; echo "${p#/memory}"; }

# engine_kill ENGINE OPTIONS... -- COMMAND...: a container whose process dies of COMMAND.
engine_kill() {
	local engine=$1 opts=()
	shift
	while [ "$1" != -- ]; do opts+=("$1"); shift; done
	shift
	id=$($engine run -d --net none "${opts[@]}" lab/busybox:1 sh -c "sleep 2; exec $*") || return
	pid=$($engine inspect -f '{{.State.Pid}}' "$id")
	wait_for 150 test ! -d "/proc/$pid"
	wait_for 20 sh -c "$engine inspect -f '{{.State.Status}}' $id | grep -q exited"
	local path=/$id
	[ "$engine" = docker ] || path=/libpod-$id
	truth killed "$pid" "$path" "$*"
	truth note "$engine says: $($engine inspect -f 'exit code {{.State.ExitCode}}, OOMKilled {{.State.OOMKilled}}' "$id")"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
eater() { cp "$(command -v tail)" "$scratch/$1" && echo "$scratch/$1"; }

scene_own_limit() { die_in "$(cgroup own-limit 24M)" tail /dev/zero; }
scene_docker_limit() { engine_kill docker -m 32m -- tail /dev/zero; }
scene_podman_limit() { engine_kill podman -m 32m -- tail /dev/zero; }
scene_shmem() { engine_kill docker -m 32m --shm-size 64m -- dd if=/dev/zero of=/dev/shm/x bs=1M; }
scene_parent_limit() {
	local dir
	dir=$(cgroup compose-parent 48M)
	[ -d /sys/fs/cgroup/memory ] || echo +memory >"$dir/cgroup.subtree_control"
	docker run -d --rm --name quiet --net none --cgroup-parent /compose-parent lab/busybox:1 sleep 100 >/dev/null
	engine_kill docker --cgroup-parent /compose-parent -m 1g -- tail /dev/zero
	docker rm -f quiet >/dev/null
}
scene_group() {
	local dir id
	id=$(docker run -d --net none -m 32m lab/busybox:1 sh -c 'sleep 300 & sleep 301 & sleep 3; tail /dev/zero')
	dir=/sys/fs/cgroup/docker/$id
	echo 1 >"$dir/memory.oom.group"
	local p cmd
	for p in $(cat "$dir/cgroup.procs"); do
		cmd=$(tr '\0' ' ' <"/proc/$p/cmdline")
		# That one has ended when the shell turns into tail and eats.
		[ "$cmd" = 'sleep 3 ' ] || truth killed "$p" "/$id" "$cmd"
	done
	docker wait "$id" >/dev/null
}
# Paths of other runtimes, made by hand: to the kernel a path is a path.
scene_kubepods() {
	local pod=kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f3c6a2e_51d4_4c1b_9a55_7d2b8f0c4e11.slice
	local id=5b1f0c9d7e3a42688d0e9f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e
	local root=/sys/fs/cgroup
	[ -d $root/memory ] && root=$root/memory
	mkdir -p "$root/$pod/cri-containerd-$id.scope"
	if [ "$root" = /sys/fs/cgroup ]; then
		local p=$root
		for part in ${pod//\// }; do echo +memory >$p/cgroup.subtree_control; p=$p/$part; done
		echo +memory >$p/cgroup.subtree_control
		echo 24M >"$root/$pod/memory.max"
	else
		echo 24M >"$root/$pod/memory.limit_in_bytes"
	fi
	die_in "$root/$pod/cri-containerd-$id.scope" tail /dev/zero
}
scene_docker_path() { # what a docker container is to the kernel, where no engine runs
	die_in "$(cgroup docker/9c4b8a7f6e5d4c3b2a190807f6e5d4c3b2a1908f7e6d5c4b3a29180706f5e4d3 24M)" tail /dev/zero
}
scene_hostile_comm() {
	local dir
	dir=$(cgroup hostile 24M)
	die_in "$dir" "$(eater 'x) total-vm:1kB')" /dev/zero
	die_in "$dir" "$(eater 'a,pid=1,uid=0')" /dev/zero
	die_in "$dir" "$(eater $'evil\nKilled pr')" /dev/zero
	die_in "$dir" "$(eater $'\e[31m日本')" /dev/zero
}
scene_hostile_cgroup() {
	die_in "$(cgroup 'x,task_memcg=,docker,aaaa,task=nginx,pid=1,uid=0' 24M)" tail /dev/zero
	die_in "$(cgroup ' a are going to be killed due to memory.oom.group set' 24M)" tail /dev/zero
}
scene_forged() {
	echo '<3>Memory cgroup out of memory: Killed process 1 (init) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0' >/dev/kmsg
	echo 'kernel: Out of memory: Killed process 2 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0' >/dev/kmsg
	truth forged 1 / 'written into /dev/kmsg by a program'
	truth forged 2 / 'written into /dev/kmsg by a program'
	die_in "$(cgroup forged 24M)" tail /dev/zero
}
scene_limit_lowered() {
	local dir
	dir=$(cgroup lowered 64M)
	in_cgroup "$dir" dd if=/dev/zero of=/dev/null bs=40M
	sleep 3
	truth killed $pid /lowered 'dd, that holds 40M, when the limit goes to 8M'
	echo 8M >"$dir/memory.max"
	wait $pid 2>/dev/null
}
scene_no_killable() {
	local dir
	dir=$(cgroup no-killable 16M)
	(
		echo -1000 >/proc/$BASHPID/oom_score_adj
		echo 0 >"$dir/cgroup.procs"
		exec tail /dev/zero
	) >/dev/null 2>&1 &
	pid=$!
	# It asks for memory again and again, each time with a report.
	wait_for 20 sh -c 'dmesg | grep -q "no killable"'
	kill -9 $pid
	wait $pid 2>/dev/null
	truth note "pid $pid has oom_score_adj -1000: the kernel kills nobody"
}
scene_storm() {
	local dir
	dir=$(cgroup storm 8M)
	for _ in $(seq 14); do die_in "$dir" tail /dev/zero; done
}
scene_pids() {
	id=$(docker run -d --net none --pids-limit 4 lab/busybox:1 sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 2 & done; wait')
	docker wait "$id" >/dev/null
	truth fault 0 "/$id" 'could not fork'
}
scene_segfault() {
	cp "$(command -v perl)" "$scratch/seg"
	"$scratch/seg" -e 'print unpack("p", pack("Q", 8))' &
	pid=$!
	wait $pid
	truth fault $pid '' 'read address 8'
}
scene_cpuset() {
	local dir
	dir=$(cgroup one-node '')
	[ -e "$dir/cpuset.mems" ] || dir=/sys/fs/cgroup/cpuset/one-node
	mkdir -p "$dir"
	[ ! -e "$dir/cpuset.cpus" ] || echo 0 >"$dir/cpuset.cpus"
	echo 1 >"$dir/cpuset.mems"
	die_in "$dir" tail /dev/zero
}
scene_mempolicy() {
	# set_mempolicy(MPOL_BIND, node 1), then eat.
	perl -e 'my $mask = pack("Q", 2); syscall(238, 2, $mask, 64) == 0 or die $!; exec "tail", "/dev/zero"' &
	pid=$!
	wait $pid
	truth killed $pid / 'tail, bound to memory node 1'
}
scene_host() { engine_kill docker -- tail /dev/zero; }
scene_host_shell() { tail /dev/zero & pid=$!; wait $pid; truth killed $pid / 'tail, without a limit'; }
scene_sysrq() {
	dd if=/dev/zero of=/dev/null bs=300M &
	pid=$!
	sleep 3
	truth killed $pid / 'dd, the largest by far'
	echo f >/proc/sysrq-trigger
	wait $pid
}
scene_panic() {
	sync
	echo 1 >/proc/sys/vm/panic_on_oom
	tail /dev/zero
}

case $SCENES in
*docker_limit* | *parent_limit* | *group* | *host\ * | *shmem* | *pids*)
	[ -n "${DOCKER_HOST-}" ] || start_docker || exit
	docker_image || exit
	;;
esac
case $SCENES in *podman*) podman_image || exit ;; esac
if [ -z "${HOST-}" ]; then
	start_journald
	start_rsyslog /tmp/rsyslog-traditional '*.* /tmp/rsyslog-traditional;RSYSLOG_TraditionalFileFormat
*.* /tmp/rsyslog-file;RSYSLOG_FileFormat
*.* /tmp/rsyslog-5424;RSYSLOG_SyslogProtocol23Format'
fi
uname -r >"$OUT/release"
turn=${TURN:-0}
for scene in $SCENES; do
	forget
	"scene_$scene" || echo "$scene: status $?"
	sleep 3 # the readers that follow, and the OOM reaper, are a little behind
	keep "$scene" kmsg
	case " $ALL " in
	*" $scene "*) for r in "${!reader[@]}"; do keep "$scene" "$r"; done ;;
	*)
		r=${others[turn % ${#others[@]}]}
		[ "$scene" != no_killable ] || r=dmesg-xT # one line, one record
		keep "$scene" "$r"
		turn=$((turn + 1))
		;;
	esac
done
cat "$OUT/truth.txt"
