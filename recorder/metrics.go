package recorder

import "github.com/prometheus/client_golang/prometheus"

// metrics are the recorder's own counters.
type metrics struct {
	refused, dropped prometheus.Counter
}

func newMetrics(r *Recorder, reg prometheus.Registerer) *metrics {
	m := &metrics{
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_history_refused_total", Help: "Times that history could not be kept; it is offered again."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_history_dropped_total", Help: "Readings given up because they could not be kept for long."}),
	}
	recorded := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "oomwatch_recorded_containers", Help: "Containers whose memory is being recorded."}, func() float64 {
		return float64(r.Containers())
	})
	if reg != nil {
		reg.MustRegister(m.refused, m.dropped, recorded)
	}
	return m
}
