package receiver

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/render"
)

// The pace that Teams allows: more than four requests a second are throttled.
const (
	TeamsBurst = 3
	TeamsEvery = time.Second
)

// NewTeams checks the options; nothing is sent. template may be nil. The Chat posts alerts
// to a Microsoft Teams workflow ("Post to a channel when a webhook request is received"),
// as an Adaptive Card.
func NewTeams(opt HTTPOptions, template *render.Template) (*Chat, error) {
	return newChat(opt, "", template, chatService{
		escape:  teamsEscape,
		message: func(o *render.Outline) any { return teamsMessageOf(o) },
	})
}

// teamsColour is by level.
var teamsColour = [...]string{"good", "", "warning", "attention"}

type teamsMessage struct {
	Type        string            `json:"type"`
	Summary     string            `json:"summary"` // what notifications show
	Attachments []teamsAttachment `json:"attachments"`
}

type teamsAttachment struct {
	ContentType string       `json:"contentType"`
	Content     adaptiveCard `json:"content"`
}

// adaptiveCard is the part of an Adaptive Card that is used. All text stands in
// TextRuns: those know no markdown, so nothing in them can format or link
// (learn.microsoft.com/adaptive-cards/authoring-cards/text-features).
type adaptiveCard struct {
	Schema  string         `json:"$schema"`
	Type    string         `json:"type"`
	Version string         `json:"version"`
	MSTeams teamsWidth     `json:"msteams"`
	Body    []richTextLine `json:"body"`
	Actions []openURL      `json:"actions,omitempty"`
}

// openURL is a button that opens a page
// (adaptivecards.io/explorer/Action.OpenUrl.html).
type openURL struct {
	Type  string `json:"type"`
	Title string `json:"title"`
	URL   string `json:"url"`
}

type teamsWidth struct {
	Width string `json:"width"`
}

type richTextLine struct {
	Type    string    `json:"type"`
	Spacing string    `json:"spacing,omitempty"`
	Inlines []textRun `json:"inlines"`
}

type textRun struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Size     string `json:"size,omitempty"`
	Weight   string `json:"weight,omitempty"`
	Color    string `json:"color,omitempty"`
	FontType string `json:"fontType,omitempty"`
	IsSubtle bool   `json:"isSubtle,omitempty"`
}

// maxTeams bounds a message, in bytes: Teams takes 28 KB, all that the workflow
// puts around it included
// (learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors).
const maxTeams = 24_000

func textRunOf(s string) textRun { return textRun{Type: "TextRun", Text: s} }
func boldRunOf(s string) textRun { return textRun{Type: "TextRun", Text: s, Weight: "bolder"} }

func teamsMessageOf(o *render.Outline) *teamsMessage {
	title := boldRunOf(o.Mark() + " " + render.ClipBytes(teamsEscape(o.Title), 300))
	title.Size = "large"
	title.Color = teamsColour[o.Level()]
	foot := func() richTextLine {
		f := textRunOf(render.ClipBytes(teamsEscape(strings.Join(o.Foot, " · ")), 1200))
		f.IsSubtle = true
		return richTextLine{Type: "RichTextBlock", Spacing: "medium", Inlines: []textRun{f}}
	}
	card := adaptiveCard{Schema: "http://adaptivecards.io/schemas/adaptive-card.json", Type: "AdaptiveCard", Version: "1.4", MSTeams: teamsWidth{"Full"}}
	room := maxTeams - 2000 - size(foot()) // the frame, and what was left out
	add := func(spacing string, runs ...textRun) {
		runs = slices.DeleteFunc(runs, func(r textRun) bool { return r.Text == "" })
		if len(runs) == 0 {
			return
		}
		line := richTextLine{Type: "RichTextBlock", Spacing: spacing, Inlines: runs}
		room -= size(line)
		card.Body = append(card.Body, line)
	}
	add("", title)
	for l := range strings.Lines(o.Body) {
		l = render.ClipBytes(strings.TrimRight(l, "\n"), 2000)
		if room < len(l)*2+200 {
			o.Foot = append(o.Foot, "the rest was too long")
			break
		}
		if l != "" {
			add("small", textRunOf(l))
		}
	}
	if o.Body == "" {
		add("small", textRunOf(render.ClipBytes(teamsEscape(o.Lead), 1500)))
	}
	if o.Cause != "" {
		add("small", boldRunOf(teamsEscape(o.Cause)), textRunOf(" · "+teamsEscape(o.Sure)))
	}
	for _, l := range o.Lines {
		text := textRunOf(render.ClipBytes(teamsEscape(l.Text), 800))
		if l.Code {
			text.FontType = "monospace"
		}
		label := l.Label + ": "
		if l.Label == "" {
			label = "• "
		}
		add("none", boldRunOf(label), text)
	}
	card.Body = append(card.Body, foot())
	if o.Link != "" {
		card.Actions = []openURL{{"Action.OpenUrl", "More", o.Link}}
	}
	return &teamsMessage{Type: "message", Summary: o.Mark() + " " + render.ClipBytes(teamsEscape(cmp.Or(o.Lead, o.Title)), 500),
		Attachments: []teamsAttachment{{ContentType: "application/vnd.microsoft.card.adaptive", Content: card}}}
}

// size is what a part takes of a message, in bytes.
func size(v any) int {
	b, err := encodeJSON(v)
	if err != nil {
		return maxTeams
	}
	return len(b)
}

// teamsEscape makes foreign text safe in a TextRun: no function of dates, no
// template of the workflow, no mention, no address.
func teamsEscape(s string) string {
	s = strings.NewReplacer("${", "$ {", "@", "＠", "<at>", "‹at›", "</at>", "‹/at›").Replace(render.Defang(s))
	for strings.Contains(s, "{{") { // three in a row need two rounds
		s = strings.ReplaceAll(s, "{{", "{ {")
	}
	return s
}
