package render

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// Template is a user's own wording of an alert: Go's text/template over the
// incident. What it takes from the incident is foreign, and is escaped for the
// receiver whatever the template does with it; only its own words can format.
type Template struct{ t *template.Template }

// How much a template may do for one alert.
const (
	MaxTemplateOutput = 64 << 10
	maxTemplateSteps  = 10_000
	maxTemplateValue  = 16 << 10
	MaxTemplateSource = 64 << 10
)

// templateFuncs are all that a template may call, beside what compares and
// counts. None of them can make text that is not escaped afterwards, loop, or
// make a text that grows and grows.
var templateFuncs = template.FuncMap{
	"bytes":    func(n *int64) string { return bytesOr(n) },
	"time":     func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"short":    Short,
	"upper":    strings.ToUpper,
	"clip":     func(n int, s string) string { return Clip(s, max(n, 1)) },
	"headline": Headline,
	"spark":    HistoryLine,
	"bar": func(part, whole *int64) string {
		if part == nil || whole == nil || *whole <= 0 {
			return ""
		}
		return bar(*part, *whole)
	},
	"print":  func(args ...any) (string, error) { return bounded(fmt.Sprint(args...)) },
	"printf": func(f string, args ...any) (string, error) { return bounded(fmt.Sprintf(f, args...)) },
	// Put into the tree below.
	escapeFunc: func(...any) (string, error) { return "", nil },
	stepFunc:   func() (string, error) { return "", nil },
}

// templateBuiltins are the functions of text/template that may be called too.
var templateBuiltins = map[string]bool{"and": true, "or": true, "not": true, "len": true, "index": true, "slice": true,
	"eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true}

const (
	escapeFunc = "oomwatch_escape" // at the end of every action
	stepFunc   = "oomwatch_step"   // at the start of every loop's body and template
)

func bounded(s string) (string, error) {
	if len(s) > maxTemplateValue {
		return "", fmt.Errorf("a text of %d bytes; %d are allowed", len(s), maxTemplateValue)
	}
	return s, nil
}

// NewTemplate reads a template and tries it on alerts that hold much and little.
// The error says what is wrong with it.
func NewTemplate(text string) (*Template, error) {
	if len(text) > MaxTemplateSource {
		return nil, fmt.Errorf("the template has %d bytes; %d are allowed", len(text), MaxTemplateSource)
	}
	t, err := template.New("template").Option("missingkey=error").Funcs(templateFuncs).Parse(text)
	if err != nil {
		return nil, plainError(err)
	}
	for _, one := range t.Templates() {
		if one.Tree == nil {
			continue
		}
		if err := guard(one.Tree.Root); err != nil {
			return nil, err
		}
		step(one.Tree.Root)
	}
	out := &Template{t: t}
	for _, a := range Samples() {
		s, err := out.Render(a, redact.Sanitize)
		if err != nil {
			return nil, fmt.Errorf("%w (tried on %s; ask first whether a part is there, as in {{with .Container}}{{.Name}}{{end}})", err, a.DeliveryID)
		}
		if strings.TrimSpace(s) == "" {
			return nil, fmt.Errorf("the template prints nothing for %s", a.DeliveryID)
		}
	}
	return out, nil
}

// guard refuses what a template may not call, and adds the escaping to every
// action that prints, and the counting of steps to every loop.
func guard(n parse.Node) error {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, one := range n.Nodes {
			if err := guard(one); err != nil {
				return err
			}
		}
	case *parse.ActionNode:
		if err := guard(n.Pipe); err != nil {
			return err
		}
		if len(n.Pipe.Decl) == 0 {
			n.Pipe.Cmds = append(n.Pipe.Cmds, command(n.Pos, escapeFunc))
		}
	case *parse.IfNode:
		return guardBranch(&n.BranchNode)
	case *parse.WithNode:
		return guardBranch(&n.BranchNode)
	case *parse.RangeNode:
		if err := guardBranch(&n.BranchNode); err != nil {
			return err
		}
		step(n.List)
	case *parse.TemplateNode:
		return guard(n.Pipe)
	case *parse.PipeNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Cmds {
			for _, arg := range c.Args {
				if err := guard(arg); err != nil {
					return err
				}
			}
		}
	case *parse.ChainNode:
		return guard(n.Node)
	case *parse.IdentifierNode:
		if n.Ident == escapeFunc || n.Ident == stepFunc || templateFuncs[n.Ident] == nil && !templateBuiltins[n.Ident] {
			return fmt.Errorf("the template calls %q, which it may not", n.Ident)
		}
	}
	return nil
}

func guardBranch(b *parse.BranchNode) error {
	for _, n := range []parse.Node{b.Pipe, b.List, b.ElseList} {
		if err := guard(n); err != nil {
			return err
		}
	}
	return nil
}

func command(pos parse.Pos, name string) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{parse.NewIdentifier(name).SetPos(pos)}}
}

// step counts one step at the start of a list.
func step(list *parse.ListNode) {
	pipe := &parse.PipeNode{NodeType: parse.NodePipe, Pos: list.Pos, Cmds: []*parse.CommandNode{command(list.Pos, stepFunc)}}
	list.Nodes = append([]parse.Node{&parse.ActionNode{NodeType: parse.NodeAction, Pos: list.Pos, Pipe: pipe}}, list.Nodes...)
}

// render writes the alert in the template's words, all that is the incident's
// escaped. What is longer than any receiver takes is cut.
func (t *Template) Render(a incident.Alert, escape func(string) string) (string, error) {
	tmpl, err := t.t.Clone()
	if err != nil {
		return "", err
	}
	steps := 0
	tmpl.Funcs(template.FuncMap{
		escapeFunc: func(v ...any) (string, error) {
			// A long part of the incident is cut: it must not cost the alert.
			return escape(ClipBytes(fmt.Sprint(printed(v)...), maxTemplateValue)), nil
		},
		stepFunc: func() (string, error) {
			if steps++; steps > maxTemplateSteps {
				return "", fmt.Errorf("more than %d steps", maxTemplateSteps)
			}
			return "", nil
		},
	})
	var b strings.Builder
	if err := tmpl.Execute(FirstBytes(&b, MaxTemplateOutput), a.Incident); err != nil {
		return "", plainError(err)
	}
	return strings.ToValidUTF8(b.String(), ""), nil
}

// printed is what an action's values print as: a pointer as what it points to.
func printed(args []any) []any {
	for i, v := range args {
		switch v := v.(type) {
		case *int64:
			args[i] = deref(v)
		case *int:
			args[i] = deref(v)
		case *bool:
			args[i] = deref(v)
		case *float64:
			args[i] = deref(v)
		}
	}
	return args
}

func deref[T any](p *T) any {
	if p == nil {
		return ""
	}
	return *p
}

// plainError is an error of text/template in a line, without the values that it
// repeats at length: they are the incident's.
func plainError(err error) error {
	s := err.Error()
	if rest, ok := strings.CutPrefix(s, "template: template:"); ok {
		s = "line " + strings.Replace(rest, `executing "template" at `, "", 1)
	}
	return errors.New(Clip(redact.Sanitize(s), 300))
}

// Apply puts the template's words into an outline. A template that fails costs
// its wording, never the alert.
func (t *Template) Apply(o *Outline, a incident.Alert, escape func(string) string) *Outline {
	if t == nil {
		return o
	}
	s, err := t.Render(a, escape)
	if err != nil {
		o.Foot = append(o.Foot, "the template failed: "+err.Error())
		return o
	}
	o.Body, o.Lead, o.Cause, o.Lines = s, "", "", nil
	return o
}

// Text is the alert in the template's words, or "" where there is no template or
// it fails.
func (t *Template) Text(a incident.Alert, escape func(string) string) string {
	if t == nil {
		return ""
	}
	s, err := t.Render(a, escape)
	if err != nil {
		return ""
	}
	return s
}

// FirstBytes returns a writer that passes on the first n bytes and drops the rest.
func FirstBytes(w io.Writer, n int) io.Writer { return &firstBytes{w: w, left: n} }

type firstBytes struct {
	w    io.Writer
	left int
}

func (f *firstBytes) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	if _, err := f.w.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Samples are the alerts that a template is tried on: one of which all is known,
// one of which nothing is, a warning that is over.
func Samples() []incident.Alert {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	const mib = 1 << 20
	full := &incident.Incident{Schema: incident.Schema, ID: "sample", Kind: incident.KindDeath, Time: now, Severity: incident.Critical,
		Summary: "web was OOM-killed at its own 64 MiB limit", Cause: incident.OOMContainer, Confidence: incident.Certain, SeenLive: new(true),
		Host: &incident.Host{Name: "node-1", BootID: "b", Kernel: "6.12", Cgroup: "v2", Engine: "docker 26.1.5"},
		Container: &incident.Container{ID: strings.Repeat("ab", 32), Name: "web", Image: "shop/web:1", Runtime: "docker", Labels: map[string]string{"team": "shop"},
			Compose: &incident.Compose{Project: "shop", Service: "web"}, Pod: &incident.Pod{UID: "u", Namespace: "n", Name: "p"},
			StartedAt: now.Add(-time.Hour), FinishedAt: now, ExitCode: new(137), Signal: "SIGKILL", OOMKilledFlag: new(true), RestartCount: new(1),
			RestartPolicy: "always", Running: new(false), MemoryLimit: new(int64(64 * mib)), SwapLimit: new(int64(64 * mib)), StopGraceSecond: new(10.0)},
		Unit: "docker.service", Trigger: &incident.Process{PID: 1, Comm: "web"}, Killer: &incident.Killer{Kind: "kernel", Name: "OOM killer"},
		OOM:      &incident.OOM{Constraint: "memcg", Usage: new(int64(64 * mib)), Limit: new(int64(64 * mib)), Failcnt: new(int64(3)), Complete: true, Kills: 1},
		Memory:   &incident.Memory{Anon: new(int64(60 * mib)), File: new(int64(0)), Shmem: new(int64(0)), Kernel: new(int64(mib)), Slab: new(int64(0)), Swap: new(int64(0))},
		Hog:      &incident.Hog{Container: "web", Comm: "web", PID: 1, RSS: new(int64(60 * mib))},
		History:  &incident.History{Trend: "leak", Class: "leak", Slope: new(1.0), Points: []incident.Point{{T: -60, Bytes: mib}, {T: 0, Bytes: 64 * mib}}},
		Pressure: &incident.Pressure{SomeAvg10: new(1.0), FullAvg10: new(1.0), SomeTotal: new(1.0), Scope: "cgroup"},
		Evidence: []incident.Evidence{{Source: "kmsg", Time: now, Text: "Killed process 1 (web)", Means: "the kernel killed it"}},
		Advice:   []string{"Try a limit of 96 MiB."}, LogTail: []string{"the last line"}, Gaps: []incident.Gap{{Source: "docker", Reason: "down"}}, Related: []string{"other"}, Count: 2,
	}
	full.Victim = &incident.Process{PID: 1, Comm: "web", UID: new(0), Main: new(true), TotalVM: new(int64(mib)), RSS: new(int64(mib)), AnonRSS: new(int64(mib)),
		FileRSS: new(int64(mib)), ShmemRSS: new(int64(0)), PageTables: new(int64(0)), Swap: new(int64(0)), OOMScoreAdj: new(0), Container: "web"}
	full.Processes = []incident.Process{*full.Victim}
	bare := &incident.Incident{Schema: incident.Schema, Kind: incident.KindHost, Severity: incident.Critical, Summary: "something ended", Cause: incident.UnknownCause, Confidence: incident.Possible, Count: 1}
	warning := *full
	warning.Kind, warning.Severity, warning.ResolvedAt = incident.KindWarning, incident.Warning, now
	warning.Warning = &incident.WarningFacts{What: "forecast", Since: now.Add(-time.Minute), TimeToLimit: new(30.0), TimeToLimitError: new(5.0)}
	return []incident.Alert{{DeliveryID: "a death with every part", Incident: full, Attempt: 1},
		{DeliveryID: "a kill with no optional part", Incident: bare, Attempt: 1},
		{DeliveryID: "a warning that has ended", Incident: &warning, Attempt: 1, Update: true}}
}
