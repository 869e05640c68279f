package audit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/incident"
)

// quiet is a container that breaks no rule.
func quiet() Container {
	mem, swap, n := int64(512<<20), int64(1<<30), 0
	return Container{
		Container: incident.Container{ID: strings.Repeat("ab", 32), Name: "web", Image: "shop/web:1.4", Runtime: "docker", MemoryLimit: &mem, SwapLimit: &swap, RestartCount: &n},
		Owner:     Owner{OwnerRun, "web"}, PidsLimit: 100, HasHealth: true, LogDriver: "json-file", LogOptions: map[string]string{"max-size": "10m"},
		ReadonlyRoot: true, User: "1000", SecurityOpts: []string{"no-new-privileges"}, ParentLimit: -1, OpenFiles: -1, Held: -1,
	}
}

func host() Host {
	return Host{Time: time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC), Memory: 8 << 30, Swap: 0}
}

func broken(t *testing.T, h Host, c Container) []string {
	t.Helper()
	var out []string
	for _, f := range Judge(&Facts{Containers: []Container{c}, Host: h}, nil).Findings {
		out = append(out, f.Rule)
	}
	return out
}

func TestKeptHistory(t *testing.T) {
	day := 24 * time.Hour
	for _, tt := range []struct {
		name string
		kept Kept
		want []string
	}{
		{"holds its limit", Kept{Span: 2 * day, HeldP99: 500 << 20}, []string{"memory.limit_too_small"}},
		{"holds less", Kept{Span: 2 * day, HeldP99: 400 << 20}, nil},
		{"holds it for minutes", Kept{Span: 10 * time.Minute, HeldP99: 500 << 20}, nil},
		{"holds a tenth of a tenth", Kept{Span: 8 * day, HeldP99: 40 << 20}, []string{"memory.limit_too_large"}},
		{"holds little for a day", Kept{Span: day, HeldP99: 40 << 20}, nil},
		{"was never read", Kept{Span: 8 * day}, nil},
		{"stops too slowly", Kept{Span: 8 * day, HeldP99: 200 << 20, StopTimeouts: 3}, []string{"stop.grace_too_short"}},
		{"once", Kept{Span: 8 * day, HeldP99: 200 << 20, StopTimeouts: 1}, nil},
	} {
		c := quiet()
		c.Kept = &tt.kept
		if diff := cmp.Diff(tt.want, broken(t, host(), c)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
	}
}

func TestHeapSettings(t *testing.T) {
	for _, tt := range []struct {
		in   []HeapSetting
		want bool
	}{
		{HeapInCommand([]string{"java", "-Xmx512m", "-jar", "a.jar"}), true},
		{HeapInCommand([]string{"java", "-Xmx511m"}), false},
		{HeapInCommand([]string{"sh", "-c", "exec java -Xms1g -Xmx2G -jar a.jar"}), true},
		{HeapInCommand([]string{"java", "-XX:MaxHeapSize=1073741824"}), true},
		{HeapInCommand([]string{"java", "-XX:MaxRAMPercentage=95.0"}), true},
		{HeapInCommand([]string{"java", "-XX:MaxRAMPercentage=75"}), false},
		{HeapInCommand([]string{"node", "--max-old-space-size=4096", "a.js"}), true},
		{HeapInCommand([]string{"node", "--max_old_space_size", "384", "a.js"}), false},
		{HeapInCommand([]string{"node", "--max-old-space-size", "2048", "a.js"}), true},
		{HeapInVariable("NODE_OPTIONS", "--enable-source-maps --max-old-space-size=600"), true},
		{HeapInVariable("GOMEMLIMIT", "1GiB"), true},
		{HeapInVariable("GOMEMLIMIT", "450MiB"), false},
		{HeapInVariable("GOMEMLIMIT", "536870912"), true},
		{HeapInVariable("GOMEMLIMIT", "off"), false},
		{HeapInVariable("KAFKA_HEAP_OPTS", "-Xmx1G -Xms1G"), true},
		{HeapInVariable("MESSAGE", "-Xmx1G"), false},
		{HeapInCommand([]string{"java", "-Xmx99999999999999999999g"}), false},
		{HeapInCommand([]string{"grep", "--Xmx1g", "x-Xmx1g"}), false},
	} {
		c := quiet()
		c.Heap = tt.in
		got := slices.Contains(broken(t, host(), c), "memory.heap_above_limit")
		if got != tt.want {
			t.Errorf("%+v: found %v, want %v", tt.in, got, tt.want)
		}
	}
}

// TestFixIsInTheOwnersForm holds one finding in each form a container can be defined in.
func TestFixIsInTheOwnersForm(t *testing.T) {
	for _, tt := range []struct {
		owner Owner
		want  string
	}{
		{Owner{OwnerCompose, "web"}, "In the compose file, service web: set mem_limit: 80m; then docker compose up -d."},
		{Owner{OwnerPod, "app"}, "In the pod's template, container app: set resources.limits.memory: 80Mi, and apply it."},
		{Owner{OwnerSwarm, "shop_web"}, "docker service update --limit-memory 80m shop_web"},
		{Owner{OwnerQuadlet, "web.service"}, "In the unit web.service: PodmanArgs=--memory 80m, then systemctl daemon-reload and restart it."},
		{Owner{OwnerRun, "web"}, "docker update --memory 80m --memory-swap 160m web works at once; add --memory 80m to the docker run that starts it."},
	} {
		c := quiet()
		c.MemoryLimit, c.SwapLimit, c.Owner, c.Held = nil, nil, tt.owner, 60<<20
		found := Judge(&Facts{Containers: []Container{c}, Host: host()}, nil).Findings
		if len(found) != 1 || !strings.HasPrefix(found[0].Fix, tt.want+" That leaves") {
			t.Errorf("%s: %+v, want %q", tt.owner.Kind, found, tt.want)
		}
	}
}

// TestNothingDoubtfulOfPods looks that what an engine alone defines is not asked of a pod.
func TestNothingDoubtfulOfPods(t *testing.T) {
	c := quiet()
	c.Owner, c.HasHealth, c.LogOptions, c.RestartName, c.Image = Owner{OwnerPod, "app"}, false, nil, "always", "app"
	if got := broken(t, host(), c); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}

func TestExclusions(t *testing.T) {
	c := quiet()
	c.MemoryLimit, c.ReadonlyRoot, c.User = nil, false, ""
	for _, tt := range []struct {
		label   string
		exclude []Exclusion
		want    []string
		notes   int
	}{
		{"", nil, []string{"memory.no_limit", "sec.writable_root", "sec.root_user"}, 0},
		{"sec.root_user, memory.no_limit", nil, []string{"sec.writable_root"}, 0},
		{"sec.*", nil, []string{"memory.no_limit"}, 0},
		{"sec.root", nil, []string{"memory.no_limit", "sec.writable_root", "sec.root_user"}, 1},
		{"", []Exclusion{{Rule: "sec.*"}}, []string{"memory.no_limit"}, 0},
		{"", []Exclusion{{Rule: "*", Containers: []string{"w?b"}}}, nil, 0},
		{"", []Exclusion{{Rule: "*", Containers: []string{"db"}}}, []string{"memory.no_limit", "sec.writable_root", "sec.root_user"}, 0},
	} {
		c.Labels = map[string]string{Label: tt.label}
		r := Judge(&Facts{Containers: []Container{c}, Host: host()}, tt.exclude)
		var got []string
		for _, f := range r.Findings {
			got = append(got, f.Rule)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || len(r.Notes) != tt.notes || len(got)+r.Excluded != 3 {
			t.Errorf("%q %v: %d notes, %d left out, -want +got:\n%s", tt.label, tt.exclude, len(r.Notes), r.Excluded, diff)
		}
	}
}

func TestHostileNames(t *testing.T) {
	c := quiet()
	c.Name, c.Image, c.MemoryLimit = "x\x1b[31m\nwarning  forged", "a\nb", nil
	c.SecretNames, c.Binds = []string{"KEY\x1b[2J"}, []Bind{{Source: "/etc\n", Destination: "/x", Writable: true}}
	c.Owner = Owner{OwnerRun, c.Name}
	for _, f := range Judge(&Facts{Containers: []Container{c}, Host: host()}, nil).Findings {
		if strings.ContainsAny(f.Evidence+f.Fix+f.LeadsTo, "\x1b\n") {
			t.Errorf("%q %q", f.Evidence, f.Fix)
		}
	}
}

func TestRulesAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rules {
		if seen[r.id] || r.title == "" || r.leadsTo == "" || r.severity == "" || (r.of == nil) == (r.ofHost == nil) {
			t.Errorf("%+v", r)
		}
		seen[r.id] = true
	}
}

func TestOnly(t *testing.T) {
	a, b := quiet(), quiet()
	b.ID, b.Name, b.Compose = strings.Repeat("cd", 32), "shop-db-1", &incident.Compose{Project: "shop", Service: "db"}
	a.User, b.User = "", ""
	for name, want := range map[string]int{"web": 1, "db": 1, "shop/db": 1, "cdcdcdcd": 1, "nobody": 0} {
		r := Judge(&Facts{Containers: []Container{a, b}, Host: host()}, nil)
		unknown := r.Only([]string{name})
		if len(r.Findings) != want || len(unknown) != 1-want {
			t.Errorf("%s: %d findings, unknown %v", name, len(r.Findings), unknown)
		}
	}
}
