package daemon

import (
	"github.com/oomwatch/oomwatch/watcher/kernlog"
	"github.com/oomwatch/oomwatch/watcher/signals"
	"github.com/prometheus/client_golang/prometheus"
)

// recordCounts gives Prometheus what the readers of the kernel's log and of its trace
// count. Of the log, records read and records lost add up to the span of sequence numbers.
type recordCounts struct {
	kernel                           *kernlog.Source
	signals                          *signals.Source
	read, lost, span, unread, forged *prometheus.Desc
}

func newRecordCounts(kernel *kernlog.Source, traced *signals.Source) *recordCounts {
	return &recordCounts{
		kernel: kernel, signals: traced,
		read:   prometheus.NewDesc("oomwatch_records_read_total", "Records read from a source's log.", []string{"source"}, nil),
		lost:   prometheus.NewDesc("oomwatch_records_lost_total", "Records of a source's log that were overwritten before they were read.", []string{"source"}, nil),
		span:   prometheus.NewDesc("oomwatch_records_span_total", "Sequence numbers from the first record to the last; read and lost add up to it.", []string{"source"}, nil),
		unread: prometheus.NewDesc("oomwatch_kmsg_unrecognised_total", "Lines of OOM reports in a form that this version does not know.", nil, nil),
		forged: prometheus.NewDesc("oomwatch_kmsg_forged_total", "Records that read like the OOM killer's and were written by a program; they are not believed.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *recordCounts) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.read, c.lost, c.span, c.unread, c.forged} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *recordCounts) Collect(ch chan<- prometheus.Metric) {
	stats := c.kernel.Stats()
	ch <- prometheus.MustNewConstMetric(c.read, prometheus.CounterValue, float64(stats.Read), c.kernel.Name())
	ch <- prometheus.MustNewConstMetric(c.lost, prometheus.CounterValue, float64(stats.Lost), c.kernel.Name())
	ch <- prometheus.MustNewConstMetric(c.span, prometheus.CounterValue, float64(stats.Span), c.kernel.Name())
	read, lost := c.signals.Counts()
	ch <- prometheus.MustNewConstMetric(c.read, prometheus.CounterValue, float64(read), c.signals.Name())
	ch <- prometheus.MustNewConstMetric(c.lost, prometheus.CounterValue, float64(lost), c.signals.Name())
	unread, _ := c.kernel.Unrecognised()
	ch <- prometheus.MustNewConstMetric(c.unread, prometheus.CounterValue, float64(unread))
	ch <- prometheus.MustNewConstMetric(c.forged, prometheus.CounterValue, float64(stats.Forged))
}
