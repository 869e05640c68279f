package verdict

import (
	"fmt"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// userspaceKillers are the programs that kill to relieve memory pressure, by
// name and by the unit they run in.
var userspaceKillers = map[string]string{
	"systemd-oomd": "systemd-oomd.service", "earlyoom": "earlyoom.service", "nohang": "nohang.service",
	"oomd": "oomd.service",
}

// runtimes are the programs through which an engine sends signals.
var runtimes = map[string]bool{
	"runc": true, "crun": true, "youki": true, "containerd-shim": true, "containerd": true, "dockerd": true,
	"conmon": true, "podman": true,
}

// ByRuntime is true where an engine's runtime sent a signal, as far as its name says: what
// ran inside a container can call itself what it likes.
func ByRuntime(s *incident.Sent) bool {
	return runtimes[s.Sender.Comm] && !s.Inside && s.Container == ""
}

// judgeSender reads who sent the fatal signal, as the kernel traced it. A process
// inside a container can call itself what it likes, so a name counts as a
// killer's or a runtime's only outside of them.
func judgeSender(f *Facts) (judgement, bool) {
	want := incident.ExitSignal(f.Exit.ExitCode)
	if f.Exit.ExitCode == unknownCode {
		return judgeUnknownCode(f)
	}
	by := sentLast(f, want)
	if want == 0 || by == nil || by.Self && crashSignals[want] != "" {
		return judgement{}, false // abort(3) and raise(3) are a crash, and the program's own doing
	}
	return bySender(f, by, want), true
}

// judgeUnknownCode judges an end whose exit code the engine does not know: engine and
// container were killed together. What a runtime sent is the engine's own doing.
func judgeUnknownCode(f *Facts) (judgement, bool) {
	by := sentLast(f, 9)
	if by == nil || runtimes[by.Sender.Comm] {
		return judgement{}, false
	}
	v := bySender(f, by, 9)
	v.confidence = weaker(v.confidence, incident.Likely)
	v.why = joinWhy(v.why, "the engine does not know its exit code; SIGKILL to its main process was traced")
	return v, true
}

// unknownCode is what an engine that was away gives for an exit code that it does not
// know.
const unknownCode = 255

// sentLast is the last of a signal that somebody sent to the main process before its end;
// nil for none.
func sentLast(f *Facts, number int) (by *incident.Sent) {
	for i := range f.Sent {
		s := &f.Sent[i]
		if s.Number == number && !s.FromKernel && !s.Ignored && endTime(f).Sub(s.At) >= -clockSkew {
			by = s
		}
	}
	return by
}

// bySender judges an end by who sent the signal that brought it about.
func bySender(f *Facts, by *incident.Sent, want int) judgement {
	v := judgement{cause: incident.KillProcess, confidence: incident.Certain, signal: want, sender: by}
	outside := by.Located && by.Container == ""
	switch unit, known := userspaceKillers[by.Sender.Comm]; {
	case by.Self:
		v.why = fmt.Sprintf("the process sent %s to itself", incident.SignalName(want))
	case outside && known:
		v.cause = incident.KillUserspaceOOM
		if by.Unit != unit {
			v.confidence = incident.Likely
			v.why = fmt.Sprintf("the sender calls itself %s and was not seen in the unit %s", redact.Sanitize(by.Sender.Comm), unit)
		}
	case outside && runtimes[by.Sender.Comm]:
		v.cause, v.confidence = incident.KillRequest, incident.Likely
		v.why = fmt.Sprintf("%s sent it, as it does for the engine", by.Sender.Comm)
		if f.covers(anEngine, endTime(f)) {
			v.why += ", and no request to the engine was seen"
		} else {
			v.why += ", whose events were not read then"
		}
	case !by.Located && runtimes[by.Sender.Comm] && f.Container != nil && !tellsRequests(f.Container.Runtime):
		v.cause, v.confidence = incident.KillRequest, incident.Possible
		v.why = fmt.Sprintf("%s sent it, as it does for the engine; the sender ended before it could be looked up, and any process can take that name", redact.Sanitize(by.Sender.Comm))
	case !by.Located:
		v.why = "the sender ended before it could be looked up, and any process can take that name"
	}
	return v
}

// tellsRequests is true for an engine that says of each request to stop or kill that
// there was one.
func tellsRequests(runtime string) bool { return runtime == "" || runtime == "docker" }

// judgeRuntime finds a stop of which the engine said nothing, as Podman and CRI do not,
// by the signals that its runtime was traced to send: the one to stop, and SIGKILL
// when the grace period was over.
func judgeRuntime(f *Facts) (judgement, bool) {
	var asked, killed *incident.Sent
	for i := range f.Sent {
		s := &f.Sent[i]
		switch {
		case s.Inside || s.Container != "" || !runtimes[s.Sender.Comm] || s.FromKernel:
		case s.Number == 9:
			killed = s
		case killed == nil && s.Number == stopSignal(f):
			asked = s
		}
	}
	if f.Container == nil || tellsRequests(f.Container.Runtime) || len(f.Signals) > 0 || asked == nil || endTime(f).Sub(asked.At) > requestWindow {
		return judgement{}, false
	}
	v := judgement{cause: incident.StopRequest, confidence: incident.Likely, signal: asked.Number,
		why: fmt.Sprintf("%s sent %s, as it does for the engine", asked.Sender.Comm, incident.SignalName(asked.Number))}
	switch code := f.Exit.ExitCode; {
	case isKillCode(code) && killed == nil:
		return judgement{}, false
	case isKillCode(code):
		v.cause, v.grace = incident.KillStopTimeout, killed.At.Sub(asked.At)
		v.why += fmt.Sprintf(", and SIGKILL %s later", incident.FormatDuration(v.grace))
		if !killed.Located && !asked.Located && podEnds(f) == nil {
			v.confidence = incident.Possible // anybody can call itself that
		}
	case asked.Ignored, incident.ExitSignal(code) != 0 && incident.ExitSignal(code) != asked.Number:
		return judgement{}, false
	case !asked.Located && podEnds(f) == nil:
		v.confidence = incident.Possible // anybody can call itself that
	}
	return v, true
}

// kernelSent is true when the kernel itself was seen to send SIGKILL.
func kernelSent(f *Facts) bool {
	for i := range f.Sent {
		if s := &f.Sent[i]; s.Number == 9 && s.FromKernel && !s.Ignored {
			return true
		}
	}
	return false
}

// senderName says who a sender was and where it ran.
func senderName(s *incident.Sent) string {
	return senderPlace(s, named(s.Sender.Comm, s.Sender.PID))
}

// senderInFull is senderName with the sender's user and command, where they were read.
func senderInFull(s *incident.Sent) string {
	if s.Self {
		return senderName(s)
	}
	who := processName(s.Sender.Comm, s.Sender.PID)
	if strings.TrimSpace(s.Sender.Comm) != "" {
		who += fmt.Sprintf(" (pid %d%s)", s.Sender.PID, runBy(s))
	} else if by := runBy(s); by != "" {
		who += " (" + strings.TrimPrefix(by, ", ") + ")"
	}
	where := senderPlace(s, who)
	if tellsMore(s.Command, s.Sender.Comm) {
		where += `, command "` + redact.Cut(redact.Sanitize(s.Command), maxHeadlineCommand) + `"`
	}
	return where
}

// maxHeadlineCommand bounds a command in a headline, in bytes.
const maxHeadlineCommand = 80

// runBy names a sender's user: by name on the host, by number in a container, whose list
// of users is its own.
func runBy(s *incident.Sent) string {
	switch name := userName(s); {
	case name != "":
		return ", user " + redact.Sanitize(name)
	case s.Sender.UID != nil:
		return fmt.Sprintf(", uid %d", *s.Sender.UID)
	}
	return ""
}

// userName is a sender's user by name; "" where the host's list does not speak of it.
func userName(s *incident.Sent) string {
	if s.Inside || s.Container != "" || !s.Located {
		return ""
	}
	return s.User
}

// tellsMore is true for a command that says more than its program's name does.
func tellsMore(command, comm string) bool {
	return command != "" && strings.TrimPrefix(command, "-") != comm
}

// senderPlace says where a sender ran.
func senderPlace(s *incident.Sent, who string) string {
	switch {
	case s.Self:
		return "itself"
	case s.Inside:
		return who + " in the same container"
	case s.Container != "":
		return who + " in container " + redact.Sanitize(shortName(s.Container))
	case s.Unit != "":
		return who + " in " + redact.Sanitize(s.Unit)
	}
	if s.Located {
		return who + " on the host"
	}
	return who
}

// shortName shortens what looks like a container's id.
func shortName(name string) string {
	if len(name) == 64 {
		return incident.ShortID(name)
	}
	return name
}

// sentEvidence says what the kernel traced of one signal.
func sentEvidence(s *incident.Sent) incident.Evidence {
	e := incident.Evidence{Source: "trace", Time: s.At, Text: fmt.Sprintf("signal_generate sig=%d from %s", s.Number, senderInFull(s))}
	switch {
	case s.FromKernel:
		e.Text = fmt.Sprintf("signal_generate sig=%d from the kernel", s.Number)
		e.Means = fmt.Sprintf("the kernel itself sent %s to the main process", incident.SignalName(s.Number))
	case s.Ignored:
		e.Means = fmt.Sprintf("%s reached the main process and was ignored: it has no handler for it", incident.SignalName(s.Number))
	default:
		e.Means = fmt.Sprintf("%s was sent to the main process", incident.SignalName(s.Number))
	}
	return e
}
