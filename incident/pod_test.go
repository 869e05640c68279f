package incident

import (
	"slices"
	"testing"
)

func TestOwner(t *testing.T) {
	for _, tt := range []struct {
		pod, owner string
		labels     map[string]string
	}{
		{"web-5f9c7d8b6d-x7k2z", "web", nil},
		{"shop-api-v2-7d9f", "shop-api-v2-7d9f", nil},
		{"shop-api-v2-6c5d8f7b9-zx4qp", "shop-api-v2", nil},
		{"kube-proxy-h7wfs", "kube-proxy", nil},
		{"postgres-0", "postgres", nil},
		{"postgres-replica-12", "postgres-replica", nil},
		{"backup-28934400-zx4qp", "backup", nil},
		{"etcd-node1", "etcd-node1", nil},
		{"debug", "debug", nil},
		// A name can look like a random ending: the label knows.
		{"api-67cdfbcb99-ab2d4", "api-67cdfbcb99-ab2d4", nil},
		{"api-cdfgh-56789bcdf-zx4qp", "api-cdfgh", map[string]string{"pod-template-hash": "56789bcdf"}},
		{"load-12345678-zx4qp", "load", map[string]string{"batch.kubernetes.io/job-name": "load-12345678"}},
		{"import-2", "import", map[string]string{"statefulset.kubernetes.io/pod-name": "import-2"}},
	} {
		if got := (&Pod{Name: tt.pod}).Owner(tt.labels); got != tt.owner {
			t.Errorf("%s %v: %s, want %s", tt.pod, tt.labels, got, tt.owner)
		}
	}
}

func TestPodNames(t *testing.T) {
	p := Pod{Namespace: "shop", Name: "web-0"}
	if got := p.Names("main"); !slices.Equal(got, []string{"web-0", "shop/web-0", "web-0/main", "shop/web-0/main"}) {
		t.Errorf("%q", got)
	}
	if got := (&Pod{UID: "u"}).Names("main"); got != nil {
		t.Errorf("%q", got)
	}
}

// TestFullName is what explain takes: a pod's container by all three names.
func TestFullName(t *testing.T) {
	pod := &Pod{Namespace: "shop", Name: "web-0", UID: "u"}
	for want, c := range map[string]*Container{"shop/web-0/main": {Name: "main", Pod: pod}, "web": {Name: "web"}, "main": {Name: "main", Pod: &Pod{UID: "u"}}} {
		if got := c.FullName(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
