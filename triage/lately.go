package triage

import (
	"fmt"
	"slices"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/trend"
	"github.com/oomwatch/oomwatch/units"
)

// above is by what part the present level is above what was held before, at
// least, for a growth that is new: less is noise.
const above = 1.05

// newLeak tells a leak that is younger than the longest window, which then shows a
// jump or nothing: a shorter window shows it, and now more is held than ever
// before. Where the windows do not agree no leak is likely.
func (j *record) newLeak() bool {
	last := &j.windows[len(j.windows)-1]
	if last.anew {
		return false
	}
	for i := len(j.windows) - 2; i >= 0; i-- {
		w := &j.windows[i]
		grows := w.Shape == trend.Leak || w.Shape == trend.Unknown && w.Slope != nil && w.Slope.Low > 0
		before := share(flat(until(j.held, j.to-w.span)), 1)
		if !grows || before == 0 || j.now() <= above*before {
			continue
		}
		if w.Shape == trend.Unknown {
			j.Class, j.Confidence = NotEnoughData, ""
			j.Reasons = append(j.Reasons, w.Reason)
		} else {
			j.leak(w)
			j.Confidence = incident.Possible
		}
		j.Reasons = append(j.Reasons, fmt.Sprintf("before the last %s it held %s at the most", units.Seconds(w.Seconds), units.Bytes(int64(before))))
		return true
	}
	return false
}

// now is what is held at the end, without the noise.
func (j *record) now() float64 {
	last := j.held[len(j.held)-1]
	v := flat([][]trend.Point{last[max(0, len(last)-5):]})
	return median(v)
}

// until are the points of each run before a time.
func until(runs [][]trend.Point, end float64) [][]trend.Point {
	var out [][]trend.Point
	for _, p := range runs {
		i := slices.IndexFunc(p, func(q trend.Point) bool { return q.T >= end })
		if i < 0 {
			i = len(p)
		}
		out = append(out, p[:i])
	}
	return out
}

// startsAnew tells a job from a leak. It grows too, run after run, but ends by
// itself or is deployed anew before its memory is used up. It is no leak where no
// run ended with an OOM kill and the limit is farther away than a run takes; one
// run that goes on for longer than usual, or runs of days, show for themselves.
func (j *record) startsAnew(w *window) {
	if w.Shape != trend.Leak || w.runs < 2 || w.Slope == nil {
		return
	}
	var took, began []float64
	for i, p := range j.held {
		if len(p) < minRun || p[len(p)-1].T < j.to-w.span {
			continue
		}
		if j.oom[i] {
			return
		}
		took, began = append(took, trend.Span(p)), append(began, p[0].V)
	}
	if len(took) < 2 {
		return
	}
	running := took[len(took)-1]
	usual := median(took[:len(took)-1])
	if running > 1.5*usual || usual >= 2*day {
		return
	}
	if left := j.limit - median(began); j.limit > 0 && left/w.Slope.PerSecond <= 1.25*usual {
		return
	}
	w.anew, w.Shape = true, trend.Sawtooth
	w.Reason = fmt.Sprintf("%s in %d runs of about %s: it grows while it runs, and starts anew; no run ended with an OOM kill", w.Reason, len(took), units.Seconds(usual))
}
