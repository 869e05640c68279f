package kubelet

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Where the node's programs listen, in its own network namespace.
const (
	apiAddress  = "127.0.0.1:6443"
	etcdAddress = "http://127.0.0.1:2379"
	nodeAddress = "192.0.2.1"
	token       = "lab"
)

// PodsLimit is how much memory the node gives to all pods together.
const PodsLimit = 600 << 20

// containerdText is containerd's configuration. It leaves out what needs more rights than a
// test machine gives: AppArmor, and an oom_score_adj below one's own.
const containerdText = `version = 2
root = "DIR/containerd"
state = "/run/containerd"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "DIR/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "IMAGE"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "BIN/cni"
    conf_dir = "DIR/network"
`

const networkText = `{"cniVersion": "0.4.0", "name": "lab", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false,
"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "dataDir": "DIR/addresses"}}]}
`

// kubeletText is the kubelet's configuration. Its settings are the defaults, but for what
// keeps it from changing the machine, and for these: memory is reserved until PodsLimit is
// left, so that pods can be evicted without filling the machine, and a crash loop's pause is
// short.
const kubeletText = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: DIR/manifests
fileCheckFrequency: 1s
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failSwapOn: false
failCgroupV1: false
makeIPTablesUtilChains: false
oomScoreAdj: 0
address: 127.0.0.1
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
volumePluginDir: DIR/plugins
resolvConf: ""
evictionHard: {memory.available: "100Mi", nodefs.available: "1Gi", nodefs.inodesFree: "0%", imagefs.available: "0%"}
evictionPressureTransitionPeriod: 1s
crashLoopBackOff: {maxContainerRestartPeriod: 2s}
nodeStatusUpdateFrequency: 4s
syncFrequency: 10s
imageGCHighThresholdPercent: 100
systemReserved: {memory: "RESERVEDKi"}
`

const kubeconfigText = `apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://API", insecure-skip-tls-verify: true}}]
users: [{name: lab, user: {token: TOKEN}}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
current-context: lab
`

const journaldText = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nRateLimitBurst=0\n"

// insideText makes the node's own view of the machine, in mount and network namespaces of
// its own: nothing of it is seen, or left, outside. The kubelet writes sysctls of the whole
// machine where they are not as it wishes, so it is shown files that say so.
const insideText = `set -e
mount --make-rshared /
mount -t tmpfs none /run
mkdir -p /run/containerd /run/systemd/journal
mount --bind DIR/view/lib /var/lib
mkdir /var/lib/kubelet
for b in log:/var/log journald.conf:/etc/systemd/journald.conf \
	overcommit:/proc/sys/vm/overcommit_memory panic:/proc/sys/kernel/panic oops:/proc/sys/kernel/panic_on_oops \
	keys:/proc/sys/kernel/keys/root_maxkeys bytes:/proc/sys/kernel/keys/root_maxbytes; do
	mount --bind "DIR/view/${b%%:*}" "${b#*:}"
done
ip link set lo up
ip link add node type veth peer name peer
ip addr add NODE/24 dev node
ip link set node up
ip link set peer up
ip route add default dev node
touch "DIR/inside"
exec sleep 1000000
`

// files are what the node's programs read, by the path below its folder.
func (n *Node) files() (map[string]string, error) {
	total, err := memTotal()
	if err != nil {
		return nil, err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("DIR", n.Dir, "BIN", n.bin, "IMAGE", Image, "API", apiAddress, "TOKEN", token, "NODE", nodeAddress,
		"RESERVED", fmt.Sprint(total-PodsLimit>>10)).Replace
	return map[string]string{
		"containerd.toml":         fill(containerdText),
		"network/10-lab.conflist": fill(networkText),
		"kubelet.yaml":            fill(kubeletText),
		"kubeconfig":              fill(kubeconfigText),
		"inside.sh":               fill(insideText),
		"tokens.csv":              token + `,admin,1,"system:masters"` + "\n",
		"accounts.key":            string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"view/journald.conf":      journaldText,
		"view/overcommit":         "1\n",
		"view/panic":              "10\n",
		"view/oops":               "1\n",
		"view/keys":               "1000000\n",
		"view/bytes":              "25000000\n",
		"view/log/.keep":          "",
		"view/lib/.keep":          "",
		"manifests/.keep":         "",
		"plugins/.keep":           "",
		"certificates/.keep":      "",
	}, nil
}

func (n *Node) write() error {
	files, err := n.files()
	if err != nil {
		return err
	}
	for name, text := range files {
		path := filepath.Join(n.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// memTotal is the machine's memory in KiB.
func memTotal() (kib int, err error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if _, err := fmt.Sscanf(string(line), "MemTotal: %d kB", &kib); err == nil {
			return kib, nil
		}
	}
	return 0, errors.New("/proc/meminfo has no MemTotal")
}
