package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/oomwatch/oomwatch/internal/input"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/readings"
)

// atTime is a moment: as --since takes it, or in Unix seconds.
type atTime struct{ sinceTime }

func (a *atTime) UnmarshalText(b []byte) error {
	if s, err := strconv.ParseFloat(string(b), 64); err == nil {
		if math.IsNaN(s) || math.Abs(s) > 1<<40 {
			return fmt.Errorf("%q is not a time in Unix seconds", b)
		}
		a.at = time.UnixMicro(int64(s * 1e6))
		return nil
	}
	return a.sinceTime.UnmarshalText(b)
}

// readReadings judges the readings of files, as of --at.
func (t *triager) readReadings(ctx context.Context) ([]triage.Service, error) {
	var set readings.Set
	if at := t.at.from(time.Now()); !at.IsZero() {
		set.Until = float64(at.UnixMicro()) / 1e6
	}
	if since := t.since.from(time.Now()); !since.IsZero() {
		set.Since = float64(since.UnixMicro()) / 1e6
	}
	for _, name := range t.readings {
		if err := readOne(ctx, &set, name, t.cmd.InOrStdin()); err != nil {
			return nil, err
		}
	}
	var out []triage.Service
	for h := range set.Histories() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if t.what != "" && !named(&triage.Service{Service: h.Service, Containers: h.Containers}, t.what) {
			continue
		}
		h.Windows = t.what != ""
		out = append(out, triage.JudgeHistory(h))
	}
	for _, note := range set.Notes {
		fmt.Fprintf(t.cmd.ErrOrStderr(), "note: %s\n", redact.Sanitize(note))
	}
	if len(out) == 0 && set.Read == 0 {
		return nil, errors.New("found no reading, or none between --since and --at; a line is {\"time\": 1767225600, \"service\": \"web\", \"used_bytes\": 104857600}")
	}
	return out, nil
}

func readOne(ctx context.Context, set *readings.Set, name string, stdin io.Reader) error {
	in := stdin
	if name == "" {
		return usageError{errors.New("a file of readings has no name: give a path, or - for standard input")}
	}
	if name != "-" {
		f, err := input.Open(ctx, name)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	r, done, err := kmsg.Decompress(in, name)
	if err != nil {
		return err
	}
	defer done()
	return set.Add(stoppable{ctx, r}, name)
}

// stoppable ends reading when the command is interrupted.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

func (s stoppable) Read(b []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(b)
}
