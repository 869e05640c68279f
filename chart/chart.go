// Package chart draws a container's memory before an incident as an SVG picture
// that stands alone: no script, no font, nothing from elsewhere, readable on a
// light and on a dark ground.
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// The picture, in its own units.
const (
	width, height = 860, 400
	left, right   = 74, 20
	top, bottom   = 92, 74
	plotW         = width - left - right
	plotH         = height - top - bottom
	titleRunes    = 92
)

// style has a colour for each ground; the hues are told apart by colour-blind
// people too. No variables: not every program that shows pictures knows them.
const style = `
text{font:12px system-ui,sans-serif;fill:#59636e}.h{font-size:15px;font-weight:600;fill:#1b1f24}.e{text-anchor:end}.m{text-anchor:middle}
.bg{fill:#fff}.grid{stroke:#d1d9e0}.area{fill-opacity:.8}.anon{fill:#d98324}.shmem{fill:#b0568f}.kernel{fill:#2f8f6b}.file{fill:#4b8bc8}
.usage{fill:none;stroke:#1b1f24;stroke-width:1.6;stroke-linejoin:round}.ahead{fill:none;stroke:#1b1f24;stroke-width:1.4;stroke-dasharray:2 4}
.limit{stroke:#b3261e;stroke-width:1.5;stroke-dasharray:7 4}.kill{fill:none;stroke:#b3261e;stroke-width:1.5}.red{fill:#b3261e}
@media(prefers-color-scheme:dark){text{fill:#9198a1}.h{fill:#e6edf3}.bg{fill:#0d1117}.grid{stroke:#30363d}.anon{fill:#c7762a}.shmem{fill:#b565a0}.kernel{fill:#3f9f78}.file{fill:#4f8fc9}
.usage,.ahead{stroke:#e6edf3}.limit,.kill{stroke:#ff7b72}.red{fill:#ff7b72}}
`

// longest is the longest history that is drawn, in seconds.
const longest = 10 * 365 * 86400

// SVG draws an incident's history. It is false where there is none to draw.
func SVG(inc *incident.Incident) ([]byte, bool) {
	h := inc.History
	if h == nil || len(h.Points) < 2 {
		return nil, false
	}
	d := newDrawing(inc)
	if span := d.to - d.from; !(span > 0 && span < longest) || h.Points[len(h.Points)-1].T <= h.Points[0].T {
		return nil, false
	}
	d.frame()
	d.areas()
	d.usage()
	d.limit()
	d.kills()
	d.end()
	d.legend()
	d.b.WriteString("</svg>\n")
	return d.b.Bytes(), true
}

// drawing is one picture being made.
type drawing struct {
	b          bytes.Buffer
	inc        *incident.Incident
	h          *incident.History
	from, to   float64 // seconds, relative to the incident
	most       float64 // bytes at the upper edge
	limitBytes int64   // 0 for none
	limitName  string  // whose it is
	ahead      float64 // when the limit is foretold to be reached; 0 for not
}

func newDrawing(inc *incident.Incident) *drawing {
	p := inc.History.Points
	d := &drawing{inc: inc, h: inc.History, from: p[0].T, to: max(p[len(p)-1].T, 0)}
	d.limitName = "limit"
	if l := inc.History.Limit; l != nil && *l > 0 {
		d.limitBytes = *l
	} else if o := inc.OOM; inc.Cause == incident.OOMAncestor && o != nil && o.Limit != nil {
		d.limitBytes, d.limitName = *o.Limit, "its parent's limit"
	} else if c := inc.Container; c != nil && c.MemoryLimit != nil {
		d.limitBytes = max(*c.MemoryLimit, 0)
	}
	if w := inc.Warning; w != nil && w.TimeToLimit != nil && inc.ResolvedAt.IsZero() && *w.TimeToLimit < 8*(d.to-d.from) {
		d.ahead = *w.TimeToLimit
		d.to = max(d.to, d.ahead)
	}
	d.most = 1
	for _, q := range p {
		d.most = max(d.most, float64(q.Bytes))
	}
	for i := range inc.History.Breakdown {
		sum := int64(0)
		for _, v := range parts(&inc.History.Breakdown[i]) {
			sum += v
		}
		d.most = max(d.most, float64(sum))
	}
	// A limit far above all that was used would press the story flat.
	if d.limitBytes > 0 && float64(d.limitBytes) < 4*d.most {
		d.most = max(d.most, float64(d.limitBytes))
	}
	d.most *= 1.08
	return d
}

func (d *drawing) x(t float64) float64 { return left + (t-d.from)/(d.to-d.from)*plotW }
func (d *drawing) y(v float64) float64 { return top + plotH - v/d.most*plotH }

func (d *drawing) printf(format string, a ...any) { fmt.Fprintf(&d.b, format, a...) }

// text writes foreign words safely.
func (d *drawing) text(x, y float64, class, s string) {
	d.printf(`<text x="%.1f" y="%.1f"`, x, y)
	if class != "" {
		d.printf(` class="%s"`, class)
	}
	d.printf(">%s</text>\n", escape(s))
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(redact.Sanitize(s))) // a Builder takes all
	return b.String()
}

// frame draws title, ground, grid and axes.
func (d *drawing) frame() {
	d.printf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n", width, height, width, height)
	d.printf("<title>%s</title>\n<style>%s</style>\n", escape(d.inc.Summary), style)
	d.printf(`<rect class="bg" width="%d" height="%d"/>`+"\n", width, height)
	for i, line := range fold(d.inc.Summary, titleRunes, 2) {
		d.text(16, float64(26+19*i), "h", line)
	}
	d.text(16, 66, "", clip(d.subtitle(), 130))
	step := niceBytes(d.most / 5)
	for v := 0.0; v <= d.most; v += step {
		d.printf(`<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", left, d.y(v), width-right, d.y(v))
		d.text(left-8, d.y(v)+4, "e", mib(v))
	}
	first, step := ticks(d.from, d.to, d.inc.Time)
	for t := first; t <= d.to; t += step {
		d.printf(`<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", d.x(t), top+plotH, d.x(t), top+plotH+5)
		d.text(d.x(t), top+plotH+19, "m", d.clock(t, step))
	}
}

// subtitle says what the picture shows, and what shape it has.
func (d *drawing) subtitle() string {
	var s []string
	if !d.inc.Time.IsZero() {
		s = append(s, d.inc.Time.Local().Format("2006-01-02 15:04:05 MST"))
	}
	if d.inc.Cause != "" {
		s = append(s, string(d.inc.Cause))
	}
	switch word := d.h.TrendWord(); {
	case word == "" || word == incident.TrendUnknown:
	case d.h.Reason != "":
		s = append(s, word+": "+d.h.Reason)
	default:
		s = append(s, word)
	}
	return strings.Join(s, " · ")
}

// layers are the parts from below, each with its class and name.
var layers = [...]struct{ class, name string }{
	{"anon", "anonymous"}, {"shmem", "shared, tmpfs"}, {"kernel", "kernel"}, {"file", "page cache"},
}

// parts are the layers' sizes; what is not known is 0.
func parts(p *incident.Parts) (out [len(layers)]int64) {
	get := func(n *int64) int64 {
		if n == nil {
			return 0
		}
		return max(*n, 0)
	}
	out = [len(layers)]int64{get(p.Anon), get(p.Shmem), get(p.Kernel), get(p.File)}
	out[3] = max(out[3]-out[1], 0) // page cache counts shared memory too
	return out
}

// areas stacks the breakdown.
func (d *drawing) areas() {
	bd := d.h.Breakdown
	if len(bd) < 2 {
		return
	}
	below := make([]float64, len(bd))
	for l := range layers {
		var up, down strings.Builder
		any := false
		for i := range bd {
			low := below[i]
			below[i] += float64(parts(&bd[i])[l])
			any = any || below[i] > low
			fmt.Fprintf(&up, "%.1f,%.1f ", d.x(bd[i].T), d.y(below[i]))
		}
		if !any {
			continue
		}
		for i := len(bd) - 1; i >= 0; i-- {
			fmt.Fprintf(&down, "%.1f,%.1f ", d.x(bd[i].T), d.y(below[i]-float64(parts(&bd[i])[l])))
		}
		d.printf(`<polygon class="area %s" points="%s"/>`+"\n", layers[l].class, strings.TrimSpace(up.String()+down.String()))
	}
}

// usage draws memory in use, and where it is foretold to go.
func (d *drawing) usage() {
	var b strings.Builder
	for _, q := range d.h.Points {
		fmt.Fprintf(&b, "%.1f,%.1f ", d.x(q.T), d.y(float64(q.Bytes)))
	}
	d.printf(`<polyline class="usage" points="%s"/>`+"\n", strings.TrimSpace(b.String()))
	if d.ahead > 0 && d.limitBytes > 0 {
		last := d.h.Points[len(d.h.Points)-1]
		d.printf(`<polyline class="ahead" points="%.1f,%.1f %.1f,%.1f"/>`+"\n", d.x(last.T), d.y(float64(last.Bytes)), d.x(d.ahead), d.y(float64(d.limitBytes)))
	}
}

func (d *drawing) limit() {
	if d.limitBytes <= 0 {
		return
	}
	if float64(d.limitBytes) > d.most {
		d.text(left, top-6, "red", d.limitName+" "+incident.FormatBytes(d.limitBytes)+", above the picture")
		return
	}
	y := d.y(float64(d.limitBytes))
	d.printf(`<line class="limit" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>`+"\n", left, y, width-right, y)
	d.text(left+6, y-5, "red", d.limitName+" "+incident.FormatBytes(d.limitBytes))
}

// kills marks when the kernel killed something else in it, along the lower edge.
func (d *drawing) kills() {
	for _, t := range d.h.Kills {
		if t >= d.from && t <= d.to {
			d.cross(d.x(t), top+plotH)
		}
	}
}

// cross marks a kill.
func (d *drawing) cross(x, y float64) {
	d.printf(`<path class="kill" d="M%.1f %.1fl8 8m0 -8l-8 8"/>`+"\n", x-4, y-4)
}

// end marks the moment of the incident.
func (d *drawing) end() {
	what := "killed"
	switch {
	case d.inc.Kind == "":
		return // a picture of a container that goes on
	case d.inc.Kind == incident.KindWarning:
		what = "warned"
	case d.inc.OOM == nil && d.inc.Killer == nil:
		what = "ended"
	}
	x := d.x(0)
	d.printf(`<line class="kill" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x, top, x, top+plotH)
	if what == "killed" {
		d.cross(x, top)
	}
	class, at := "e red", x-8
	if x < left+plotW/2 {
		class, at = "red", x+8
	}
	d.text(at, top-6, class, what)
}

// legend names the layers with what each held last.
func (d *drawing) legend() {
	x, y := float64(left), float64(height-16)
	item := func(class, name string) {
		d.printf(`<rect class="%s" x="%.1f" y="%.1f" width="11" height="11"/>`+"\n", class, x, y-10)
		d.text(x+16, y, "", name)
		x += 16 + 6.6*float64(utf8.RuneCountInString(name)) + 22
	}
	last := d.h.Points[len(d.h.Points)-1]
	d.printf(`<line class="usage" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x, y-4, x+12, y-4)
	name := "in use " + incident.FormatBytes(last.Bytes)
	d.text(x+16, y, "", name)
	x += 16 + 6.6*float64(utf8.RuneCountInString(name)) + 22
	if n := len(d.h.Breakdown); n >= 2 {
		held := parts(&d.h.Breakdown[n-1])
		for l := range layers {
			item(layers[l].class, layers[l].name+" "+incident.FormatBytes(held[l]))
		}
		if before := last.T - d.h.Breakdown[n-1].T; before > 0.5 {
			d.text(width-right, y-20, "e", "the parts as of "+incident.FormatDuration(time.Duration(before*float64(time.Second)))+" earlier")
		}
	}
	if len(d.h.Kills) > 0 {
		above := y - 20
		d.cross(left+5, above-4)
		d.text(left+16, above, "", "another process in it was killed")
	}
}

// clock is a moment as the axis names it.
func (d *drawing) clock(t, step float64) string {
	if d.inc.Time.IsZero() {
		if t == 0 {
			return "0"
		}
		return incident.FormatDuration(time.Duration(t * float64(time.Second)))
	}
	at := d.inc.Time.Local().Add(time.Duration(t * float64(time.Second))).Round(time.Second)
	switch {
	case step < 60:
		return at.Format("15:04:05")
	case step < 86400:
		return at.Format("15:04")
	}
	return at.Format("01-02")
}

// ticks are round moments from the first of them on.
func ticks(from, to float64, zero time.Time) (first, step float64) {
	step = 1
	for _, s := range []float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 30 * 86400, 365 * 86400} {
		if step = s; (to-from)/s <= 8 {
			break
		}
	}
	base := 0.0 // the incident's distance from a round moment
	if !zero.IsZero() {
		base = math.Mod(float64(zero.UnixNano())/1e9, step)
	}
	return math.Ceil((from+base)/step)*step - base, step
}

// niceBytes rounds a step up to a size that reads well.
func niceBytes(v float64) float64 {
	step := 1024.0
	for {
		for _, m := range []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512} {
			if step*m >= v {
				return step * m
			}
		}
		step *= 1024
	}
}

// mib writes a size of the axis.
func mib(v float64) string { return incident.FormatBytes(int64(v)) }

// fold breaks text into at most n lines.
func fold(s string, runes, n int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(redact.Sanitize(s)) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > runes {
			if len(lines) == n-1 {
				line = clip(line+" "+word, runes)
				break
			}
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + clip(word, runes))
	}
	return append(lines, line)
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
