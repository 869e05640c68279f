#!/bin/bash
# Runs in a virtual machine (see ./lab): the end-to-end tests of test/e2e on what
# this machine is, next to the binaries that they need. What was told of each death
# is left in $OUT/matrix, what the tests said in $OUT/PART.log.
#   PART   one of ./lab's
#   TESTS  which tests, a regular expression
#   LIMIT  give up after so many seconds, with what the tests were at
. ./lib.sh
export OOMWATCH_BINARY=$PWD/oomwatch OOMWATCH_LAB_PROG=$PWD/prog OOMWATCH_MATRIX=$OUT/matrix
export OOMWATCH_UNIT=$PWD/oomwatch.service
export OOMWATCH_REQUIRE_REAL=1 # what cannot be tried here is a failure
# Emulated, and more slowly the more else runs beside it: a quiet machine of two
# cores boots in 4 s.
read -r booted _ </proc/uptime
booted=${booted%.*}
export OOMWATCH_SLOW=$((booted < 4 ? 4 : booted > 10 ? 10 : booted))

# An engine looks into its own cgroup for what the kernel has, as swap limits, and
# the root has no such files.
mkdir /sys/fs/cgroup/lab
echo +memory +pids +cpuset >/sys/fs/cgroup/cgroup.subtree_control
[[ $PART == *systemd ]] || echo $$ >/sys/fs/cgroup/lab/cgroup.procs

case $PART in # the rest start an engine of their own
host) # one for all of its tests: to start it takes longer than most of them
	start_docker || exit
	export OOMWATCH_ENGINE=unix:///run/docker.sock
	;;
podman)
	start_podman || exit
	export OOMWATCH_ENGINE=unix:///run/podman/podman.sock
	;;
warnings) # what is read from a tmpfs is no page cache that could be reclaimed
	export TMPDIR=/disk
	;;
pods-systemd) # as a kubelet with the systemd driver
	export OOMWATCH_PODS_SYSTEMD=1
	;;
systemd)
	# Docker as Debian starts it: a unit, with systemd as its cgroup driver.
	start_docker_unit || exit
	export OOMWATCH_ENGINE=unix:///run/docker.sock
	;;
esac
# The tests' names and the lines of the matrix as they come; all of it in the log.
./e2e.test -test.v -test.parallel "$(nproc)" -test.timeout "${LIMIT}s" -test.run "$TESTS" 2>&1 | tee "$OUT/$PART.log" |
	grep --line-buffered -E '^ *--- |MATRIX|panic:' | grep --line-buffered -v '^=== '
exit "${PIPESTATUS[0]}"
