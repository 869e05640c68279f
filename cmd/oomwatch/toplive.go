package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/render"
	"github.com/oomwatch/oomwatch/units"
	"github.com/oomwatch/oomwatch/warn"
)

// live shows rows on the terminal until q.
func (t *topCommand) live(ctx context.Context, rows look, from string) error {
	m := &topModel{ctx: ctx, rows: rows, from: from, every: time.Duration(t.every), colour: terminal.Colour(t.cmd.OutOrStdout()), sort: t.sort, filter: t.filter,
		explain: t.explain}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithOutput(t.cmd.OutOrStdout()), tea.WithInput(t.cmd.InOrStdin()), tea.WithoutSignalHandler())
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		return fmt.Errorf("show on this terminal: %w; without one: oomwatch top --once", err)
	}
	return nil
}

// explain is what `oomwatch explain` says of a container, in lines of at most width.
func (t *topCommand) explain(ctx context.Context, r *warn.Row, width int) string {
	if r.ID == "" {
		return "This row is the host.\nIts incidents: oomwatch history --kind host"
	}
	quiet := &cobra.Command{} // a note would be written over the screen
	quiet.SetErr(io.Discard)
	e := explainer{cmd: quiet, docker: t.docker}
	e.where.add(quiet)
	e.where.socket = t.socket
	list, _, err := e.ask(ctx, r.ID)
	switch {
	case err != nil:
		return strings.Join(wrap(redact.Sanitize(err.Error()), width), "\n")
	case len(list) == 0:
		return strings.Join(wrap(fmt.Sprintf("No death or kill of %s is on record.", redact.Sanitize(r.Name)), width), "\n")
	}
	var b strings.Builder
	if err := render.WriteText(&b, list[len(list)-1], render.TextOptions{Width: width}); err != nil {
		return redact.Sanitize(err.Error())
	}
	return b.String()
}

// topModel is what is on the screen.
type topModel struct {
	ctx     context.Context
	rows    look
	from    string
	every   time.Duration
	colour  bool
	explain func(context.Context, *warn.Row, int) string

	all    []*warn.Row // as they came
	list   []*warn.Row // those that are shown, in their order
	at     time.Time
	err    error
	paused bool
	sort   string
	filter string
	typing bool     // the filter
	story  []string // what is said of the chosen container, in place of the table
	below  int      // the line of the story at the top
	chosen int
	first  int // the row at the top
	width  int
	height int
}

// gotRows is the answer to a look, gotStory that to Enter.
type (
	gotRows struct {
		list []*warn.Row
		at   time.Time
		err  error
	}
	gotStory string
)

// again asks for the next look.
type again struct{}

func (m *topModel) look() tea.Msg {
	list, err := m.rows(m.ctx)
	return gotRows{list, time.Now(), err}
}

func (m *topModel) wait() tea.Cmd {
	return tea.Tick(m.every, func(time.Time) tea.Msg { return again{} })
}

// Init implements tea.Model.
func (m *topModel) Init() tea.Cmd { return m.look }

// Update implements tea.Model.
func (m *topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		m.choose(m.chosen)
	case gotRows:
		if m.err = msg.err; msg.err == nil && !m.paused {
			m.all, m.at = msg.list, msg.at
		}
		m.arrange()
		return m, m.wait()
	case gotStory:
		m.story, m.below = strings.Split(strings.TrimRight(string(msg), "\n"), "\n"), 0
	case again:
		return m, m.look
	case tea.KeyPressMsg:
		switch {
		case msg.String() == "ctrl+c":
			return m, tea.Quit
		case m.typing:
			m.typed(msg)
		case m.story != nil:
			m.read(msg.String())
		default:
			return m, m.key(msg.String())
		}
	}
	return m, nil
}

// key takes a key while the table is shown.
func (m *topModel) key(key string) tea.Cmd {
	switch key {
	case "q", "esc":
		return tea.Quit
	case "space", " ":
		m.paused = !m.paused
	case "down", "j":
		m.choose(m.chosen + 1)
	case "up", "k":
		m.choose(m.chosen - 1)
	case "pgdown":
		m.choose(m.chosen + m.page())
	case "pgup":
		m.choose(m.chosen - m.page())
	case "home", "g":
		m.choose(0)
	case "end", "G":
		m.choose(len(m.list) - 1)
	case "s":
		names := warn.OrderNames()
		m.sort = names[(slices.Index(names, m.sort)+1)%len(names)]
		m.arrange()
	case "/":
		m.typing = true
	case "enter":
		if m.chosen < len(m.list) {
			row, width := m.list[m.chosen], m.width
			return func() tea.Msg { return gotStory(m.explain(m.ctx, row, width)) }
		}
	}
	return nil
}

// typed takes a key while the filter is typed.
func (m *topModel) typed(msg tea.KeyPressMsg) {
	switch msg.String() {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.filter = false, ""
	case "backspace":
		if r := []rune(m.filter); len(r) > 0 {
			m.filter = string(r[:len(r)-1])
		}
	default:
		m.filter += msg.Text
	}
	m.arrange()
}

// read takes a key while a story is shown.
func (m *topModel) read(key string) {
	switch key {
	case "down", "j":
		m.below++
	case "up", "k":
		m.below--
	case "pgdown", "space", " ":
		m.below += m.page()
	case "pgup":
		m.below -= m.page()
	case "q", "esc", "enter":
		m.story = nil
	}
	m.below = max(min(m.below, len(m.story)-m.page()), 0)
}

// page is how many rows fit beside title, header and foot.
func (m *topModel) page() int { return max(m.height-4, 1) }

// arrange shows the rows as they are asked for; the chosen container stays chosen.
func (m *topModel) arrange() {
	id, at := "", m.chosen
	if m.chosen < len(m.list) {
		id = m.list[m.chosen].ID
	}
	m.list = arrange(m.all, m.sort, m.filter)
	if i := slices.IndexFunc(m.list, func(r *warn.Row) bool { return r.ID == id }); id != "" && at > 0 && i >= 0 {
		at = i
	}
	m.choose(at)
}

// choose chooses a row, and scrolls to it.
func (m *topModel) choose(row int) {
	m.chosen = min(max(row, 0), max(len(m.list)-1, 0))
	m.first = min(max(m.first, m.chosen-m.page()+1), m.chosen)
	m.first = max(min(m.first, len(m.list)-m.page()), 0)
}

// View implements tea.Model.
func (m *topModel) View() tea.View {
	var b strings.Builder
	if m.width > 0 {
		m.write(&b)
	}
	v := tea.NewView(b.String())
	v.AltScreen = true
	v.WindowTitle = "oomwatch top"
	return v
}

func (m *topModel) write(b *strings.Builder) {
	if m.story != nil {
		for _, line := range m.story[m.below:min(m.below+m.page()+2, len(m.story))] {
			b.WriteString(clipRunes(line, m.width) + "\n")
		}
		b.WriteString(clipRunes("q back · arrows scroll", m.width))
		return
	}
	head := fmt.Sprintf("oomwatch top · %s and the host · from %s", units.Count(max(len(m.all)-1, 0), "container"), m.from)
	if !m.at.IsZero() {
		head += " · " + m.at.Local().Format("15:04:05")
	}
	b.WriteString(clipRunes(head, m.width) + "\n")
	if m.err != nil {
		b.WriteString(clipRunes(redact.Sanitize(m.err.Error()), m.width))
	}
	b.WriteString("\n" + topTable(m.list, topOptions{width: m.width, colour: m.colour, from: m.first, rows: m.page(), chosen: m.chosen}))
	foot := "q quit · Enter explain · s sort: " + m.sort + " · / filter · space pause"
	if m.paused {
		foot = "paused · " + foot
	}
	switch {
	case m.typing:
		foot = "filter: " + redact.Sanitize(m.filter) + "_  (Enter keeps it, Esc ends it)"
	case m.filter != "":
		foot = "filter: " + redact.Sanitize(m.filter) + " · " + foot
	}
	b.WriteString(clipRunes(foot, m.width))
}
