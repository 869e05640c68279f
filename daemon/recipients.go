package daemon

import (
	"io"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/redact"
)

// The labels by which whoever runs a container has a say in its alerts. They
// can only name what the configuration has, and concern this container alone.
const (
	labelSilence  = "oomwatch.silence"
	labelReceiver = "oomwatch.receiver"
)

// recipients are the configured receivers, and which incidents each is sent.
type recipients struct {
	info bool
	list []config.Receiver
	send []notify.Receiver
	log  *zap.Logger

	mu      sync.Mutex
	unknown map[string]bool // names in labels that no receiver has, once said
}

// newRecipients makes a sender for each configured receiver.
func newRecipients(cfg *config.Config, stdout io.Writer, log *zap.Logger) (*recipients, error) {
	send, err := cfg.Senders(stdout)
	if err != nil {
		return nil, err
	}
	return &recipients{info: cfg.Alerts.Info, list: cfg.Receivers, send: send, log: log, unknown: map[string]bool{}}, nil
}

// owed names the receivers that an incident is sent to: those that the
// container's label picks, else those whose matchers fit, else the default ones.
func (r *recipients) owed(inc *incident.Incident) []string {
	if inc.Severity == incident.Info && !r.info {
		return nil
	}
	if w := inc.Warning; w != nil && w.Self {
		return r.owedSelf(w.Subject, inc)
	}
	if picked := r.picked(inc); len(picked) > 0 {
		return r.those(func(c *config.Receiver) bool { return slices.Contains(picked, string(c.Name)) && c.Cares(inc) })
	}
	if out := r.those(func(c *config.Receiver) bool { return c.Wants(inc) }); len(out) > 0 {
		return out
	}
	return r.those(func(c *config.Receiver) bool { return c.Default && c.Severe(inc) })
}

// owedSelf names the receivers of self-reports: all but the one that is the trouble.
// Those with a min_severity above a warning get them only where no other does.
func (r *recipients) owedSelf(subject string, inc *incident.Incident) []string {
	if out := r.those(func(c *config.Receiver) bool { return string(c.Name) != subject && c.Severe(inc) }); len(out) > 0 {
		return out
	}
	return r.those(func(c *config.Receiver) bool { return string(c.Name) != subject })
}

func (r *recipients) those(f func(*config.Receiver) bool) (out []string) {
	for i := range r.list {
		if f(&r.list[i]) {
			out = append(out, string(r.list[i].Name))
		}
	}
	return out
}

// picked are the receivers that the container's label names. A name that there is
// not is passed over, and said once.
func (r *recipients) picked(inc *incident.Incident) (out []string) {
	if !ownAffair(inc) {
		return nil
	}
	for name := range strings.SplitSeq(inc.Container.Labels[labelReceiver], ",") {
		switch name = strings.TrimSpace(name); {
		case name == "":
		case slices.ContainsFunc(r.list, func(c config.Receiver) bool { return string(c.Name) == name }):
			out = append(out, name)
		default:
			r.unknownName(inc, name)
		}
	}
	return out
}

func (r *recipients) unknownName(inc *incident.Incident, name string) {
	const most = 1000 // labels are anybody's to write
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unknown[name] || len(r.unknown) >= most {
		return
	}
	r.unknown[name] = true
	r.log.Warn("a container's label names a receiver that is not configured; the label is ignored", zap.String("label", labelReceiver),
		zap.String("receiver", redact.Sanitize(name[:min(len(name), 100)])), zap.String("container", redact.Sanitize(inc.Container.Name)))
}

// silencedByLabel is true when the container's own label asks for silence.
func silencedByLabel(inc *incident.Incident) bool {
	return ownAffair(inc) && inc.Container.Labels[labelSilence] == "true"
}

// ownAffair is true for what concerns one container and nobody beside it: only
// there have its labels a say. A host that runs out of memory is no container's.
func ownAffair(inc *incident.Incident) bool {
	if inc.Container == nil {
		return false
	}
	switch inc.Cause {
	case incident.OOMHost, incident.OOMAncestor, incident.OOMNode, incident.KillUserspaceOOM, incident.HostShutdown, incident.EngineStop:
		return false
	}
	return true
}

func (r *recipients) names() []string {
	return r.those(func(*config.Receiver) bool { return true })
}
