package doctor

import (
	"strings"
	"testing"
)

// TestKubelet says of a kubelet's Pods API whether it is there, where pods are followed.
func TestKubelet(t *testing.T) {
	if got := checkKubelet(nil); got != nil {
		t.Errorf("no pods are followed: %+v", got)
	}
	got := checkKubelet([]Finding{{Capability: "runtime"}})
	if len(got) != 1 || got[0].Capability != "kubelet" || got[0].State != OK || !strings.Contains(got[0].Found, "Pods API") {
		t.Errorf("%+v", got)
	}
}
