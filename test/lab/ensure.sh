#!/bin/sh
# Installs what the lab needs on Debian or Ubuntu: for a private Docker engine
# dockerd, containerd, runc, iptables and a static busybox; to receive alerts an
# Alertmanager and rsyslog, to read metrics Prometheus, which only run while a test does. Does nothing where
# all of it is there; says what is missing where it cannot install.
set -eu

missing() {
	out=
	command -v dockerd >/dev/null 2>&1 || out="$out docker.io"
	command -v docker >/dev/null 2>&1 || out="$out docker.io"
	command -v containerd >/dev/null 2>&1 || out="$out containerd"
	command -v runc >/dev/null 2>&1 || out="$out runc"
	command -v iptables >/dev/null 2>&1 || out="$out iptables"
	command -v busybox >/dev/null 2>&1 || out="$out busybox-static"
	command -v prometheus-alertmanager >/dev/null 2>&1 || out="$out prometheus-alertmanager"
	command -v promtool >/dev/null 2>&1 || out="$out prometheus"
	command -v rsyslogd >/dev/null 2>&1 || out="$out rsyslog"
	# It reads the unit that is shipped; it is not started.
	command -v systemd-analyze >/dev/null 2>&1 || out="$out systemd"
	echo "$out"
}

PATH="$PATH:/usr/sbin:/sbin"
need=$(missing)
[ -n "$need" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "lab: missing:$need; run as root, or install them: sudo apt-get install --no-install-recommends$need" >&2
	exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
	echo "lab: missing:$need; this script knows only apt-get: install them with your package manager" >&2
	exit 1
fi

# From Debian 13 on the docker command is a package of its own.
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
extra=
if ! command -v docker >/dev/null 2>&1 && apt-cache show docker-cli >/dev/null 2>&1; then
	extra=docker-cli
fi
# policy-rc.d keeps apt from starting an engine of its own: the lab starts its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
fi
# shellcheck disable=SC2086 # a list of package names
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends $need $extra >/dev/null
# Nor are they to start at the next boot.
for unit in prometheus prometheus-alertmanager rsyslog; do
	case " $need " in
	*" $unit "*) systemctl disable -q "$unit.service" 2>/dev/null || true ;;
	esac
done

need=$(missing)
if [ -n "$need" ]; then
	echo "lab: still missing after the install:$need" >&2
	exit 1
fi
