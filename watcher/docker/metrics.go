package docker

import "github.com/prometheus/client_golang/prometheus"

// metrics are the source's own counters.
type metrics struct {
	events     *prometheus.CounterVec
	duplicates prometheus.Counter
	dropped    prometheus.Counter
	reconnects prometheus.Counter
	skipped    *prometheus.CounterVec
	errors     *prometheus.CounterVec
	answersCut *prometheus.CounterVec
	latency    *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_docker_events_total", Help: "Engine events taken, by action."}, []string{"action"}),
		duplicates: prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_docker_events_repeated_total",
			Help: "Engine events that the engine repeated and that were taken once."}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_docker_events_dropped_total",
			Help: "Engine events dropped because they came faster than they were taken; a full reconcile follows."}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{Name: "oomwatch_docker_reconnects_total", Help: "Reconnects of the event stream."}),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_docker_lookups_skipped_total",
			Help: "Requests about a container that were dropped because too many waited, by kind."}, []string{"kind"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_docker_api_errors_total",
			Help: "Engine API calls that failed, by call; containers that are gone (404) are no failure."}, []string{"call"}),
		answersCut: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "oomwatch_docker_answers_cut_total",
			Help: "Engine answers and events of which a long string or surplus members (labels, mostly) were left out, by call."}, []string{"call"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "oomwatch_docker_api_seconds",
			Help:    "Time until the engine began to answer, by call.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}}, []string{"call"}),
	}
	if r != nil {
		r.MustRegister(m.events, m.duplicates, m.dropped, m.reconnects, m.skipped, m.errors, m.answersCut, m.latency)
	}
	return m
}
