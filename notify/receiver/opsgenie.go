package receiver

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/render"
)

// OpsgenieURL is where Opsgenie answers; the European region has
// https://api.eu.opsgenie.com.
const OpsgenieURL = "https://api.opsgenie.com"

// OpsgenieOptions are what NewOpsgenie needs.
type OpsgenieOptions struct {
	HTTPOptions        // URL is OpsgenieURL where it is ""
	Key         string // of an API integration
	Template    *render.Template
}

// Opsgenie creates an alert for each incident, and closes it when it is over.
type Opsgenie struct {
	p        *poster
	template *render.Template
}

// NewOpsgenie checks the options; nothing is sent.
func NewOpsgenie(opt OpsgenieOptions) (*Opsgenie, error) {
	if opt.URL == "" {
		opt.URL = OpsgenieURL
	}
	if err := checkSecret("token", opt.Key, "integration's key"); err != nil {
		return nil, err
	}
	p, err := newPoster(opt.HTTPOptions, "v2/alerts")
	if err != nil {
		return nil, err
	}
	p.header.Set("Authorization", "GenieKey "+opt.Key)
	p.secrets = append(p.secrets, opt.Key)
	return &Opsgenie{p: p, template: opt.Template}, nil
}

// Traits implements notify.Notifier. An alert stays open until it is closed.
func (g *Opsgenie) Traits() notify.Traits {
	return notify.Traits{Digest: g.NotifyDigest, KeepsOpen: true, Close: g.p.close}
}

// opsgenieAlert is what creates an alert; the limits are those of
// docs.opsgenie.com/docs/alert-api#create-alert.
type opsgenieAlert struct {
	Message     string            `json:"message"`         // 130
	Alias       string            `json:"alias,omitempty"` // 512: the same is one alert
	Description string            `json:"description"`     // 15,000
	Entity      string            `json:"entity,omitempty"`
	Source      string            `json:"source"` // 100
	Priority    string            `json:"priority"`
	Tags        []string          `json:"tags,omitempty"`
	Details     map[string]string `json:"details,omitempty"`
}

// opsgeniePriority is by level.
var opsgeniePriority = [...]string{"P5", "P5", "P3", "P1"}

// opsgenieClose is the body that closes an alert
// (docs.opsgenie.com/docs/alert-api#close-alert).
type opsgenieClose struct {
	Source string `json:"source"`
}

// Notify creates the alert, or closes it.
func (g *Opsgenie) Notify(ctx context.Context, a incident.Alert) error {
	inc := a.Incident
	alias := "oomwatch/" + render.Clip(render.Defang(cmp.Or(inc.ID, a.DeliveryID)), 400)
	if inc.Over() {
		_, err := g.p.sendJSON(ctx, http.MethodPost, g.p.url+"/"+url.PathEscape(alias)+"/close?identifierType=alias", opsgenieClose{Source: "oomwatch"})
		return err
	}
	m := opsgenieOf(g.template.Apply(render.OutlineOf(a, true), a, render.Defang))
	m.Alias, m.Tags = alias, []string{string(inc.Cause), string(inc.Kind)}
	if c := inc.Container; c != nil {
		m.Entity = render.Clip(render.Defang(cmp.Or(c.Name, render.Short(c.ID))), 500)
	}
	_, err := g.p.postJSON(ctx, m)
	return err
}

// NotifyDigest creates one alert for a storm.
func (g *Opsgenie) NotifyDigest(ctx context.Context, id string, d *incident.Digest) error {
	m := opsgenieOf(render.OutlineOfDigest(d))
	m.Alias, m.Tags = "oomwatch/"+id, []string{"storm"}
	_, err := g.p.postJSON(ctx, m)
	return err
}

func opsgenieOf(o *render.Outline) *opsgenieAlert {
	m := &opsgenieAlert{Message: render.Clip(strings.TrimSpace(render.Defang(o.Title)), 130), Description: render.Clip(plainText(o), 14_000),
		Source: "oomwatch", Priority: opsgeniePriority[o.Level()]}
	m.Message = cmp.Or(m.Message, "oomwatch")
	if o.Link != "" {
		m.Details = map[string]string{"url": o.Link}
	}
	return m
}
