package verdict

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// kernelLog is true for a source that holds the kernel's log.
func kernelLog(source string) bool { return source == "kmsg" || source == "journal" }

// anEngine stands for the source of the container's engine, whatever that is called.
const anEngine = "engine"

// engineSource is true for a source that is an engine.
func engineSource(source string) bool {
	switch source {
	case "kmsg", "journal", "trace", "log", "cgroup":
		return false
	}
	return true
}

// sameSource is true where one source's silence stands for the other's.
func sameSource(a, b string) bool {
	return a == b || kernelLog(a) && kernelLog(b) || engineSource(a) && engineSource(b)
}

// covers is true where a source's silence about a moment means that there was nothing.
func (f *Facts) covers(source string, at time.Time) bool {
	const near = 10 * time.Second
	for i := range f.Gaps {
		g := &f.Gaps[i]
		if (g.Source == source || source == anEngine && engineSource(g.Source)) && !at.Before(g.From.Add(-near)) && (g.To.IsZero() || !at.After(g.To.Add(near))) {
			return false
		}
	}
	said := false
	for i := range f.Horizons {
		if h := &f.Horizons[i]; sameSource(h.Source, source) {
			if f.coveredBy(h, at) {
				return true
			}
			said = true
		}
	}
	// Where nobody gave a horizon the source was watched as it happened, if it is up.
	return !said && f.Blind[source] == "" && f.Horizons == nil
}

// coveredBy is true where a horizon reaches a moment and, of an end that nobody saw, all
// the time in which it can have been.
func (f *Facts) coveredBy(h *incident.Horizon, at time.Time) bool {
	return h.Covers(at) && (f.EndAfter.IsZero() || h.Covers(f.EndAfter))
}

// gaps are the stretches in which a source was blind, and those that its horizon leaves
// out, for an end. The log of a program that ended by itself is such a source.
func (f *Facts) gaps(cause incident.Cause) []incident.Gap {
	if f.Kind != incident.KindDeath {
		return f.Gaps
	}
	at, out := endTime(f), f.Gaps[:len(f.Gaps):len(f.Gaps)]
	for i := range f.Horizons {
		h := &f.Horizons[i]
		if h.Source == "trace" && !senderInQuestion(cause) {
			continue
		}
		covered := slices.ContainsFunc(f.Gaps, func(g incident.Gap) bool { return g.Source == h.Source }) // said already
		for j := range f.Horizons {
			covered = covered || sameSource(f.Horizons[j].Source, h.Source) && f.coveredBy(&f.Horizons[j], at)
		}
		switch {
		case covered:
		case h.Covers(at):
			out = append(out, h.Gap(f.EndAfter))
		default:
			out = append(out, h.Gap(at))
		}
	}
	if cause == incident.ExitError && f.LogUnread != "" && !slices.ContainsFunc(out, func(g incident.Gap) bool { return g.Source == "log" }) {
		out = append(out, incident.Gap{Source: "log", Reason: f.LogUnread})
	}
	return out
}

// senderInQuestion is true for a cause that the sender of a signal might explain.
func senderInQuestion(cause incident.Cause) bool {
	return cause == incident.KillUnknown || cause == incident.UnknownCause
}

// kernelGap says in a clause why the kernel's log cannot speak of the end: "the kernel
// log begins 14 minutes after it died"; "" where it covers the end.
func (f *Facts) kernelGap() string {
	at := endTime(f)
	if f.covers("kmsg", at) {
		return ""
	}
	best := ""
	for i := range f.Horizons {
		h := &f.Horizons[i]
		switch {
		case !kernelLog(h.Source):
		case !h.Read && strings.HasPrefix(h.Reason, "no kernel log"):
			why, _, _ := strings.Cut(h.Reason, ";") // without what would help
			best = cmp.Or(best, why)
		case !h.Read && h.Reason != "":
			best = cmp.Or(best, "no kernel log was read ("+h.Reason+")")
		case !h.Read:
			best = cmp.Or(best, "no kernel log was read")
		case h.Undated:
			return "the kernel log has no time of day"
		case h.From.IsZero():
			best = cmp.Or(best, "how far back the kernel log reaches is not known")
		case at.Before(h.From):
			return "the kernel log begins " + incident.FormatDuration(h.From.Sub(at)) + " after it died"
		default:
			return "the kernel log ends " + incident.FormatDuration(at.Sub(h.To)) + " before it died"
		}
	}
	if best != "" {
		return best
	}
	if r := f.Blind["kmsg"]; r != "" {
		return "the kernel log cannot be read"
	}
	for i := range f.Gaps {
		if f.Gaps[i].Source == "kmsg" {
			return "records of the kernel log were lost around its end"
		}
	}
	return "no kernel log was read"
}

// kernelUnread is true where no kernel log was read at all.
func (f *Facts) kernelUnread() bool {
	return !slices.ContainsFunc(f.Horizons, func(h incident.Horizon) bool { return kernelLog(h.Source) && h.Read })
}

// recordless says that no kernel record tells something: a log that does not cover the
// moment is not quoted.
func (f *Facts) recordless(what string) string {
	if gap := f.kernelGap(); gap != "" {
		return what + " is not known: " + gap
	}
	return "no kernel record says " + what
}

// unrecorded is the same, as the end of a sentence, of a kill that something else counted.
func (f *Facts) unrecorded() string {
	if gap := f.kernelGap(); gap != "" {
		return "; whose limit was reached is not known: " + gap
	}
	return " and no kernel record of it was seen; whose limit was reached is not known"
}

// silent lists, as clauses, the sources that cover the end and say nothing of it.
func (f *Facts) silent() []string {
	at := endTime(f)
	var out []string
	if f.covers("kmsg", at) {
		out = append(out, "no kernel kill")
	}
	if f.covers(anEngine, at) {
		out = append(out, "no request to the engine")
	}
	if len(f.Samples) > 0 && f.Blind["cgroup"] == "" {
		out = append(out, "no counter")
	}
	return out
}

// unread lists, as clauses, why the others cannot say.
func (f *Facts) unread() []string {
	at := endTime(f)
	var out []string
	if gap := f.kernelGap(); gap != "" {
		out = append(out, gap)
	}
	if f.covers(anEngine, at) {
		return out
	}
	for i := range f.Horizons {
		if h := &f.Horizons[i]; engineSource(h.Source) {
			if !h.Read {
				return append(out, "the engine's events were not read")
			}
			return append(out, "the engine's events do not reach back to it")
		}
	}
	return out
}
