package lab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// MatrixEnv names the variable with the file that tests append to, a line for
// each death that they caused; see Told.
const MatrixEnv = "OOMWATCH_MATRIX"

// Told is what was said of one real death.
type Told struct {
	Platform string // see Engine.Platform
	Cause    string // the code it must have, "-" where nothing may be told
	Death    string // how it was caused
	Right    bool
	Word     string // anything more: what it was told as, when that was wrong
}

// String is the line of it.
func (x Told) String() string {
	verdict := "wrong"
	if x.Right {
		verdict = "right"
	}
	return strings.TrimRight(fmt.Sprintf("MATRIX %s %s %s %s %s", x.Platform, x.Cause, x.Death, verdict, x.Word), " ")
}

// Keep appends it to the file that MatrixEnv names, if any.
func (x Told) Keep() error {
	path := os.Getenv(MatrixEnv)
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("keep what was told: %w", err)
	}
	if _, err := fmt.Fprintln(f, x); err != nil {
		f.Close()
		return fmt.Errorf("keep what was told: %w", err)
	}
	return f.Close()
}

// ReadMatrix reads the lines of Told out of a text with other lines in it.
func ReadMatrix(r io.Reader) ([]Told, error) {
	var all []Told
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		_, line, ok := strings.Cut(sc.Text(), "MATRIX ")
		f := strings.Fields(line)
		if !ok || len(f) < 4 || f[3] != "right" && f[3] != "wrong" {
			continue
		}
		all = append(all, Told{Platform: f[0], Cause: f[1], Death: f[2], Right: f[3] == "right", Word: strings.Join(f[4:], " ")})
	}
	return all, sc.Err()
}

// WriteMatrix writes cause and death down, platforms across: how many were told
// right of how many. It returns how many were told wrong.
func WriteMatrix(w io.Writer, all []Told) (wrong int) {
	type cell struct{ right, all int }
	cells := map[[3]string]*cell{}
	var rows [][2]string
	var platforms []string
	var notes []string
	for _, x := range all {
		row := [2]string{x.Cause, x.Death}
		if !slices.Contains(rows, row) {
			rows = append(rows, row)
		}
		if !slices.Contains(platforms, x.Platform) {
			platforms = append(platforms, x.Platform)
		}
		key := [3]string{x.Cause, x.Death, x.Platform}
		if cells[key] == nil {
			cells[key] = &cell{}
		}
		cells[key].all++
		if x.Right {
			cells[key].right++
			continue
		}
		wrong++
		notes = append(notes, fmt.Sprintf("wrong: %s %s on %s %s", x.Cause, x.Death, x.Platform, x.Word))
	}
	slices.SortStableFunc(rows, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	wide := [2]int{len("cause"), len("death")}
	for _, row := range rows {
		wide = [2]int{max(wide[0], len(row[0])), max(wide[1], len(row[1]))}
	}
	fmt.Fprintf(w, "%-*s  %-*s", wide[0], "cause", wide[1], "death")
	for _, p := range platforms {
		fmt.Fprintf(w, "  %s", p)
	}
	fmt.Fprintln(w)
	for _, row := range rows {
		line := fmt.Sprintf("%-*s  %-*s", wide[0], row[0], wide[1], row[1])
		for _, p := range platforms {
			text := ""
			if c := cells[[3]string{row[0], row[1], p}]; c != nil {
				text = fmt.Sprintf("%d/%d", c.right, c.all)
				if c.right < c.all {
					text += " WRONG"
				}
			}
			line += fmt.Sprintf("  %-*s", len(p), text)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	for _, n := range notes {
		fmt.Fprintln(w, strings.TrimRight(n, " "))
	}
	fmt.Fprintf(w, "%d deaths, %d told right\n", len(all), len(all)-wrong)
	return wrong
}
