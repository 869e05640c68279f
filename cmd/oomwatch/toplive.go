package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/warn"
)

// live shows rows on the terminal until q.
func (t *topCommand) live(ctx context.Context, rows look, from string) error {
	m := &topModel{ctx: ctx, rows: rows, from: from, every: time.Duration(t.every), colour: terminal.Colour(t.cmd.OutOrStdout())}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithOutput(t.cmd.OutOrStdout()), tea.WithInput(t.cmd.InOrStdin()), tea.WithoutSignalHandler())
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrProgramKilled) {
		return fmt.Errorf("show on this terminal: %w; without one: oomwatch top --once", err)
	}
	return nil
}

// topModel is what is on the screen.
type topModel struct {
	ctx    context.Context
	rows   look
	from   string
	every  time.Duration
	colour bool

	list   []*warn.Row
	at     time.Time
	err    error
	paused bool
	first  int // the row at the top
	width  int
	height int
}

// gotRows is the answer to a look.
type gotRows struct {
	list []*warn.Row
	at   time.Time
	err  error
}

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
	case gotRows:
		if m.err = msg.err; msg.err == nil && !m.paused {
			m.list, m.at = msg.list, msg.at
		}
		m.scroll(0)
		return m, m.wait()
	case again:
		return m, m.look
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		case "space", " ":
			m.paused = !m.paused
		case "down", "j":
			m.scroll(1)
		case "up", "k":
			m.scroll(-1)
		case "pgdown":
			m.scroll(m.page())
		case "pgup":
			m.scroll(-m.page())
		case "home", "g":
			m.first = 0
		}
	}
	return m, nil
}

// page is how many rows fit beside title, header and foot.
func (m *topModel) page() int { return max(m.height-4, 1) }

func (m *topModel) scroll(by int) {
	m.first = min(max(m.first+by, 0), max(len(m.list)-m.page(), 0))
}

// View implements tea.Model.
func (m *topModel) View() tea.View {
	var b strings.Builder
	if m.width > 0 {
		head := fmt.Sprintf("oomwatch top · %d containers and the host · from %s", max(len(m.list)-1, 0), m.from)
		if !m.at.IsZero() {
			head += " · " + m.at.Local().Format("15:04:05")
		}
		if m.paused {
			head += " · paused"
		}
		b.WriteString(clipRunes(head, m.width) + "\n")
		if m.err != nil {
			b.WriteString(clipRunes(redact.Sanitize(m.err.Error()), m.width))
		}
		b.WriteString("\n" + topTable(m.list, topOptions{width: m.width, colour: m.colour, from: m.first, rows: m.page()}))
		b.WriteString(clipRunes("q quit · space pause · arrows scroll", m.width))
	}
	v := tea.NewView(b.String())
	v.AltScreen = true
	v.WindowTitle = "oomwatch top"
	return v
}
