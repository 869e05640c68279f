package triage

import "github.com/oomwatch/oomwatch/trend"

// spans are the windows that are shown, in seconds.
var spans = []float64{3600, 6 * 3600, day, 7 * day}

// look adds what the readings of the last hour, six hours, day and week show by
// themselves. The class does not hang on them.
func (j *record) look() {
	for _, span := range spans {
		runs := since(j.held, j.to-span)
		if len(runs) == 0 {
			continue
		}
		f := trend.ClassifyRuns(runs, trend.Options{Limit: j.limit, Daily: true})
		w := Window{Seconds: min(span, j.to-j.from), Shape: string(f.Shape), Drops: f.Drops, Runs: len(runs), Reason: f.Reason}
		if f.Shape == trend.Leak {
			w.Shape = "growth" // an hour's growth alone is no leak
		}
		if f.Slope != nil {
			w.Slope, w.SlopeLow, w.SlopeHigh = &f.Slope.PerSecond, &f.Slope.Low, &f.Slope.High
		}
		if f.Kendall != nil {
			w.Tau, w.P = &f.Kendall.Tau, &f.Kendall.P
		}
		j.Windows = append(j.Windows, w)
		if j.to-j.from <= span {
			break // a longer one holds no more
		}
	}
}
