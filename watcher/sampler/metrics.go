package sampler

import (
	"github.com/prometheus/client_golang/prometheus"
)

// samplerMetrics say what the readings cost.
type metrics struct{ period, cost prometheus.Gauge }

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		period: prometheus.NewGauge(prometheus.GaugeOpts{Name: "oomwatch_sample_period_seconds", Help: "Time between two readings of a container; it is stretched where there are many."}),
		cost:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "oomwatch_sample_round_cpu_seconds", Help: "Processor time that one reading of all containers takes."}),
	}
	m.period.Set(sampleEvery.Seconds())
	if r != nil {
		r.MustRegister(m.period, m.cost)
	}
	return m
}
