package doctor

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/oomwatch/oomwatch/internal/inside"
	"github.com/oomwatch/oomwatch/watcher/kubelet"
)

// checkKubelet says whether the kubelet tells why pods end. Where no runtime of Kubernetes
// is followed nothing is said.
func checkKubelet(runtimes []Finding) []Finding {
	if len(runtimes) == 0 {
		return nil
	}
	if _, err := os.Stat(kubelet.DefaultSocket); err != nil {
		return []Finding{{Capability: "kubelet", State: OK, Found: fmt.Sprintf("no Pods API at %s: it is on by default from Kubernetes 1.37 on", kubelet.DefaultSocket),
			Invisible: "that a pod was deleted or its deadline has passed; of evictions what the journal has",
			Fix:       inHand(inside.Pod(), "from 1.37 on give the pod a read-only hostPath volume of the node's "+filepath.Dir(kubelet.DefaultSocket)+", at the same path", "")}}
	}
	return []Finding{{Capability: "kubelet", State: OK, Found: "its Pods API is there, " + kubelet.DefaultSocket + ": evictions, deletions and deadlines of pods are known"}}
}
