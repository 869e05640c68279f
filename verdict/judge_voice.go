package verdict

import (
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

const (
	// voiceBefore is how long before an end a voice may speak of it: an eviction and
	// a probe's kill have a grace period.
	voiceBefore = 2 * time.Minute
	// voiceAfter is how long after it: a log is written when there is time.
	voiceAfter = 10 * time.Second
	// looseBefore and looseAfter are the same for one that names no container.
	looseBefore, looseAfter = 3 * time.Second, time.Second
)

// VoicesOf picks those that speak of a container's end. One that names nothing is
// taken by its time alone, and marked so.
func VoicesOf(all []incident.Voice, c *incident.Container, pid int, end time.Time) []incident.Voice {
	var out []incident.Voice
	for i := range all {
		v := &all[i]
		if v.Kind == incident.VoicePodLimit {
			if voiceNames(v, c, 0) {
				out = append(out, *v) // it stands for as long as the pod is there
			}
			continue
		}
		if c != nil && !v.At.IsZero() && v.At.Before(c.StartedAt.Add(-clockSkew)) {
			continue // it is of an earlier run, or of the container before this one
		}
		d, dated := end.Sub(v.At), !v.At.IsZero() && !end.IsZero()
		if dated && (d > voiceBefore+v.Grace || d < -voiceAfter) {
			continue
		}
		if v.Kind == incident.VoiceEnds && dated && d < 0 {
			continue // it had ended before its pod was to
		}
		next := dated && d <= looseBefore && d >= -looseAfter
		switch {
		case voiceNames(v, c, pid):
			out = append(out, *v)
		case next && v.Kind == incident.VoiceForce && v.ContainerID == "",
			next && v.Kind == incident.VoiceKilled && v.ContainerID == "" && v.Cgroup == "" && v.Unit == "" && (pid == 0 || v.PID == 0):
			out = append(out, *v)
			out[len(out)-1].Loose = true
		}
	}
	return out
}

// voiceNames is true where a voice names the container.
func voiceNames(v *incident.Voice, c *incident.Container, pid int) bool {
	if c == nil {
		return false
	}
	for _, id := range []string{c.ID, c.OuterID} {
		if len(id) >= 12 && (len(v.ContainerID) >= 12 && strings.HasPrefix(id, v.ContainerID) || strings.Contains(v.Cgroup, id) || strings.Contains(v.Unit, id)) {
			return true
		}
	}
	if v.Container != "" && c.Name != "" && v.Container != c.Name {
		return false // another one of its pod
	}
	if p := c.Pod; p != nil && (p.UID != "" && (v.PodUID == p.UID || strings.Contains(strings.ReplaceAll(v.Cgroup, "_", "-"), p.UID)) ||
		p.Name != "" && v.PodName == p.Name && (v.PodNamespace == "" || p.Namespace == "" || v.PodNamespace == p.Namespace)) {
		return true
	}
	return pid != 0 && v.PID == pid
}

// judgeVoice reads what another program's log said of the end. One that names the
// container is believed before the trace of a signal, which tells only who sent it.
func judgeVoice(f *Facts) (judgement, bool) { return voiceVerdict(f, false) }

// judgeLooseVoice is judgeVoice for those that fit by their time alone.
func judgeLooseVoice(f *Facts) (judgement, bool) { return voiceVerdict(f, true) }

func voiceVerdict(f *Facts, loose bool) (judgement, bool) {
	for i := range f.Voices {
		x := &f.Voices[i]
		if x.Loose != loose {
			continue
		}
		v := judgement{confidence: incident.Likely, voice: x, signal: 9}
		if x.Trusted {
			v.confidence = incident.Certain
		}
		killed := isKillCode(f.Exit.ExitCode) || x.Signal != 0 && incident.ExitSignal(f.Exit.ExitCode) == x.Signal
		switch x.Kind {
		case incident.VoiceKilled:
			if !killed {
				continue
			}
			v.cause, v.signal = incident.KillUserspaceOOM, incident.ExitSignal(f.Exit.ExitCode)
		case incident.VoiceForce:
			if !killed {
				continue
			}
			v.cause, v.grace = incident.KillStopTimeout, x.Grace
			if x.Signal != 0 {
				v.signal = x.Signal
			}
		case incident.VoiceEvicted:
			v.cause = incident.KillEvicted
		case incident.VoiceProbe:
			v.cause = incident.KillProbe
		default:
			continue
		}
		if loose {
			v.confidence = incident.Possible
			v.why = fmt.Sprintf("%s names no container; its line is matched by time only", x.Who)
		} else if !x.Trusted {
			v.why = "any program can write to that log: who wrote the line is not proven"
		}
		return v, true
	}
	return judgement{}, false
}

// podEnds is the kubelet's word that the container's pod was to end; nil for none.
func podEnds(f *Facts) *incident.Voice {
	for i := range f.Voices {
		if x := &f.Voices[i]; x.Kind == incident.VoiceEnds && endTime(f).After(x.At) {
			return x
		}
	}
	return nil
}

// podEnded is why the kubelet stopped the container; "" where it did not.
func podEnded(f *Facts) string {
	x := podEnds(f)
	if x == nil {
		return ""
	}
	if why, ok := strings.CutPrefix(x.Text, "DeadlineExceeded: "); ok {
		return redact.Sanitize(redact.Line(strings.TrimRight(why, ". ")))
	}
	return "its pod was deleted"
}

// leastGrace is how long the kubelet waits at the least before it kills.
const leastGrace = 2 * time.Second

// deletedWithin is how much later than its timestamp says a pod may have been deleted: that
// has whole seconds.
const deletedWithin = time.Second

// judgeEnded finds the stop of a pod that was to end, where nobody saw the signals that
// the runtime sent.
func judgeEnded(f *Facts) (judgement, bool) {
	x := podEnds(f)
	if x == nil || f.Container == nil || tellsRequests(f.Container.Runtime) {
		return judgement{}, false
	}
	signal := stopSignal(f)
	v := judgement{cause: incident.StopRequest, confidence: incident.Likely, signal: signal, why: "the kubelet says of its pod: " + redact.Sanitize(x.Text)}
	waited := endTime(f).Sub(x.At)
	switch code := f.Exit.ExitCode; {
	case code != 0 && f.Traced && len(f.Sent) == 0 && waited < deletedWithin:
		return judgement{}, false // it had ended by itself, just before
	case isKillCode(code) && waited+clockSkew < leastGrace:
		return judgement{}, false // killed before the kubelet does so
	case isKillCode(code):
		v.cause, v.grace = incident.KillStopTimeout, waited
	case incident.ExitSignal(code) != 0 && incident.ExitSignal(code) != signal:
		return judgement{}, false
	}
	return v, true
}

// voiceEvidence shows what was said.
func voiceEvidence(x *incident.Voice) incident.Evidence {
	means := map[incident.VoiceKind]string{
		incident.VoiceKilled:  "the user-space OOM killer " + redact.Sanitize(x.Who) + " killed it",
		incident.VoiceForce:   "it had not stopped when the grace period was over, so the engine sent SIGKILL",
		incident.VoiceEvicted: "the kubelet evicted its pod",
		incident.VoiceProbe:   "the kubelet killed it because a probe failed",
		incident.VoiceEnds:    "the kubelet stops its containers: SIGTERM, and SIGKILL after the grace period",
		incident.VoiceTaskOOM: "containerd saw a process in it OOM-killed (any process, not only the main one)",

		incident.VoicePodLimit: "the limit of its cgroup is the pod's own, not the sum of its containers'",
	}[x.Kind]
	if x.Loose {
		means += "; it names no container and is matched by its time only"
	}
	source := "journal"
	if x.Who == "kubelet" {
		source = "kubelet"
	}
	return incident.Evidence{Source: source, Time: x.At, Text: redact.Sanitize(redact.Line(x.Text)), Means: means}
}

// killerName is the program's own name, for its log to be looked for.
func killerName(v *judgement) string {
	if v.voice != nil {
		return redact.Sanitize(v.voice.Who)
	}
	return processName(v.sender.Sender.Comm, v.sender.Sender.PID)
}

// voiceName is the killer that a voice names.
func voiceName(v *judgement) string {
	if v.voice != nil {
		return redact.Sanitize(v.voice.Who)
	}
	return senderName(v.sender)
}
