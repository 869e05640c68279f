package warn

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/verdict"
)

const gib = int64(1) << 30

func diskWarner(t *testing.T) *Warner {
	t.Helper()
	w, err := New(Options{Rules: Default(), Run: func(id string) (Run, bool) { return Run{Name: id, Start: time.Unix(1000, 0)}, true },
		Facts: func(id string, at time.Time) *verdict.Facts {
			if id == HostID {
				return &verdict.Facts{Time: at}
			}
			return &verdict.Facts{Time: at, Container: &incident.Container{ID: id, Name: id}}
		}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// onRoot is a reading of the engine's disk.
func onRoot(size, free int64, fill ...incident.DiskFill) *incident.Disk {
	return &incident.Disk{ID: "disk:1", Path: "/var/lib/docker/overlay2/ab", Size: size, Free: free, Inodes: 1 << 20, InodesFree: 1 << 19, Fill: fill,
		Uses: []incident.DiskUse{{Container: "db", Name: "db", Mount: "/", Kind: "layer"}, {Container: "web", Name: "web", Mount: "/", Kind: "layer"}}}
}

func TestDiskRoom(t *testing.T) {
	for _, tt := range []struct {
		name       string
		size, free int64
		want       bool
	}{
		{"nearly full", 80 * gib, 3 * gib, true},
		{"a tenth of much is enough", 2000 * gib, 100 * gib, false},
		{"half", 80 * gib, 40 * gib, false},
		{"full", 80 * gib, 0, true},
	} {
		w := diskWarner(t)
		var got []Alert
		for i := range 6 {
			got = append(got, w.Disk(onRoot(tt.size, tt.free), time.Unix(int64(2000+10*i), 0))...)
		}
		if (len(got) == 1) != tt.want {
			t.Errorf("%s: %d alerts", tt.name, len(got))
		}
		if len(w.Looks()) != 0 {
			t.Errorf("%s: a disk is a container in top", tt.name)
		}
	}
}

// A disk that fills steadily is warned of with the time that is left; once it is known
// what fills it, that is told too, and a death for want of room names both.
func TestDiskFillsAndKills(t *testing.T) {
	w := diskWarner(t)
	at := func(i int) time.Time { return time.Unix(int64(2000+10*i), 0) }
	var first *incident.Incident
	i := 0
	for ; first == nil && i < 200; i++ {
		for _, a := range w.Disk(onRoot(80*gib, 40*gib-int64(i)*gib/4), at(i)) {
			first = a.Incident
		}
	}
	if first == nil {
		t.Fatal("no warning")
	}
	left := float64(40*gib-int64(i-1)*gib/4) / (float64(gib) / 40)
	if said := *first.Warning.TimeToLimit; said < 0.8*left || said > 1.2*left {
		t.Errorf("foretold %.0f s, want %.0f: %s", said, left, first.Summary)
	}
	if !strings.HasPrefix(first.Summary, "the engine's disk (/var/lib/docker) is full in about") || first.Container != nil || first.Cause != incident.LimitDisk {
		t.Errorf("%s %+v", first.Summary, first.Container)
	}
	grows := 2 * gib
	fill := []incident.DiskFill{{Kind: "log", Name: "web", Container: "web", Bytes: 30 * gib, PerHour: &grows, Unbounded: true}, {Kind: "images", Bytes: 5 * gib, Prunable: 3 * gib, N: 12}}
	more := w.Disk(onRoot(80*gib, 10*gib, fill...), at(i))
	if len(more) != 1 || !more[0].Update || more[0].Quiet {
		t.Fatalf("%+v", more)
	}
	said := more[0].Incident.Evidence[len(more[0].Incident.Evidence)-2].Text
	if said != "the log of web: 30 GiB, growing 2 GiB/h, json-file without max-size" {
		t.Errorf("%q", said)
	}
	if a := more[0].Incident.Advice; len(a) < 2 || a[len(a)-1] != "docker image prune -a removes the images that no container uses, and frees about 3 GiB." {
		t.Errorf("%q", a)
	}
	if again := w.Disk(onRoot(80*gib, 9*gib, fill...), at(i+1)); len(again) != 0 {
		t.Errorf("told again: %+v", again)
	}
	// What the engine counts is known later than a log, and may be larger.
	fill = append([]incident.DiskFill{{Kind: "volumes", Bytes: 35 * gib, Prunable: 35 * gib, N: 2}}, fill...)
	later := w.Disk(onRoot(80*gib, 9*gib, fill...), at(i+1))
	if len(later) != 1 || !later[0].Update || len(later[0].Incident.Evidence) != len(more[0].Incident.Evidence)+1 {
		t.Fatalf("%+v", later)
	}
	if inc := later[0].Incident; inc.Evidence[len(inc.Evidence)-3].Text != "2 volumes that no container uses: 35 GiB" || !strings.Contains(inc.Advice[len(inc.Advice)-1], "docker volume ls") {
		t.Errorf("%+v %q", inc.Evidence, inc.Advice)
	}
	if again := w.Disk(onRoot(80*gib, 9*gib, fill...), at(i+1)); len(again) != 0 {
		t.Errorf("told again: %+v", again)
	}
	death := &incident.Incident{ID: "d", Kind: incident.KindDeath, Cause: incident.LimitDisk, Time: at(i + 2), Severity: incident.Critical, Container: &incident.Container{ID: "db"}}
	w.Died(death)
	if len(death.Related) != 1 || death.Related[0] != first.ID || len(death.Evidence) != 3 {
		t.Errorf("related to %v, evidence %+v", death.Related, death.Evidence)
	}
}

// What frees room is said in the words of the engine whose disk it is.
func TestDiskTools(t *testing.T) {
	images := incident.DiskFill{Kind: "images", Bytes: 5 * gib, Prunable: 3 * gib, N: 12}
	node := &incident.Disk{ID: "disk:3", Path: "/var/log/pods/shop_web_1/main", Size: 80 * gib, Free: gib, Fill: []incident.DiskFill{images}, Tool: "crictl",
		Uses: []incident.DiskUse{{Container: "0123456789abcdef", Name: "main", Mount: "/", Kind: "layer"}}}
	alone := *node
	alone.Uses, alone.Fill, alone.Path = []incident.DiskUse{{Container: "0123456789abcdef", Name: "main", Mount: "/data", Kind: "volume"}}, nil, "/var/lib/kubelet/pods/1/volumes/kubernetes.io~empty-dir/data"
	podman := onRoot(80*gib, gib, images)
	podman.Tool, podman.Path = "podman", "/var/lib/containers/storage/overlay/ab"
	for _, tt := range []struct {
		disk    *incident.Disk
		summary string
		advice  []string
	}{
		{node, "the node's disk (/var/log/pods) has 1 GiB of its 80 GiB free", []string{"crictl stats -a", "crictl rmi --prune removes the images that no container uses, and frees up to 3 GiB."}},
		{&alone, "the volume at /data of main has 1 GiB", []string{"crictl exec 0123456789ab du -a /data"}},
		{podman, "the engine's disk (/var/lib/containers/storage) has 1 GiB", []string{"podman system df -v", "podman image prune -a removes"}},
	} {
		var got []Alert
		w := diskWarner(t)
		for i := range 6 {
			got = append(got, w.Disk(tt.disk, time.Unix(int64(2000+10*i), 0))...)
		}
		if len(got) == 0 {
			t.Fatalf("%s: no warning", tt.disk.Path)
		}
		inc := got[0].Incident
		advice := strings.Join(inc.Advice, " ")
		if !strings.HasPrefix(inc.Summary, tt.summary) || strings.Contains(advice, "docker ") {
			t.Errorf("%s %q", inc.Summary, inc.Advice)
		}
		for _, want := range tt.advice {
			if !strings.Contains(advice, want) {
				t.Errorf("no %q in %q", want, inc.Advice)
			}
		}
	}
}

func TestInodesAndTmpfs(t *testing.T) {
	w := diskWarner(t)
	d := &incident.Disk{ID: "disk:2", Path: "/data", Size: 8 << 20, Free: 7 << 20, Inodes: 200, InodesFree: 10,
		Uses: []incident.DiskUse{{Container: "db", Name: "db\n", Mount: "/data", Kind: "tmpfs"}}}
	got := w.Disk(d, time.Unix(2000, 0))
	if len(got) != 1 || got[0].Incident.Summary != "/data of db\\n (tmpfs) has 10 of its 200 inodes free: many small files use them up, not bytes (7 MiB free)" {
		t.Fatalf("%+v", got)
	}
	if c := got[0].Incident.Container; c == nil || c.ID != "db" {
		t.Errorf("%+v", c)
	}
}

func TestLogGrowth(t *testing.T) {
	for _, tt := range []struct {
		name string
		log  incident.LogFile
		want bool
	}{
		{"fast", incident.LogFile{Bytes: 50 << 20, PerHour: 2 * gib, Unbounded: true, Free: 10 * gib}, true},
		{"bounded", incident.LogFile{Bytes: 50 << 20, PerHour: 2 * gib}, false},
		{"small yet", incident.LogFile{Bytes: 10 << 20, PerHour: 2 * gib, Unbounded: true}, false},
		{"slow", incident.LogFile{Bytes: 50 * gib, PerHour: gib / 4, Unbounded: true}, false},
	} {
		w := diskWarner(t)
		tt.log.Container = "web"
		got := w.Log(&tt.log, time.Unix(2000, 0))
		if (len(got) == 1) != tt.want {
			t.Errorf("%s: %+v", tt.name, got)
		}
		if tt.want && !strings.Contains(got[0].Incident.Summary, "full in about 5 h") {
			t.Errorf("%s", got[0].Incident.Summary)
		}
	}
}
