package warn

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// look hands a Warner one daily look at a service.
func (b *bench) look(l incident.Leak, all bool) []Alert {
	b.now = b.now.Add(24 * time.Hour)
	found := []incident.Leak{l}
	if l.Service == "" {
		found = nil
	}
	out := b.w.Leaks(&incident.Leaks{Found: found, All: all}, b.now)
	return append(out, b.w.Due(b.now)...)
}

func leakOf(sure incident.Confidence) incident.Leak {
	return incident.Leak{Service: "shop/web", Container: web, Confidence: sure, Rate: 40 * mib / 86400.0, Limit: 256 * mib,
		Reasons: []string{"grew 40 MiB/d for 5 d"}, Advice: "Look for a leak.", SecondsToLimit: new(3 * 86400.0), SecondsError: new(86400.0 / 2)}
}

// TestLeakIsOneWarning: it begins when a leak is likely, never when it is possible, is
// told once, and is over when a later look finds none.
func TestLeakIsOneWarning(t *testing.T) {
	b := newBench(t, Default(), nil)
	if got := b.look(leakOf(incident.Possible), true); len(got) > 0 {
		t.Fatalf("warned of what is possible: %+v", got[0].Incident)
	}
	got := b.look(leakOf(incident.Likely), true)
	if len(got) != 1 || got[0].Update || got[0].Quiet {
		t.Fatalf("a likely leak: %+v", got)
	}
	inc := got[0].Incident
	if inc.Kind != incident.KindWarning || inc.Warning.What != "leak" || inc.Cause != incident.OOMContainer || inc.Confidence != incident.Likely || inc.Container.ID != web {
		t.Errorf("%+v", inc)
	}
	if want := "shop/web leaks memory: it grows by 1.7 MiB/h and reaches its 256 MiB limit in about 3 d (± 12 h)"; inc.Summary != want {
		t.Errorf("summary %q, want %q", inc.Summary, want)
	}
	if inc.Warning.Rate == nil || inc.Warning.TimeToLimit == nil || *inc.Warning.TimeToLimit != 3*86400 {
		t.Errorf("facts %+v", inc.Warning)
	}
	for _, sure := range []incident.Confidence{incident.Likely, incident.Possible, incident.Likely} {
		if got := b.look(leakOf(sure), true); len(got) > 0 {
			t.Errorf("told again while it lasts: %+v", got)
		}
	}
	// Its container is made anew, and does not run at the moment of a look.
	b.w.opt.Run = func(string) (Run, bool) { return Run{}, false }
	if got := b.look(leakOf(incident.Likely), true); len(got) > 0 {
		t.Errorf("over because it does not run just now: %+v", got)
	}
	kept, _, err := b.w.State()
	if err != nil {
		t.Fatal(err)
	}
	next := newBench(t, Default(), kept)
	next.now = b.now
	if got := next.look(leakOf(incident.Likely), true); len(got) > 0 {
		t.Errorf("told again after a restart: %+v", got)
	}
	// A look at another service alone says nothing of it.
	if got := next.look(incident.Leak{Service: "shop/other"}, false); len(got) > 0 {
		t.Errorf("over by a look at another: %+v", got)
	}
	got = next.look(leakOf(""), true)
	if len(got) != 1 || !got[0].Update || got[0].Incident.ID != inc.ID || got[0].Incident.ResolvedAt.IsZero() {
		t.Fatalf("its end: %+v", got)
	}
	if got := next.look(leakOf(""), true); len(got) > 0 {
		t.Errorf("ended twice: %+v", got)
	}
}

// TestLeakEnds: it is over, too, when the service is no more, and not warned of where
// nobody wants to be.
func TestLeakEnds(t *testing.T) {
	b := newBench(t, Default(), nil)
	first := b.look(leakOf(incident.Likely), true)
	if got := b.look(incident.Leak{}, true); len(first) != 1 || len(got) != 1 || got[0].Incident.ResolvedAt.IsZero() {
		t.Errorf("%d alerts, then %d", len(first), len(got))
	}
	off := Default()
	off.Leaks = false
	if got := newBench(t, off, nil).look(leakOf(incident.Likely), true); len(got) > 0 {
		t.Error("warned although it is turned off")
	}
	silent := newBench(t, Default(), nil)
	silent.silent = true
	if got := silent.look(leakOf(incident.Likely), true); len(got) > 0 {
		t.Error("warned of a silent container")
	}
}

// TestDeathNamesTheLeak: the death that a leak leads to is linked to its warning.
func TestDeathNamesTheLeak(t *testing.T) {
	b := newBench(t, Default(), nil)
	warned := b.look(leakOf(incident.Likely), true)
	b.now = b.now.Add(time.Hour)
	death := &incident.Incident{ID: "d", Kind: incident.KindDeath, Cause: incident.OOMContainer, Time: b.now, Severity: incident.Critical,
		Container: &incident.Container{ID: "another", Name: "shop-web-1", Compose: &incident.Compose{Project: "shop", Service: "web"}}}
	for _, a := range b.w.Died(death) {
		if a.Incident.Warning.What == Leak {
			t.Error("the leak ended with one death")
		}
	}
	if strings.Join(death.Related, " ") != warned[0].Incident.ID {
		t.Errorf("related %q, want %q", death.Related, warned[0].Incident.ID)
	}
}
