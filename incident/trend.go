package incident

import (
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
)

// maxPoints bounds the readings that go along with an incident.
const maxPoints = 60

// history turns readings into points relative to at and says what shape they have.
func history(samples []cgroup.Sample, at time.Time) *History {
	h := &History{Trend: "unknown"}
	step := 1
	if len(samples) > maxPoints {
		step = (len(samples) + maxPoints - 1) / maxPoints
	}
	// Counted back from the newest, so that the last reading is always kept.
	for i := (len(samples) - 1) % step; i < len(samples); i += step {
		t := samples[i].At.Sub(at).Round(time.Millisecond).Seconds()
		h.Points = append(h.Points, Point{T: t, Bytes: samples[i].Current})
	}
	h.Trend, h.Slope = trend(h.Points)
	return h
}

// trend names the shape of the points: a spike rises in the last few seconds
// out of a calm stretch, a leak rises steadily over most of the window, a
// sawtooth falls back again and again, flat does none of these. Fewer than five
// points over less than ten seconds say nothing.
func trend(p []Point) (string, *float64) {
	n := len(p)
	if n < 5 || p[n-1].T-p[0].T < 10 {
		return "unknown", nil
	}
	slope, fit := regress(p)
	lo, hi := p[0].Bytes, p[0].Bytes
	var falls int64
	for i, q := range p {
		lo, hi = min(lo, q.Bytes), max(hi, q.Bytes)
		if i > 0 && q.Bytes < p[i-1].Bytes {
			falls += p[i-1].Bytes - q.Bytes
		}
	}
	span := hi - lo
	// A twentieth of the highest reading, and at least a megabyte, is noise.
	if span < max(hi/20, 1<<20) {
		return "flat", &slope
	}
	rise := p[n-1].Bytes - p[n*3/4].Bytes
	switch {
	case float64(rise) > 0.7*float64(span):
		return "spike", &slope
	case falls > span:
		return "sawtooth", &slope
	case slope > 0 && fit > 0.8 && falls < span/4:
		return "leak", &slope
	case slope > 0 && p[n-1].Bytes-p[n-2].Bytes > span/2:
		return "spike", &slope
	}
	return "flat", &slope
}

// regress fits a line by least squares and returns its slope in bytes per
// second and the coefficient of determination.
func regress(p []Point) (slope, r2 float64) {
	n := float64(len(p))
	var sx, sy float64
	for _, q := range p {
		sx += q.T
		sy += float64(q.Bytes)
	}
	mx, my := sx/n, sy/n
	var sxy, sxx, syy float64
	for _, q := range p {
		dx, dy := q.T-mx, float64(q.Bytes)-my
		sxy += dx * dy
		sxx += dx * dx
		syy += dy * dy
	}
	if sxx == 0 || syy == 0 {
		return 0, 0
	}
	return sxy / sxx, sxy * sxy / (sxx * syy)
}
