package voices

import (
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/redact"
)

// Reader reads the lines of a log in their order. It knows what a line says only together
// with one before it: which probe the kubelet saw fail, and what that probe said, stands in
// other lines than that it ends the container for it.
type Reader struct {
	failed map[probed]failure
	// open is the probe whose output is on the lines that follow; nil for none.
	open *probed
}

// probed is a probe of a container.
type probed struct{ namespace, pod, container, probe string }

// failure is what a probe said last.
type failure struct {
	at     time.Time
	output string
}

const (
	// maxFailed bounds the probes that are remembered, maxOutput one's output.
	maxFailed = 1024
	maxOutput = 512
)

// reProbeFailed is the kubelet's line on a probe that failed (k8s.io/kubernetes's
// pkg/kubelet/prober). Only of a liveness or startup probe is a container killed.
var reProbeFailed = lazyre.New(`"Probe (?:failed|errored)" probeType="(?P<probe>Liveness|Startup)" pod="(?P<ns>[a-z0-9.\-]{1,253})/(?P<pod>[a-z0-9.\-]{1,253})".{0,80}? containerName="(?P<container>[a-z0-9\-]{1,253})" probeResult="[a-z]{1,20}"` +
	`(?: (?:output|err)=(?P<output>"(?:[^"\\]|\\.)*"|<$))?`)

// Read is Parse, with what the lines before have said of it.
func (r *Reader) Read(l Line) (incident.Voice, bool) {
	if r.open != nil {
		// A tab, which journalctl prints as blanks.
		isMore := strings.HasPrefix(l.Text, "\t") || strings.HasPrefix(l.Text, "        ")
		if isMore {
			r.note(*r.open, l.At, strings.TrimSpace(l.Text))
		}
		r.open = nil
		if isMore {
			return incident.Voice{}, false
		}
	}
	if p, output, ok := probeFailed(&l); ok {
		if output == "<" {
			r.open, output = &p, ""
		}
		r.note(p, l.At, output)
		return incident.Voice{}, false
	}
	v, ok := Parse(l)
	if ok && v.Kind == incident.VoiceProbe {
		r.explain(&v)
	}
	return v, ok
}

// explain adds what is known of the probe that a voice speaks of: of the container that it
// names, or else of the one of the pod whose probe failed last.
func (r *Reader) explain(v *incident.Voice) {
	var last probed
	var newest failure
	for p, f := range r.failed {
		fits := p.namespace == v.PodNamespace && p.pod == v.PodName && (v.Container == "" || v.Container == p.container) && (v.Probe == "" || v.Probe == p.probe)
		if fits && !f.at.After(v.At) && (newest.at.IsZero() || f.at.After(newest.at)) {
			last, newest = p, f
		}
	}
	if !newest.at.IsZero() {
		v.Container, v.Probe, v.Output = last.container, last.probe, newest.output
	}
}

func (r *Reader) note(p probed, at time.Time, output string) {
	if r.failed == nil || len(r.failed) >= maxFailed {
		r.failed = map[probed]failure{}
	}
	r.failed[p] = failure{at, redact.Line(redact.Cut(output, maxOutput))}
}

// Speaks is true for a line that Read needs.
func Speaks(l Line) bool {
	if _, _, ok := probeFailed(&l); ok {
		return true
	}
	_, ok := Parse(l)
	return ok
}

// probeFailed reads the kubelet's line on a probe that failed, and what the probe said: "<"
// where that stands on the lines that follow.
func probeFailed(l *Line) (p probed, output string, ok bool) {
	r := &rows[probeRow]
	if !strings.Contains(l.Text, `"Probe `) || !r.says(l) {
		return p, "", false
	}
	g := reProbeFailed.FindStringSubmatch(l.Text[:min(len(l.Text), maxText)])
	if g == nil {
		return p, "", false
	}
	group := func(name string) string { return g[reProbeFailed.SubexpIndex(name)] }
	p = probed{group("ns"), group("pod"), group("container"), strings.ToLower(group("probe"))}
	output = group("output")
	if text, err := strconv.Unquote(output); err == nil {
		output = text
	}
	return p, output, true
}
