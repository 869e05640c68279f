package receiver

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/render"
)

// AlertmanagerOptions are what NewAlertmanager needs.
type AlertmanagerOptions struct {
	HTTPOptions // the URL is Alertmanager's, without /api/v2/alerts
	Token       string
	// ResolveAfter is how long what has happened is shown as firing: an event
	// has no end of its own.
	ResolveAfter time.Duration
	Template     *render.Template // for the annotation "description"
}

// DefaultResolveAfter is how long an event is shown as firing.
const DefaultResolveAfter = time.Hour

// Alertmanager posts alerts to Prometheus's Alertmanager, API v2. It groups and
// silences by itself, so storms reach it one by one, each with all its labels.
type Alertmanager struct {
	p            *poster
	resolveAfter time.Duration
	template     *render.Template

	mu       sync.Mutex
	firing   map[string]*amAlert // by labels
	restored bool                // firing is what an earlier run told
}

const (
	// amRefresh is how often what is firing is sent again: an Alertmanager that
	// was restarted knows nothing of it. Prometheus does so every minute.
	amRefresh = time.Minute
	// amFiring bounds what is sent again, amBatch the alerts of one request.
	amFiring = 2000
	amBatch  = 200
	// amSame bounds the incidents that are known of one alert.
	amSame = 100
)

// NewAlertmanager checks the options; nothing is sent.
func NewAlertmanager(opt AlertmanagerOptions) (*Alertmanager, error) {
	p, err := newPoster(opt.HTTPOptions, "api/v2/alerts")
	if err != nil {
		return nil, err
	}
	p.bearer(opt.Token)
	return &Alertmanager{p: p, resolveAfter: cmp.Or(opt.ResolveAfter, DefaultResolveAfter), template: opt.Template, firing: map[string]*amAlert{}}, nil
}

// Traits implements notify.Notifier. An alert
// fires until it is ended, and Alertmanager takes storms alert by alert.
func (m *Alertmanager) Traits() notify.Traits {
	return notify.Traits{KeepsOpen: true, Run: m.Run, Restore: m.Restore, Inherit: m.Inherit, Close: m.p.close}
}

// amAlert is a postable alert of Alertmanager's API v2
// (github.com/prometheus/alertmanager, api/v2/openapi.yaml).
type amAlert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	// GeneratorURL is the page that the alert links to.
	GeneratorURL string    `json:"generatorURL,omitempty"`
	EndsAt       time.Time `json:"endsAt"`

	lasting bool            // it ends when we say so
	until   time.Time       // when it is not sent again any more, where it does not last
	ids     map[string]bool // the incidents that it tells of
}

// fires says whether it is to be sent again.
func (a *amAlert) fires(now time.Time) bool { return a.lasting || a.until.After(now) }

// amNames are the alertnames.
var amNames = map[incident.Kind]string{incident.KindDeath: "ContainerDied", incident.KindKill: "ContainerProcessKilled",
	incident.KindWarning: "ContainerWarning", incident.KindHost: "HostProcessKilled"}

// alertOf makes the alert. Its labels are its identity: what happens again to the
// same container for the same cause is the same alert.
func (m *Alertmanager) alertOf(a incident.Alert, now time.Time) *amAlert {
	inc := a.Incident
	out := &amAlert{Labels: map[string]string{}, Annotations: map[string]string{}, ids: map[string]bool{inc.ID: true}}
	put := func(into map[string]string, key, value string, most int) {
		if value = render.Clip(render.Defang(value), most); value != "" {
			into[key] = value
		}
	}
	name := cmp.Or(amNames[inc.Kind], "Oomwatch")
	if w := inc.Warning; w != nil && w.Self {
		name = "OomwatchInTrouble"
		put(out.Labels, "subject", w.Subject, 200)
	}
	put(out.Labels, "alertname", name, 100)
	put(out.Labels, "severity", string(inc.Severity), 100)
	put(out.Labels, "cause", string(inc.Cause), 100)
	put(out.Labels, "kind", string(inc.Kind), 100)
	put(out.Labels, "unit", inc.Unit, 200)
	if h := inc.Host; h != nil {
		put(out.Labels, "instance", h.Name, 200)
	}
	if w := inc.Warning; w != nil {
		put(out.Labels, "warning", w.What, 100)
	}
	if c := inc.Container; c != nil {
		put(out.Labels, "container", cmp.Or(c.Name, render.Short(c.ID)), 200)
		if c.Compose != nil {
			put(out.Labels, "compose_project", c.Compose.Project, 200)
			put(out.Labels, "compose_service", c.Compose.Service, 200)
		}
		if c.Pod != nil {
			put(out.Labels, "namespace", c.Pod.Namespace, 200)
			put(out.Labels, "pod", cmp.Or(c.Pod.Name, c.Pod.UID), 200)
		}
	}
	put(out.Annotations, "summary", inc.Summary, 1000)
	put(out.Annotations, "confidence", render.ConfidenceWords(inc), 200)
	put(out.Annotations, "incident", inc.ID, 200)
	if inc.ID != "" {
		put(out.Annotations, "explain", "oomwatch explain "+inc.ID, 200)
	}
	if link := render.Link(inc.URL); link != "" {
		out.Annotations["url"] = link
		out.GeneratorURL = link
	}
	put(out.Annotations, "count", strconv.Itoa(max(inc.Count, 1)), 20)
	if len(inc.Advice) > 0 {
		put(out.Annotations, "advice", inc.Advice[0], 1000)
	}
	if h := inc.History; h != nil {
		put(out.Annotations, "history", render.HistoryLine(h), 200)
	}
	if own := m.template.Text(a, render.Defang); own != "" {
		out.Annotations["description"] = render.Clip(own, 10_000)
	} else if l := render.Facts(inc); len(l) > 0 {
		var lines []string
		for _, f := range l {
			lines = append(lines, f.Label+": "+f.Value)
		}
		out.Annotations["description"] = pagerLines(render.Fit(lines, maxPagerDetail, 500, render.Defang, render.Runes))
	}
	out.StartsAt = inc.Time
	if out.StartsAt.IsZero() || out.StartsAt.After(now) {
		out.StartsAt = now
	}
	// Counted from now, not from then: what was kept while Alertmanager was away
	// would else arrive as long over, and be told to nobody.
	out.EndsAt = now.Add(m.resolveAfter)
	out.until = out.EndsAt
	out.lasting = inc.Kind == incident.KindWarning && !inc.Warning.SelfEvent()
	if !inc.ResolvedAt.IsZero() {
		out.EndsAt, out.lasting, out.until = inc.ResolvedAt, false, now
		if !out.EndsAt.After(out.StartsAt) || out.EndsAt.After(now) {
			out.EndsAt = now
		}
	}
	return out
}

// Notify posts the alert, and keeps it to be sent again. What it was told of the
// same incident under other labels is ended: that was another alert to it. Of what
// was nothing bad after all the end is all that there is to tell.
func (m *Alertmanager) Notify(ctx context.Context, a incident.Alert) error {
	now, key := m.p.now(), ""
	alert := m.alertOf(a, now)
	nothing := a.Incident.Cause == incident.ExitOK
	if !nothing {
		b, err := json.Marshal(alert.Labels) // its keys are sorted
		if err != nil {
			return &notify.Rejected{Err: fmt.Errorf("write the alert as JSON: %w", err)}
		}
		key = string(b)
	}
	list := m.outdated(a.Incident.ID, key, now)
	if !nothing {
		list = append(list, alert)
	}
	if len(list) == 0 {
		return nil
	}
	if _, err := m.p.postJSON(ctx, list); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, was := range m.firing {
		if k != key && was.ids[a.Incident.ID] {
			if delete(was.ids, a.Incident.ID); len(was.ids) == 0 {
				delete(m.firing, k)
			}
		}
	}
	if !nothing {
		m.keep(key, alert, now)
	}
	return nil
}

// keep notes that an alert fires, or does not any longer; m.mu is held.
func (m *Alertmanager) keep(key string, alert *amAlert, now time.Time) {
	was := m.firing[key]
	switch {
	case !alert.fires(now):
		delete(m.firing, key)
	case was != nil || len(m.firing) < amFiring:
		if was != nil {
			for id := range was.ids {
				if len(alert.ids) < amSame {
					alert.ids[id] = true
				}
			}
		}
		m.firing[key] = alert
	}
}

// outdated are the ends of the alerts that tell of one incident alone, under other
// labels than key's.
func (m *Alertmanager) outdated(id, key string, now time.Time) (out []*amAlert) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, was := range m.firing {
		if k != key && was.ids[id] && len(was.ids) == 1 {
			end := *was // the old one may be on its way
			end.EndsAt = now
			out = append(out, &end)
		}
	}
	return out
}

// Run sends again what is firing, until ctx ends. What fails then comes again a
// minute later; what is new goes another way, and says what is wrong.
func (m *Alertmanager) Run(ctx context.Context) {
	tick := time.NewTicker(amRefresh)
	defer tick.Stop()
	m.mu.Lock()
	late := m.restored // nothing was sent while no daemon ran
	m.mu.Unlock()
	if late {
		m.sendAgain(ctx)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.sendAgain(ctx)
		}
	}
}

func (m *Alertmanager) sendAgain(ctx context.Context) {
	for batch := range slices.Chunk(m.stillFiring(m.p.now()), amBatch) {
		if _, err := m.p.postJSON(ctx, batch); err != nil {
			break
		}
	}
}

// stillFiring drops what is over and moves the end of what lasts.
func (m *Alertmanager) stillFiring(now time.Time) []*amAlert {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*amAlert
	for key, a := range m.firing {
		if !a.fires(now) {
			delete(m.firing, key)
			continue
		}
		if a.lasting {
			moved := *a // the old one may be on its way
			moved.EndsAt = now.Add(m.resolveAfter)
			a = &moved
			m.firing[key] = a
		}
		out = append(out, a)
	}
	return out
}
