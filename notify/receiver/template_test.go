package receiver

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
)

func mustTemplate(t *testing.T, text string) *render.Template {
	t.Helper()
	tm, err := render.NewTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return tm
}

func TestTemplateRenders(t *testing.T) {
	a := incident.Alert{DeliveryID: "x", Incident: cases()["oom_container"]}
	for text, want := range map[string]string{
		"{{.Summary}}":   "web was OOM-killed at its own 32 MiB limit: tail held 31.6 MiB of anonymous memory",
		"{{headline .}}": "web: out of memory: own limit",
		"{{with .Container}}{{.Name}} {{short .ID}} {{.ExitCode}}{{else}}none{{end}}":  "web 4fd21a9b4fd2 137",
		"{{with .OOM}}{{bytes .Usage}}/{{bytes .Limit}} {{bar .Usage .Limit}}{{end}}.": "32 MiB/32 MiB [################] 100 %.",
		"{{time .Time}}": "2026-11-21 07:56:40 UTC",
		"{{range $i, $l := .LogTail}}{{if lt $i 2}}{{$l}};{{end}}{{end}}.": "listening on :8080;GET /export 200 18ms;.",
		`{{define "x"}}[{{.}}]{{end}}{{template "x" .Cause}}`:              "[oom.container]",
		`{{printf "%s is %v" .Kind .Confidence | upper}}`:                  "DEATH IS CERTAIN",
		"{{clip 8 .Summary}}":   "web was…",
		"{{.Cause.Info.Title}}": "out of memory: own limit",
	} {
		got, err := mustTemplate(t, text).Render(a, redact.Sanitize)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}

// TestTemplateIsRefused: what cannot be trusted with an alert is refused at start.
func TestTemplateIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "the template prints nothing for",
		"{{":                                  "line 1: unclosed action",
		"{{.Nme}}":                            "can't evaluate field Nme",
		"{{.Container.Name}}":                 "nil pointer evaluating *incident.Container.Name (tried on a kill with no optional part; ask first whether a part is there",
		"{{index .LogTail 0}}":                "a kill with no optional part",
		"{{with .Container}}{{.Name}}{{end}}": "the template prints nothing for a kill with no optional part",
		"{{html .Summary}}":                   `calls "html", which it may not`,
		"{{call .Summary}}":                   `calls "call"`,
		"{{.Summary | js}}":                   `calls "js"`,
		"{{urlquery .Summary}}":               `calls "urlquery"`,
		"{{println .Summary}}":                `calls "println"`,
		"{{oomwatch_escape .Summary}}":        `calls "oomwatch_escape"`,
		"{{if (oomwatch_step)}}x{{end}}":      `calls "oomwatch_step"`,
		"{{exec `id`}}":                       `function "exec" not defined`,
		"x{{range 1000000000}}{{end}}":        "more than 10000 steps",
		`x{{define "r"}}{{template "r"}}{{end}}{{template "r"}}`:                    "more than 10000 steps",
		`{{$s := "0123456789abcdef"}}{{range 40}}{{$s = print $s $s}}{{end}}{{$s}}`: "a text of 32768 bytes; 16384 are allowed",
		`{{printf "%1000000d" 1}}`:                                                  "a text of 1000000 bytes",
		strings.Repeat("x", render.MaxTemplateSource+1):                             "65537 bytes; 65536 are allowed",
	} {
		_, err := render.NewTemplate(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
		if err != nil && (len(err.Error()) > 600 || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%.60s: a long error: %.700s", text, err)
		}
	}
}

// TestTemplateOutputIsBounded: what is longer than any message is cut.
func TestTemplateOutputIsBounded(t *testing.T) {
	tm := mustTemplate(t, strings.Repeat("y", 1000)+`{{range 5000}}{{printf "%1000s" "x"}}{{end}}`)
	s, err := tm.Render(render.Samples()[0], redact.Sanitize)
	if err != nil || len(s) != render.MaxTemplateOutput {
		t.Errorf("%d bytes, %v", len(s), err)
	}
}

// TestTemplateCutsLongParts: a long part of an incident does not cost the alert.
func TestTemplateCutsLongParts(t *testing.T) {
	a := render.Samples()[0]
	long := *a.Incident
	long.Summary = strings.Repeat("web died ", 4000)
	a.Incident = &long
	s, err := mustTemplate(t, "{{.Summary}}|{{.ID}}").Render(a, redact.Sanitize)
	if err != nil || len(s) > 17<<10 || !strings.HasSuffix(s, "…|sample") {
		t.Errorf("%d bytes that end %q, %v", len(s), s[max(0, len(s)-20):], err)
	}
}

// TestTemplateEscapes: whatever a template does with foreign text, it arrives
// escaped; the template's own words format.
func TestTemplateEscapes(t *testing.T) {
	const text = `*ours* <https://runbooks.example/oom|Runbook> {{.Summary}} {{printf "<%s|x>" .Summary}} {{print .Summary | upper}}` +
		`{{with .Container}} {{.Name}}{{range $k, $v := .Labels}} {{$k}}={{$v}}{{end}}{{end}}{{range .LogTail}}
{{.}}{{end}}{{$x := .Summary}} {{$x}}{{define "d"}} {{.}}{{end}}{{template "d" .Summary}} {{slice .Summary 0 1}}{{index .Advice 0}}`
	tm, err := render.NewTemplate(strings.Replace(text, "{{slice .Summary 0 1}}{{index .Advice 0}}", "{{with .Advice}}{{index . 0}}{{end}}", 1))
	if err != nil {
		t.Fatal(err)
	}
	const frame = "*ours* <https://runbooks.example/oom|Runbook>"
	for name, evil := range corpus(t) {
		inc := &incident.Incident{Schema: incident.Schema, Kind: incident.KindDeath, Severity: incident.Critical, Time: time.Now()}
		fill(reflect.ValueOf(inc).Elem(), evil)
		a := incident.Alert{DeliveryID: "x", Incident: inc}
		s, err := NewSlack(HTTPOptions{URL: "https://h.example"}, tm)
		if err != nil {
			t.Fatal(err)
		}
		m := slackMessageOf(s.template.Apply(render.OutlineOf(a, true), a, slackEscape))
		body, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		// JSON writes < and > as \u003c and \u003e.
		plain, err := json.Marshal(frame)
		if err != nil {
			t.Fatal(err)
		}
		body = bytes.ReplaceAll(body, plain[1:len(plain)-1], []byte("OURS"))
		failed := strings.Contains(string(body), "the template failed")
		if !bytes.Contains(body, []byte("OURS")) && !failed {
			t.Errorf("%s: our own words are gone: %.300s", name, body)
		}
		checkBlockKit(t, name, body)
		s.Traits().Close()
		for what, escape := range map[string]func(string) string{"discord": discordEscape, "teams": teamsEscape, "defang": render.Defang, "text": redact.Sanitize} {
			out, err := tm.Render(a, escape)
			if err != nil {
				if len(evil) < 4096 {
					t.Errorf("%s: %s: %v", name, what, err)
				}
				continue
			}
			out = strings.ReplaceAll(out, frame, "")
			safe(t, name+": "+what, out)
			if what != "text" && strings.Contains(out, "://") && what != "discord" || what == "discord" && strings.Contains(out, "@") {
				t.Errorf("%s: %s: %.200q", name, what, out)
			}
		}
	}
}

// TestTemplateFailsSoftly: a template that fails on an alert costs its wording,
// not the alert.
func TestTemplateFailsSoftly(t *testing.T) {
	tm := mustTemplate(t, `own words {{if eq .Count 77}}{{index .Related 99}}{{end}}`)
	a := incident.Alert{DeliveryID: "x", Incident: cases()["oom_container"]}
	o := tm.Apply(render.OutlineOf(a, true), a, slackEscape)
	if o.Body != "own words " {
		t.Errorf("%q", o.Body)
	}
	a.Incident.Count = 77
	o = tm.Apply(render.OutlineOf(a, true), a, slackEscape)
	b, err := json.Marshal(slackMessageOf(o))
	if err != nil || !bytes.Contains(b, []byte("the template failed: line 1:")) || !bytes.Contains(b, []byte("web was OOM-killed")) || !bytes.Contains(b, []byte("loading the whole table")) {
		t.Errorf("%v: %s", err, b)
	}
	if s := tm.Text(a, redact.Sanitize); s != "" {
		t.Errorf("%q", s)
	}
}
