package watcher

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/watcher/sampler"
)

// Chronicle is what is kept of a service's readings, longer than the recorder
// holds them.
type Chronicle interface {
	Series(ctx context.Context, service string, step time.Duration, from, to time.Time) (recorder.Series, error)
}

// Judge says what triage makes of all that is kept of a service; nil where nothing is.
// killed is when the kernel killed something of it just now, zero for no kill.
type Judge func(ctx context.Context, service string, killed time.Time) (*incident.Judged, error)

const (
	// longPast is how far back readings are shown, and chronicleFrom how long a
	// run must have lived before more is asked for than the recorder holds.
	longPast      = 48 * time.Hour
	chronicleFrom = sampler.PastSpan
	// In a storm the verdicts do without: no more than chronicleMost are asked
	// for in a second, each for as long as chronicleWait.
	chronicleMost = 4
	chronicleWait = 300 * time.Millisecond
	// judgeAgain is how soon after a judgement a container is not judged anew: a kill and
	// the exit that comes of it are one occasion.
	judgeAgain = 30 * time.Second
)

// memoir has the correlator know what is kept of a container. Its methods are called from
// the loop.
type memoir struct {
	corr      *correlate.Correlator
	chronicle Chronicle // nil for none
	judge     Judge     // nil for none
	log       *zap.Logger

	asked    time.Time // since when askedFor counts what was asked
	askedFor int
	judged   map[string]time.Time // by container
}

// may counts what is asked for; it is false in a storm.
func (m *memoir) may(now time.Time) bool {
	if now.Sub(m.asked) >= time.Second {
		m.asked, m.askedFor = now, 0
	}
	m.askedFor++
	return m.askedFor <= chronicleMost
}

// recall has the correlator know what is kept of a container's run from before
// what the recorder holds, and what triage says of its service. killed is when the kernel
// killed something of it, zero for no kill.
func (m *memoir) recall(id string, now, killed time.Time) {
	service, start, ok := m.corr.Lived(id)
	if !ok {
		return
	}
	old := m.chronicle != nil && now.Sub(start) >= chronicleFrom
	again := m.judge == nil || now.Sub(m.judged[id]) < judgeAgain
	if !old && again || !m.may(now) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), chronicleWait)
	defer cancel()
	if !again {
		m.say(ctx, id, service, now, killed)
	}
	if !old {
		return
	}
	from := start
	if early := now.Add(-longPast); from.Before(early) {
		from = early
	}
	s, err := m.chronicle.Series(ctx, service, recorder.StepLong, from, now)
	if err != nil {
		m.log.Debug("the verdict is made without older readings", zap.String("service", service), zap.Error(err))
		return
	}
	m.corr.Recall(id, s.Readings)
}

// say asks triage, for what comes next of a container.
func (m *memoir) say(ctx context.Context, id, service string, now, killed time.Time) {
	j, err := m.judge(ctx, service, killed)
	if err != nil {
		m.log.Debug("the verdict is made without triage", zap.String("service", service), zap.Error(err))
		return
	}
	if len(m.judged) > 4096 {
		clear(m.judged)
	}
	m.judged[id] = now
	m.corr.Judge(id, j, now)
}
