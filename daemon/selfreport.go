package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
	"github.com/oomwatch/oomwatch/watcher"
)

const (
	// lookAtSelf is how often it looks at itself.
	lookAtSelf = 5 * time.Second
	// blindFor and downFor are how long a trouble lasts before it is reported.
	blindFor = time.Minute
	downFor  = 15 * time.Minute
	// sameAgain is how long the same event is counted before it is reported again.
	sameAgain = 10 * time.Minute
)

// trouble is one thing that is wrong with the watcher itself, while it lasts.
type trouble struct {
	what, subject string
	since         time.Time
	reported      *incident.Incident // nil until it is reported
	before        bool               // reported by an earlier run, and not tried yet; for look alone
}

// selfReports reports what is wrong with the daemon itself, as warnings of its own,
// through whatever still works. A state is reported once when it begins to matter, and
// as over when it is; an event once in a while, with its count.
type selfReports struct {
	host incident.Host
	keep func(context.Context, watcher.Kept) error
	log  *zap.Logger
	// states and down are how the sources and the receivers do.
	states func() []observe.SourceState
	down   func() map[string]string
	// unwritable is why the store is in memory; "" while it is on disk.
	unwritable func() string
	// owed says whether a receiver is still owed something of before this run.
	owed func(receiver string) bool

	mu     sync.Mutex
	open   map[string]*trouble
	events map[string]*occurrence
	seenUp map[string]bool      // sources that could be read
	unkept []correlate.Emission // what is to be kept yet
}

func newSelfReports(host incident.Host, log *zap.Logger) *selfReports {
	return &selfReports{host: host, log: log, unwritable: func() string { return "" }, owed: func(string) bool { return false },
		open: map[string]*trouble{}, events: map[string]*occurrence{}, seenUp: map[string]bool{}}
}

// run looks at how everything does until ctx ends.
func (s *selfReports) run(ctx context.Context) error {
	tick := time.NewTicker(lookAtSelf)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.look(now)
			s.flush(ctx)
		}
	}
}

// look compares how everything does with what was reported of it.
func (s *selfReports) look(now time.Time) {
	states, down := s.states(), s.down()
	untried := s.untried(down)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range states {
		if st.Up {
			s.seenUp[st.Name] = true
		}
		s.state(incident.SelfBlind, st.Name, !st.Up && s.seenUp[st.Name], blindFor, now,
			fmt.Sprintf("oomwatch is blind: its source %s cannot be read: %s", st.Name, st.Reason), st.Fix)
	}
	for name, why := range down {
		s.state(incident.SelfDown, name, true, downFor, now, fmt.Sprintf("the receiver %s cannot be reached: %s", name, why),
			"pending alerts are kept for 72 hours; see: oomwatch notify status")
	}
	for _, t := range s.open {
		if _, still := down[t.subject]; t.what == incident.SelfDown && !still && !untried[t.subject] {
			s.state(incident.SelfDown, t.subject, false, 0, now, "", "")
		}
	}
	why := s.unwritable()
	s.state(incident.SelfStore, "", why != "", 0, now, "the store cannot be written: "+why+"; alerts are sent from memory, and a crash would lose them",
		"make room, or fix the disk: it goes on by itself. See: oomwatch doctor")
	s.reportGathered(now)
}

// state notes whether a trouble is there; s.mu is held.
func (s *selfReports) state(what, subject string, wrong bool, after time.Duration, now time.Time, summary, fix string) {
	key := what + " " + subject
	t := s.open[key]
	switch {
	case wrong && t == nil:
		t = &trouble{what: what, subject: subject, since: now}
		s.open[key] = t
		if after > 0 {
			return
		}
		fallthrough
	case wrong && t.reported == nil && now.Sub(t.since) >= after:
		t.reported = s.incident(what, subject, t.since, summary, fix)
		s.report(correlate.Emission{Incident: t.reported})
	case !wrong && t != nil:
		delete(s.open, key)
		if t.reported == nil {
			return
		}
		over := *t.reported
		over.ResolvedAt = now.UTC()
		over.Summary = "over after " + incident.FormatDuration(now.Sub(t.since)) + ": " + over.Summary
		s.report(correlate.Emission{Incident: &over, Update: true})
	}
}

// report queues an incident for flush; s.mu is held.
func (s *selfReports) report(t correlate.Emission) {
	const most = 100
	if len(s.unkept) < most {
		s.unkept = append(s.unkept, t)
	}
	s.log.Warn("self-report", zap.String("what", t.Incident.Warning.What), zap.String("subject", t.Incident.Warning.Subject), zap.Bool("over", t.Update), zap.String("summary", t.Incident.Summary))
}

// flush keeps what was reported, and offers it again next time where that fails.
func (s *selfReports) flush(ctx context.Context) {
	s.mu.Lock()
	reported := s.unkept
	at, err := s.cursor()
	s.mu.Unlock()
	if err != nil {
		s.log.Error("cannot keep the alerts about oomwatch itself", zap.Error(err))
		return
	}
	if len(reported) == 0 || s.keep(ctx, watcher.Kept{Emissions: reported, Cursors: map[string]string{selfCursor: at}}) != nil {
		return
	}
	s.mu.Lock()
	s.unkept = s.unkept[len(reported):]
	s.mu.Unlock()
}

func (s *selfReports) incident(what, subject string, at time.Time, summary, fix string) *incident.Incident {
	h := s.host
	sum := sha256.Sum256(fmt.Appendf(nil, "self %q %q %q %d", h.BootID, what, subject, at.UnixNano()))
	inc := &incident.Incident{Schema: incident.Schema, Kind: incident.KindWarning, Time: at.UTC(), Severity: incident.Warning, Cause: incident.UnknownCause,
		Confidence: incident.Certain, Host: &h, Count: 1, Summary: redact.Sanitize(summary),
		ID:      strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10])),
		Warning: &incident.WarningFacts{What: what, Self: true, Subject: subject, Since: at.UTC()}}
	if fix != "" {
		inc.Advice = []string{redact.Sanitize(fix)}
	}
	return inc
}

// deadLettered reports to the other receivers that one refuses.
func (s *selfReports) deadLettered(t notify.Trouble) {
	summary := fmt.Sprintf("the receiver %s refused %s, now given up: %s", t.Receiver, units.Count(t.Parked, "alert"), t.Reason)
	if t.Gone {
		summary = fmt.Sprintf("the receiver %s is gone for good and gets no more alerts: %s", t.Receiver, t.Reason)
	}
	s.event(incident.SelfParked, t.Receiver, t.Parked, time.Now(), summary, "fix the receiver, then run: oomwatch notify retry "+t.Receiver)
}

// observe reports records that a source lost.
func (s *selfReports) observe(o observe.Observation) {
	if o.Lost == nil {
		return
	}
	// The kernel log read by syslog(2) shows that records were lost, not how many.
	if n := int(o.Lost.Lost); n > 0 || o.Lost.Source == observe.KernelLog {
		many := units.Count(n, "record") + " unread"
		if n == 0 {
			many = "records unread (how many is not known)"
		}
		s.event(incident.SelfLost, o.Lost.Source, max(n, 1), time.Now(),
			fmt.Sprintf("the source %s lost %s: %s", o.Lost.Source, many, o.Lost.Reason),
			"deaths of that time are found by the other sources; see: oomwatch doctor")
	}
}

// replaced reports that the store was moved aside, or was not where it had been.
func (s *selfReports) replaced(said string) {
	s.event(incident.SelfRestored, "", 1, time.Now(), said, "see what is left with: oomwatch history")
}

// victim reports that the earlier daemon was itself killed; pid was its process.
func (s *selfReports) victim(inc *incident.Incident, pid int) {
	if v := inc.Victim; v != nil && pid != 0 && v.PID == pid && v.Comm == "oomwatch" && inc.OOM != nil {
		s.event(incident.SelfKilled, "", 1, time.Now(), fmt.Sprintf("oomwatch itself (pid %d) was OOM-killed and has been restarted; what happened meanwhile was read afterwards: %s", pid, inc.Summary),
			"give it OOMScoreAdjust=-900, as examples/oomwatch.service does")
	}
}
