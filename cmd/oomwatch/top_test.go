package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/oomwatch/oomwatch/warn"
)

func topRows() []*warn.Row {
	const mib = 1 << 20
	return []*warn.Row{
		{ID: "a", Name: "leaker", Memory: 190 * mib, Held: new(int64(180 * mib)), Limit: new(int64(256 * mib)), Headroom: new(int64(76 * mib)), StalledFull: new(0.0),
			Trend: "leak", Slope: new(2.0 * mib), TimeToLimit: new(38.0), TimeToLimitError: new(2.0), LimitHits: new(int64(0)), PIDs: new(int64(5)), Warnings: []string{"forecast"}, Danger: 1.995},
		{ID: "b", Name: "\x1b[31mred\n" + strings.Repeat("long", 30), Memory: 10 * mib, Trend: "flat", Danger: 0.81},
		{Name: "(host)", Memory: 3 << 30, Held: new(int64(3 << 30)), Limit: new(int64(8 << 30)), Headroom: new(int64(5 << 30)), Trend: "unknown", Danger: 0.375},
	}
}

func TestTopTable(t *testing.T) {
	// To a file nothing is cut.
	want := strings.TrimPrefix(`
CONTAINER                          MEMORY     HELD    LIMIT    ROOM  STALL            TREND      LIMIT IN  HITS  PIDS  WARNINGS
leaker                            190 MiB  180 MiB  256 MiB  76 MiB  0.0 %  leak +120 MiB/min  38 s ± 2.0 s     0     5  forecast
\x1b[31mred\nlonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglonglong   10 MiB        -        -       -      -             flat             -     -     -
(host)                              3 GiB    3 GiB    8 GiB   5 GiB      -          unknown             -     -     -
`, "\n")
	got := topTable(topRows(), topOptions{})
	if norm(got) != norm(want) {
		t.Errorf("-want +got:\n%s", cmp.Diff(norm(want), norm(got)))
	}
	for _, o := range []topOptions{{width: 40}, {width: 40, colour: true}, {width: 1}} {
		for line := range strings.Lines(topTable(topRows(), o)) {
			if n := utf8.RuneCountInString(strip(line)) - 1; n > o.width {
				t.Errorf("%+v: %d columns: %q", o, n, line)
			}
		}
	}
	// On a narrow terminal what says most stays.
	if got := topTable(topRows()[:1], topOptions{width: 60}); !strings.Contains(got, "38 s ± 2.0 s") || !strings.Contains(got, "forecast") || !strings.Contains(got, "180 MiB") || !strings.Contains(got, "256 MiB") || strings.Contains(got, "HITS") {
		t.Errorf("60 columns: %q", got)
	}
	if got := topTable(topRows(), topOptions{colour: true}); !strings.Contains(got, "\x1b[") || strings.Contains(got, "\x1b[31mred") {
		t.Errorf("coloured: %q", got)
	}
}

// norm leaves the columns' widths out.
func norm(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

// strip takes colours out.
func strip(s string) string {
	for {
		i := strings.Index(s, "\x1b[")
		if i < 0 {
			return s
		}
		j := strings.IndexByte(s[i:], 'm')
		s = s[:i] + s[i+j+1:]
	}
}

// TestTopModel plays what a person and a terminal do.
func TestTopModel(t *testing.T) {
	var fail error
	m := &topModel{ctx: context.Background(), every: time.Second, from: "the daemon", sort: "danger",
		explain: func(_ context.Context, r *warn.Row, _ int) string {
			return "the story of " + r.Name + strings.Repeat("\nmore", 30)
		},
		rows: func(context.Context) ([]*warn.Row, error) { return topRows(), fail }}
	m.Update(m.Init()())
	m.Update(tea.WindowSizeMsg{Width: 200, Height: 24})
	if got := m.View().Content; !strings.Contains(got, "2 containers and the host") || !strings.Contains(got, "leaker") || !strings.Contains(got, "(host)") {
		t.Errorf("shows:\n%s", got)
	}
	// A small window shows the first, and scrolls no further than the last.
	m.Update(tea.WindowSizeMsg{Width: 30, Height: 5})
	if got := m.View().Content; strings.Contains(got, "(host)") || !strings.Contains(got, "leaker") || strings.Count(got, "\n") > 4 {
		t.Errorf("5 lines show:\n%s", got)
	}
	for range 5 {
		m.Update(tea.KeyPressMsg{Code: tea.KeyDown})
	}
	if got := m.View().Content; !strings.Contains(got, "(host)") || strings.Contains(got, "leaker") {
		t.Errorf("scrolled down it shows:\n%s", got)
	}
	// What goes wrong is said, and the last rows stay.
	fail = errors.New("the daemon\x1b[31m is gone")
	m.Update(m.look())
	if got := m.View().Content; !strings.Contains(got, "is gone") || strings.Contains(got, "\x1b[31m is") || !strings.Contains(got, "(host)") {
		t.Errorf("after a failure it shows:\n%s", got)
	}
	fail = nil
	m.Update(tea.KeyPressMsg{Code: ' ', Text: " "})
	m.rows = func(context.Context) ([]*warn.Row, error) { return nil, nil }
	m.Update(m.look())
	if got := m.View().Content; len(m.list) == 0 || !strings.Contains(got, "pau") {
		t.Errorf("paused it shows:\n%s", got)
	}
	topKeys(t, m)
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil || cmd() != tea.Quit() {
		t.Error("q does not end it")
	}
}

// What is seldom is shown only where it is there.
func TestTopSeldomColumns(t *testing.T) {
	plain := []*warn.Row{{Name: "web"}}
	if text := topTable(plain, topOptions{}); strings.Contains(text, "ZOMBIES") || strings.Contains(text, "LOG/H") {
		t.Errorf("%s", text)
	}
	zombies, log := int64(400), int64(1<<30)
	both := []*warn.Row{{Name: "web"}, {Name: "morgue", Zombies: &zombies, LogPerHour: &log}}
	if text := topTable(both, topOptions{}); !strings.Contains(text, "ZOMBIES") || !strings.Contains(text, "400") || !strings.Contains(text, "1 GiB") {
		t.Errorf("%s", text)
	}
}

// topKeys sorts, filters and explains.
func topKeys(t *testing.T, m *topModel) {
	t.Helper()
	m.Update(tea.WindowSizeMsg{Width: 60, Height: 12})
	press := func(keys ...tea.KeyPressMsg) (cmd tea.Cmd) {
		for _, k := range keys {
			_, cmd = m.Update(k)
		}
		return cmd
	}
	letter := func(r rune) tea.KeyPressMsg { return tea.KeyPressMsg{Code: r, Text: string(r)} }
	enter, esc := tea.KeyPressMsg{Code: tea.KeyEnter}, tea.KeyPressMsg{Code: tea.KeyEscape}
	press(tea.KeyPressMsg{Code: tea.KeyHome}, letter('s'))
	if got := m.View().Content; !strings.Contains(got, "sort: name") || m.list[0].Name != "\x1b[31mred\n"+strings.Repeat("long", 30) {
		t.Errorf("sorted by name:\n%s", got)
	}
	press(letter('/'), letter('l'), letter('e'), letter('a'))
	if got := m.View().Content; !strings.Contains(got, "filter: lea_") || strings.Contains(got, "(host)") || !strings.Contains(got, "> leaker") {
		t.Errorf("filtered:\n%s", got)
	}
	for _, title := range []string{"HELD", "LIMIT"} {
		if got := m.View().Content; !strings.Contains(got, title) {
			t.Errorf("on 60 columns %s is missing:\n%s", title, got)
		}
	}
	if cmd := press(enter, enter); cmd == nil {
		t.Fatal("Enter asks for nothing")
	} else {
		m.Update(cmd())
	}
	if got := m.View().Content; !strings.HasPrefix(got, "the story of leaker") || !strings.Contains(got, "q back") || strings.Count(got, "\n") > 11 {
		t.Errorf("explained:\n%s", got)
	}
	press(tea.KeyPressMsg{Code: tea.KeyPgDown})
	if got := m.View().Content; strings.Contains(got, "the story") {
		t.Errorf("scrolled:\n%s", got)
	}
	press(letter('q'), letter('/'), esc)
	if got := m.View().Content; !strings.Contains(got, "(host)") || m.filter != "" {
		t.Errorf("back in the table:\n%s", got)
	}
}
