package gather

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/audit"
)

// defaults are what every container breaks that docker run makes without flags.
var defaults = []string{"memory.no_limit", "pids.no_limit", "health.none", "log.unbounded", "sec.writable_root", "sec.new_privileges"}

// TestOrdinaryImages holds 23 images' own settings, run without flags, to what is true of
// them: no secret, no shell, no heap is seen where there is none.
func TestOrdinaryImages(t *testing.T) {
	f, err := Files(t.Context(), []string{"../../watcher/docker/testdata/ordinary.json"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Containers) < 20 {
		t.Fatalf("%d images", len(f.Containers))
	}
	got := map[string][]string{}
	for _, x := range audit.Judge(f, nil).Findings {
		got[x.Container.Name] = append(got[x.Container.Name], x.Rule)
	}
	for _, c := range f.Containers {
		want := slices.Clone(defaults)
		if c.User == "" {
			want = append(want, "sec.root_user")
		}
		if len(c.AnonymousVolumes) > 0 {
			want = append(want, "volume.anonymous")
		}
		slices.Sort(want)
		slices.Sort(got[c.Name])
		if diff := cmp.Diff(want, got[c.Name]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.Name, diff)
		}
	}
}

func TestFilesThatAreNone(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"no json":                 "line 1 is no container",
		`[{"Id": "x"}]`:           "no Id or no State",
		"[{\n\"Id\": 4}]":         "no Id or no State",
		`[{"Id":"a","State":{}},`: "ends in the middle",
	} {
		_, err := Files(t.Context(), []string{"-"}, strings.NewReader(in))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
	for _, name := range []string{"/no/such/file", "/dev/zero", t.TempDir()} {
		if _, err := Files(t.Context(), []string{name}, nil); err == nil {
			t.Errorf("%s is read", name)
		}
	}
}

// TestJoin looks that an engine whose API is open is named where another runs the containers.
func TestJoin(t *testing.T) {
	all := &audit.Facts{Notes: []string{"an engine does not answer"}}
	join(all, &audit.Facts{Host: audit.Host{Memory: 1, OpenAPI: []string{"open"}}})
	join(all, &audit.Facts{Host: audit.Host{Memory: 2}, Containers: make([]audit.Container, 2)})
	join(all, &audit.Facts{Host: audit.Host{Memory: 3, OpenAPI: []string{"too"}}, Containers: make([]audit.Container, 1), Notes: []string{"more"}})
	want := audit.Host{Memory: 2, OpenAPI: []string{"open", "too"}}
	if diff := cmp.Diff(want, all.Host); diff != "" || len(all.Containers) != 3 || len(all.Notes) != 2 {
		t.Errorf("%d containers, notes %q, -want +got:\n%s", len(all.Containers), all.Notes, diff)
	}
}
