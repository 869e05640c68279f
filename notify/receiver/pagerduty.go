package receiver

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/render"
)

// PagerDutyURL is where PagerDuty takes events; its European region is
// https://events.eu.pagerduty.com.
const PagerDutyURL = "https://events.pagerduty.com"

// PagerDutyOptions are what NewPagerDuty needs.
type PagerDutyOptions struct {
	HTTPOptions        // URL is PagerDutyURL where it is ""
	Key         string // the integration key of Events API v2
	Template    *render.Template
}

// PagerDuty sends events to PagerDuty's Events API v2.
type PagerDuty struct {
	p        *poster
	key      string
	template *render.Template
}

var pagerKey = lazyre.New(`^[0-9A-Za-z]{32}$`)

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

// Traits implements notify.Notifier. An alert stays open until it is resolved.
func (p *PagerDuty) Traits() notify.Traits {
	return notify.Traits{Digest: p.NotifyDigest, KeepsOpen: true, Close: p.p.close}
}

// pagerEvent is an event of the Events API v2
// (developer.pagerduty.com/docs/send-alert-event).
type pagerEvent struct {
	RoutingKey string        `json:"routing_key"`
	Action     string        `json:"event_action"`
	DedupKey   string        `json:"dedup_key"`
	Client     string        `json:"client,omitempty"`
	ClientURL  string        `json:"client_url,omitempty"` // the page that "view in oomwatch" opens
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
func (p *PagerDuty) Notify(ctx context.Context, a incident.Alert) error {
	inc := a.Incident
	e := pagerEvent{RoutingKey: p.key, Action: "trigger", DedupKey: "oomwatch/" + render.Clip(render.Defang(cmp.Or(inc.ID, a.DeliveryID)), 200)}
	if inc.Over() {
		e.Action = "resolve"
		return p.send(ctx, e)
	}
	summary := cmp.Or(strings.TrimSpace(inc.Summary), render.Headline(inc))
	if inc.Count > 1 {
		summary += fmt.Sprintf(" (x%d)", inc.Count)
	}
	pay := &pagerPayload{Summary: render.Clip(render.Defang(summary), 1000), Source: "oomwatch", Severity: string(inc.Severity), Timestamp: inc.Time,
		Class: string(inc.Cause), Details: map[string]string{"Cause": string(inc.Cause) + ", " + render.ConfidenceWords(inc)}}
	if h := inc.Host; h != nil && h.Name != "" {
		pay.Source = render.Clip(render.Defang(h.Name), 200)
	}
	if c := inc.Container; c != nil {
		pay.Component = render.Clip(render.Defang(cmp.Or(c.Name, render.Short(c.ID))), 200)
		if c.Compose != nil {
			pay.Group = render.Clip(render.Defang(c.Compose.Project), 200)
		} else if c.Pod != nil {
			pay.Group = render.Clip(render.Defang(c.Pod.Namespace), 200)
		}
	}
	if own := p.template.Text(a, render.Defang); own != "" {
		first, rest, _ := strings.Cut(strings.TrimSpace(own), "\n")
		pay.Summary = render.Clip(first, 1000)
		if rest = strings.TrimSpace(rest); rest != "" {
			pay.Details["Text"] = render.Clip(rest, 10_000)
		}
	}
	for _, f := range render.Facts(inc) {
		pay.Details[f.Label] = render.Clip(render.Defang(f.Value), 1000)
	}
	for label, lines := range map[string][]string{"Next": inc.Advice, "Evidence": render.EvidenceLines(inc), "Largest processes": render.ProcessLines(inc)} {
		if len(lines) > 0 {
			pay.Details[label] = pagerLines(render.Fit(lines, maxPagerDetail, 500, render.Defang, render.Runes))
		}
	}
	if len(inc.LogTail) > 0 {
		pay.Details["Last log lines"] = pagerLines(render.FitNewest(inc.LogTail, maxPagerDetail, 500, render.Defang, render.Runes))
	}
	if len(inc.Gaps) > 0 {
		pay.Details["Not seen"] = render.Clip(render.Defang(render.GapsLine(inc.Gaps)), 1000)
	}
	if inc.ID != "" {
		pay.Details["More"] = "oomwatch explain " + render.Clip(render.Defang(inc.ID), 200)
	}
	e.Client, e.ClientURL, e.Payload = "oomwatch", render.Link(inc.URL), pay
	return p.send(ctx, e)
}

// NotifyDigest triggers one alert for a storm.
func (p *PagerDuty) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	var lines []string
	for i := range d.Groups {
		lines = append(lines, render.GroupLine(&d.Groups[i]))
	}
	return p.send(ctx, pagerEvent{RoutingKey: p.key, Action: "trigger", DedupKey: "oomwatch/" + id, Client: "oomwatch", ClientURL: render.Link(d.URL),
		Payload: &pagerPayload{Summary: render.Clip(render.Defang(d.Summary), 1000), Source: cmp.Or(render.Clip(render.Defang(d.Host), 200), "oomwatch"), Severity: string(d.Severity()), Timestamp: d.To,
			Class: "storm", Details: map[string]string{"Incidents": pagerLines(render.Fit(lines, maxPagerDetail, 500, render.Defang, render.Runes)), "More": "oomwatch history"}}})
}

// maxPagerDetail bounds a detail, in characters. All details together stay far below
// PagerDuty's 512 KB for an event.
const maxPagerDetail = 30_000

// pagerLines are the lines of a detail, and how many more there were.
func pagerLines(kept []string, out int) string {
	if out > 0 {
		kept = append(kept, fmt.Sprintf("and %d more", out))
	}
	return strings.Join(kept, "\n")
}

func (p *PagerDuty) send(ctx context.Context, e pagerEvent) error {
	_, err := p.p.postJSON(ctx, e)
	return err
}
