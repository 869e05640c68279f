package verdict

import (
	"fmt"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/redact"
)

// ChildWindow is how long after a child's OOM kill a container's end is still
// put down to it. An older kill explains nothing.
const ChildWindow = 5 * time.Second

// unknownStart is ChildWindow where it is not known when the container started: a
// kill from before that may be of an earlier run, which takes longer to follow.
const unknownStart = 200 * time.Millisecond

// clockSkew is how far after an end the kernel may stamp the kill that caused it.
const clockSkew = 100 * time.Millisecond

// requestWindow is how long before the end a request to stop still explains it.
const requestWindow = 2 * time.Minute

// judgement is the judgement before it is dressed: what, how sure, and why in
// plain words where the cause alone does not say it.
type judgement struct {
	cause      incident.Cause
	confidence incident.Confidence
	why        string
	kill       *KernelKill // the kernel kill that decided, if one did
	child      bool        // kill's victim was a child, and the container ended because of it
	grace      time.Duration
	signal     int
	sender     *incident.Sent // who sent the signal that ended it, where that was traced
	runtime    *RuntimeOOM
	disk       *DiskFull
	fs         *incident.Filesystem // the one that was full, or that disk names
	voice      *incident.Voice      // what another program's log said of it
	fault      *kmsg.Fault          // the kernel's line on a fault that only fits by its time
	exec       *notStarted          // what the log says of a command that could not be executed
	flagged    bool                 // the engine's flag and 137 alone, without a kernel log
}

// judge applies the rules in the order of what can be wrong least: the kernel's
// own word, the engine's start error, the engine's record of who asked for
// what, then what only fits.
func judge(f *Facts) judgement {
	if f.Kind != incident.KindDeath {
		return judgeKill(f)
	}
	v := judgeDeath(f)
	if f.Placed && v.kill != nil {
		v.confidence = weaker(v.confidence, incident.Likely)
		v.why = joinWhy(v.why, "the kernel's log has no time of day (dmesg -T or journalctl -k would print it): this kill is joined to this end only because the engine reported an OOM in this container")
	}
	return v
}

func judgeDeath(f *Facts) judgement {
	if k := mainKill(f); k != nil {
		v := kernelVerdict(f, k)
		// 255 is what an engine that was away gives for a code it does not know.
		unknown := f.Exit != nil && (f.Exit.NoCode || f.Exit.ExitCode == 255 && f.NotSeenLive)
		if f.Exit != nil && !isKillCode(f.Exit.ExitCode) && !unknown {
			v.confidence = weaker(v.confidence, incident.Likely)
			v.why = fmt.Sprintf("the kernel killed its main process, though the engine reports exit code %d", f.Exit.ExitCode)
		}
		return v
	}
	if f.Exit == nil {
		return judgeMissed(f)
	}
	for _, rule := range []func(*Facts) (judgement, bool){
		judgeStart, judgeEngineStop, judgeRequest, judgeVoice, judgeRuntime, judgeSender, judgeEnded, judgeChild, judgeGone, judgeSilentOOM,
		judgeExec, judgeLimits, judgeLooseVoice, judgeFlag, judgeCode,
	} {
		if v, ok := rule(f); ok {
			return v
		}
	}
	v := judgement{cause: incident.ExitError, confidence: incident.Certain}
	if f.LogUnread != "" {
		v.confidence, v.why = incident.Likely, "its log was not read: "+f.LogUnread
	}
	return v
}

// judgeKill judges a kill that the container survived, or one outside every container.
func judgeKill(f *Facts) judgement {
	if len(f.Kills) > 0 {
		return kernelVerdict(f, &f.Kills[0])
	}
	if f.Child != nil {
		return judgement{cause: incident.KillProcess, confidence: incident.Certain, signal: 9, sender: &f.Child.Sent}
	}
	if f.OOMKillDelta > 0 {
		return judgement{cause: incident.OOMContainer, confidence: incident.Possible,
			why: fmt.Sprintf("the cgroup's oom_kill counter rose by %d%s", f.OOMKillDelta, f.unrecorded())}
	}
	if len(f.EngineOOMs) > 0 {
		return judgement{cause: incident.OOMContainer, confidence: incident.Possible,
			why: "the engine reported an OOM in the container" + f.unrecorded()}
	}
	return judgement{cause: incident.UnknownCause, confidence: incident.Possible, why: "no source says what was killed"}
}

// judgeStart finds a container whose command never ran.
func judgeStart(f *Facts) (judgement, bool) {
	if f.Exit.Error != "" && !isOnlyStopError(f) && !staleError(f) {
		return judgement{cause: incident.ExecFailed, confidence: incident.Certain, why: f.Exit.Error}, true
	}
	return judgement{}, false
}

// isOnlyStopError is true where the engine's error text can be a leftover: a
// container that was killed from outside after it had run.
func isOnlyStopError(f *Facts) bool {
	return len(f.Signals) > 0 && isKillCode(f.Exit.ExitCode)
}

// judgeEngineStop finds the end that the engine asked for as it went down itself.
func judgeEngineStop(f *Facts) (judgement, bool) {
	if !f.EngineDown || len(f.Signals) == 0 {
		return judgement{}, false
	}
	return judgement{cause: incident.EngineStop, confidence: incident.Likely, signal: f.Signals[0].Number,
		why: "the engine asked every container to stop, and went down itself"}, true
}

// judgeRequest finds the end that somebody asked the engine for.
func judgeRequest(f *Facts) (judgement, bool) {
	var asked, killed *incident.Signal
	end := f.Exit.At
	stop := stopSignal(f)
	for i := range f.Signals {
		s := &f.Signals[i]
		if s.Number == 0 {
			// Podman does not say which one: what it died of, if it did.
			s = &incident.Signal{At: s.At, Number: incident.ExitSignal(f.Exit.ExitCode), Raw: s.Raw}
		}
		switch {
		case s.Number == 0:
		case s.Number == 9:
			if killed == nil {
				killed = s
			}
		case s.Number == stop || s.Number == 15 || s.Number == incident.ExitSignal(f.Exit.ExitCode):
			if killed == nil {
				asked = s
			}
		}
	}
	code := f.Exit.ExitCode
	if killed != nil && (isKillCode(code) || code == 255) {
		if asked != nil {
			grace := killed.At.Sub(asked.At)
			switch {
			case !f.StopDone.IsZero():
				return judgement{cause: incident.KillStopTimeout, confidence: incident.Certain, grace: grace, signal: asked.Number}, true
			case grace >= 900*time.Millisecond && !f.Exit.Inspected:
				return judgement{cause: incident.KillStopTimeout, confidence: incident.Likely, grace: grace, signal: asked.Number}, true
			}
		}
		return judgement{cause: incident.KillRequest, confidence: incident.Certain, signal: 9}, true
	}
	if asked == nil {
		return judgement{}, false
	}
	fatal := incident.ExitSignal(code) == asked.Number
	switch {
	case isKillCode(code) && !fatal && !f.StopDone.IsZero():
		return judgement{cause: incident.KillStopTimeout, confidence: incident.Likely, grace: end.Sub(asked.At), signal: asked.Number,
			why: "no event shows that the engine sent SIGKILL"}, true
	case !f.StopDone.IsZero():
		return judgement{cause: incident.StopRequest, confidence: incident.Certain, signal: asked.Number}, true
	case fatal && asked.Number != 15 && asked.Number != stop:
		return judgement{cause: incident.KillRequest, confidence: incident.Certain, signal: asked.Number}, true
	case fatal:
		return judgement{cause: incident.StopRequest, confidence: incident.Certain, signal: asked.Number}, true
	case end.Sub(asked.At) <= requestWindow:
		return judgement{cause: incident.StopRequest, confidence: incident.Likely, signal: asked.Number}, true
	}
	return judgement{}, false
}

// judgeChild finds the end that a child's OOM kill brought about.
func judgeChild(f *Facts) (judgement, bool) {
	if f.Exit.ExitCode == 0 {
		return judgement{}, false
	}
	k := recentChildKill(f)
	if k == nil {
		return judgement{}, false
	}
	v := kernelVerdict(f, k)
	v.child = true
	v.confidence = weaker(v.confidence, incident.Likely)
	d, victim := endTime(f).Sub(killTime(k)), fmt.Sprintf("%d (%s)", k.Kill.PID, redact.Sanitize(k.Kill.Comm))
	if d < -clockSkew {
		v.why = joinWhy(v.why, fmt.Sprintf("the log dates the kernel's kill of its process %s %s after its end: it stamps a record when it reads it", victim, incident.FormatDuration(-d)))
	} else {
		v.why = joinWhy(v.why, fmt.Sprintf("it ended %s after the kernel killed its process %s", incident.FormatDuration(d), victim))
	}
	return v, true
}

// judgeGone finds the end that came with the host's or the engine's.
func judgeGone(f *Facts) (judgement, bool) {
	switch {
	case f.Rebooted:
		return judgement{cause: incident.HostShutdown, confidence: incident.Likely, why: "the host rebooted after this container was last seen running"}, true
	case f.EngineDown && !outlives(f.Container) && f.Exit.ExitCode != 0 && f.Exit.ExitCode < 256 && incident.ExitSignal(f.Exit.ExitCode) != 11 && incident.ExitSignal(f.Exit.ExitCode) != 6:
		return judgement{cause: incident.EngineStop, confidence: incident.Possible,
			why: "it ended while the engine was away, and nothing else explains it"}, true
	}
	return judgement{}, false
}

// outlives is true for a container that goes on when its engine ends: containerd's, CRI-O's
// and Podman's are children of a shim or of conmon.
func outlives(c *incident.Container) bool {
	return c != nil && (c.Runtime == "containerd" || c.Runtime == "cri-o" || c.Runtime == "podman")
}

// judgeSilentOOM finds an OOM kill of which the kernel log says nothing, from
// the counter and the engine's event together with the exit code; neither the
// code alone nor the engine's flag alone is enough.
func judgeSilentOOM(f *Facts) (judgement, bool) {
	if !isKillCode(f.Exit.ExitCode) {
		return judgement{}, false
	}
	if f.OOMKillDelta > 0 {
		return judgement{cause: incident.OOMContainer, confidence: incident.Likely,
			why: "its oom_kill counter rose just before it ended with 137; " + f.recordless("whose limit was reached")}, true
	}
	for _, at := range f.EngineOOMs {
		if d := f.Exit.At.Sub(at); d >= -time.Second && d <= ChildWindow {
			return judgement{cause: incident.OOMContainer, confidence: incident.Possible,
				why: "the engine reported an OOM just before it ended with 137; " + f.recordless("who was killed or whose limit was reached")}, true
		}
	}
	for i := range f.Voices {
		if x := &f.Voices[i]; x.Kind == incident.VoiceTaskOOM && !x.Loose {
			return judgement{cause: incident.OOMContainer, confidence: incident.Possible, voice: x,
				why: "containerd reported an OOM in it just before it ended with 137; " + f.recordless("who was killed or whose limit was reached")}, true
		}
	}
	return judgement{}, false
}

// judgeCode reads what is left: the exit code by itself.
func judgeCode(f *Facts) (judgement, bool) {
	code := f.Exit.ExitCode
	sig := incident.ExitSignal(code)
	switch {
	case f.Exit.NoCode:
		return judgement{cause: incident.UnknownCause, confidence: incident.Possible, why: "the engine reports no exit code for it"}, true
	case code == 0:
		return judgement{cause: incident.ExitOK, confidence: incident.Certain}, true
	case sig == 9 && kernelSent(f):
		return judgement{cause: incident.OOMContainer, confidence: incident.Possible, signal: 9,
			why: "the kernel itself sent SIGKILL, as its OOM killer does; its record of whose limit was reached was not seen"}, true
	case sig == 9 && f.Traced:
		return judgement{cause: incident.ExitError, confidence: incident.Likely,
			why: "exit code 137 is what SIGKILL leaves, but no SIGKILL was sent to its main process, which was watched to its end: the program itself exited with 137"}, true
	case sig == 9:
		return judgeSigkill(f), true
	case crashSignals[sig] != "":
		v := judgement{cause: incident.CrashSignal, confidence: incident.Likely, signal: sig}
		if crashFault(f) != nil {
			v.confidence = incident.Certain
		} else if x := looseFault(f); x != nil {
			v.fault, v.why = x, "the kernel's fault line names no process of a known container; it is matched by its time only"
		}
		return v, true
	case code >= 125 && code <= 127:
		return judgement{cause: incident.ExecFailed, confidence: incident.Likely, why: execMeaning[code]}, true
	case incident.HasSignalName(sig):
		return judgement{cause: incident.UnknownCause, confidence: incident.Possible, signal: sig,
			why: unaskedSignal(f, sig)}, true
	case code == unknownCode && (f.NotSeenLive || f.EngineDown):
		return judgement{cause: incident.UnknownCause, confidence: incident.Possible,
			why: "the engine reports 255 when it does not know how a container ended"}, true
	}
	return judgement{}, false
}

// unaskedSignal says of an exit code that a signal leaves who may have sent that: the
// engine only where its events were not read.
func unaskedSignal(f *Facts, sig int) string {
	s := fmt.Sprintf("%s leaves exit code %d", incident.SignalName(sig), f.Exit.ExitCode)
	itself := fmt.Sprintf("or the program itself exited with %d", f.Exit.ExitCode)
	if f.covers(anEngine, endTime(f)) {
		return s + ", and no request to the engine to send it was seen: another process sent it, " + itself
	}
	s += "; the engine's events were not read, so that somebody may have asked the engine"
	if sig == stopSignal(f) {
		s += " to stop it"
	} else {
		s += " to send it"
	}
	return s + "; or another process sent it, " + itself
}

// shifted says how far a kill's stamp is from the end.
func shifted(d time.Duration) string {
	if d < 0 {
		return incident.FormatDuration(-d) + " earlier"
	}
	return incident.FormatDuration(d) + " later"
}

// judgeMissed judges an end of which there is no exit at all: the container is
// known to be gone, or to have been started anew.
func judgeMissed(f *Facts) judgement {
	for i := range f.Voices {
		switch x := &f.Voices[i]; x.Kind {
		case incident.VoiceEvicted:
			return judgement{cause: incident.KillEvicted, confidence: incident.Certain, voice: x}
		case incident.VoiceProbe:
			return judgement{cause: incident.KillProbe, confidence: incident.Likely, voice: x}
		}
	}
	if k := recentChildKill(f); k != nil {
		v := kernelVerdict(f, k)
		v.child, v.confidence = true, weaker(v.confidence, incident.Possible)
		v.why = joinWhy(v.why, "nobody saw how the container itself ended")
		return v
	}
	if f.Rebooted {
		return judgement{cause: incident.HostShutdown, confidence: incident.Likely, why: "the host rebooted after this container was last seen running"}
	}
	if v, ok := judgeUnknownCode(f); ok {
		return v
	}
	v := judgement{cause: incident.UnknownCause, confidence: incident.Possible, why: endedWithin(f) + "no source saw how it ended, and the engine kept no exit code"}
	if f.EngineDown {
		v.why = "it ended while the engine was away, and no source saw how"
		if c := f.Container; c != nil && c.RestartPolicy != "" && c.RestartPolicy != "no" {
			v.cause = incident.EngineStop // one that the engine has started anew: it went with it
		}
	}
	return v
}

// endedWithin says, as the first half of a sentence, between which moments an end was
// that nobody saw; "" where it was seen, or is known to the second.
func endedWithin(f *Facts) string {
	if f.EndAfter.IsZero() || f.Time.Sub(f.EndAfter) < time.Second {
		return ""
	}
	from, to := f.EndAfter.UTC(), f.Time.UTC()
	layout := time.TimeOnly
	if from.YearDay() != to.YearDay() || from.Year() != to.Year() {
		layout = time.DateTime
	}
	return "it ended between " + from.Format(layout) + " and " + to.Format(layout) + " UTC; "
}

// mainKill returns the kill of the container's main process, or of all its
// processes together.
func mainKill(f *Facts) *KernelKill {
	for i := len(f.Kills) - 1; i >= 0; i-- {
		if f.Kills[i].Main {
			return &f.Kills[i]
		}
	}
	return nil
}

// recentChildKill returns the newest kill of a child within ChildWindow before the end.
func recentChildKill(f *Facts) *KernelKill {
	end, window := endTime(f), ChildWindow
	if f.Exit != nil && f.Container != nil && f.Container.StartedAt.IsZero() && !f.Offline {
		window = unknownStart
	}
	// They stand in the order in which they were told of.
	pick := func(ks []KernelKill) (newest *KernelKill) {
		for i := range ks {
			at := killTime(&ks[i])
			if d := end.Sub(at); d >= -max(clockSkew, ks[i].Episode.Late) && d <= window && (newest == nil || at.After(killTime(newest))) {
				newest = &ks[i]
			}
		}
		return newest
	}
	if k := pick(f.Kills); k != nil {
		return k
	}
	return pick(f.ChildKills)
}

// endTime is when the container ended: by inspect where there was one, since an
// engine that hung stamps its events late.
func endTime(f *Facts) time.Time {
	if f.Exit == nil {
		return f.Time
	}
	if !f.Exit.FinishedAt.IsZero() {
		return f.Exit.FinishedAt
	}
	return f.Exit.At
}

func killTime(k *KernelKill) time.Time {
	if !k.Kill.Time.IsZero() {
		return k.Kill.Time
	}
	return k.Episode.Time
}

func isKillCode(code int) bool { return code == 137 }

func stopSignal(f *Facts) int {
	if f.Container != nil {
		if n := incident.SignalNumber(f.Container.StopSignal); n != 0 {
			return n
		}
	}
	return 15
}

var confidenceRank = map[incident.Confidence]int{incident.Possible: 0, incident.Likely: 1, incident.Certain: 2}

// weaker returns the lesser of two confidences.
func weaker(a, b incident.Confidence) incident.Confidence {
	if confidenceRank[a] < confidenceRank[b] {
		return a
	}
	return b
}

func joinWhy(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func joinNames(names []string) string {
	s := ""
	for i, n := range names {
		switch {
		case i == 8 && len(names) > 9:
			return s + fmt.Sprintf(" and %d more", len(names)-8)
		case i > 0 && i == len(names)-1:
			s += " or "
		case i > 0:
			s += ", "
		}
		s += redact.Sanitize(n)
	}
	return s
}

var execMeaning = map[int]string{
	125: "exit code 125 is the engine's own failure to run the container",
	126: "exit code 126: the command was found and could not be executed",
	127: "exit code 127: the command was not found",
}
