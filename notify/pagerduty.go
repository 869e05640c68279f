package notify

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// PagerDutyURL is where PagerDuty takes events; its European region is
// https://events.eu.pagerduty.com.
const PagerDutyURL = "https://events.pagerduty.com"

// PagerDutyOptions are what NewPagerDuty needs.
type PagerDutyOptions struct {
	HTTPOptions        // URL is PagerDutyURL where it is ""
	Key         string // the integration key of Events API v2
	Template    *Template
}

// PagerDuty sends events to PagerDuty's Events API v2.
type PagerDuty struct {
	p        *poster
	key      string
	template *Template
}

var pagerKey = regexp.MustCompile(`^[0-9A-Za-z]{32}$`)

// NewPagerDuty checks the options; nothing is sent.
func NewPagerDuty(opt PagerDutyOptions) (*PagerDuty, error) {
	if opt.URL == "" {
		opt.URL = PagerDutyURL
	}
	p, err := newPoster(opt.HTTPOptions, "v2/enqueue")
	if err != nil {
		return nil, err
	}
	key := strings.TrimSpace(opt.Key)
	if !pagerKey.MatchString(key) {
		return nil, badOption("token", "the integration key is not 32 letters and digits; it is that of an Events API v2 integration of the service")
	}
	p.secrets = append(p.secrets, key)
	// "A backoff of a few minutes": PagerDuty sends no Retry-After.
	p.calm = 2 * time.Minute
	return &PagerDuty{p: p, key: key, template: opt.Template}, nil
}

// Close ends idle connections.
func (p *PagerDuty) Close() { p.p.close() }

// Follows implements Follower: an alert stays open until it is resolved.
func (*PagerDuty) Follows() {}

// pagerEvent is an event of the Events API v2
// (developer.pagerduty.com/docs/send-alert-event).
type pagerEvent struct {
	RoutingKey string        `json:"routing_key"`
	Action     string        `json:"event_action"`
	DedupKey   string        `json:"dedup_key"`
	Client     string        `json:"client,omitempty"`
	Payload    *pagerPayload `json:"payload,omitempty"`
}

type pagerPayload struct {
	Summary   string            `json:"summary"` // up to 1,024 characters
	Source    string            `json:"source"`
	Severity  string            `json:"severity"`
	Timestamp time.Time         `json:"timestamp,omitzero"`
	Component string            `json:"component,omitempty"`
	Group     string            `json:"group,omitempty"`
	Class     string            `json:"class,omitempty"`
	Details   map[string]string `json:"custom_details,omitempty"`
}

// Notify triggers an alert, and resolves it when what it told of is over, or was
// nothing bad after all. The
// incident's id joins the two, and makes a repeat harmless.
func (p *PagerDuty) Notify(ctx context.Context, a Alert) error {
	inc := a.Incident
	e := pagerEvent{RoutingKey: p.key, Action: "trigger", DedupKey: "oomwatch/" + clip(defang(cmp.Or(inc.ID, a.DeliveryID)), 200)}
	if over(inc) {
		e.Action = "resolve"
		return p.send(ctx, e)
	}
	summary := cmp.Or(strings.TrimSpace(inc.Summary), headline(inc))
	if inc.Count > 1 {
		summary += fmt.Sprintf(" (x%d)", inc.Count)
	}
	pay := &pagerPayload{Summary: clip(defang(summary), 1000), Source: "oomwatch", Severity: string(inc.Severity), Timestamp: inc.Time,
		Class: string(inc.Cause), Details: map[string]string{"Cause": string(inc.Cause) + ", " + confidenceWords(inc)}}
	if h := inc.Host; h != nil && h.Name != "" {
		pay.Source = clip(defang(h.Name), 200)
	}
	if c := inc.Container; c != nil {
		pay.Component = clip(defang(cmp.Or(c.Name, short(c.ID))), 200)
		if c.Compose != nil {
			pay.Group = clip(defang(c.Compose.Project), 200)
		} else if c.Pod != nil {
			pay.Group = clip(defang(c.Pod.Namespace), 200)
		}
	}
	if own := p.template.text(a, defang); own != "" {
		first, rest, _ := strings.Cut(strings.TrimSpace(own), "\n")
		pay.Summary = clip(first, 1000)
		if rest = strings.TrimSpace(rest); rest != "" {
			pay.Details["Text"] = clip(rest, 10_000)
		}
	}
	for _, f := range facts(inc) {
		pay.Details[f.label] = clip(defang(f.value), 1000)
	}
	for label, lines := range map[string][]string{"Do next": inc.Advice, "Last log lines": inc.LogTail, "Evidence": evidenceLines(inc), "Largest processes": processLines(inc)} {
		if len(lines) > 0 {
			pay.Details[label] = pagerLines(lines)
		}
	}
	if len(inc.Gaps) > 0 {
		pay.Details["Not seen"] = clip(defang(gapsLine(inc.Gaps)), 1000)
	}
	if inc.ID != "" {
		pay.Details["More"] = "oomwatch explain " + clip(defang(inc.ID), 200)
	}
	e.Client, e.Payload = "oomwatch", pay
	return p.send(ctx, e)
}

// NotifyDigest triggers one alert for a storm.
func (p *PagerDuty) NotifyDigest(ctx context.Context, id string, d *Digest) error {
	var lines []string
	for _, e := range d.Incidents {
		lines = append(lines, e.line())
	}
	return p.send(ctx, pagerEvent{RoutingKey: p.key, Action: "trigger", DedupKey: "oomwatch/" + id, Client: "oomwatch",
		Payload: &pagerPayload{Summary: clip(defang(d.Summary), 1000), Source: cmp.Or(clip(defang(d.Host), 200), "oomwatch"), Severity: string(worst(d)), Timestamp: d.To,
			Class: "storm", Details: map[string]string{"Incidents": pagerLines(lines), "More": "oomwatch history"}}})
}

// pagerLines are lines of a detail. All details together stay far below
// PagerDuty's 512 KB for an event.
func pagerLines(lines []string) string {
	l := listing{title: "", lines: lines}
	title, kept := l.fit(30_000, 500, defang, runes)
	if title != "" {
		kept = append(kept, strings.TrimSpace(title))
	}
	return strings.Join(kept, "\n")
}

func (p *PagerDuty) send(ctx context.Context, e pagerEvent) error {
	_, err := p.p.postJSON(ctx, e)
	return err
}
