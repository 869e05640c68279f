package docker

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/moby/moby/api/types/events"
	"github.com/oomwatch/oomwatch/observe"
)

// Bounds on what is read from files.
const (
	maxEventLine   = 4 << 20
	maxInspectSize = 256 << 20
)

// ReadEvents reads what docker events prints, as text or with --format '{{json .}}',
// and docker compose events --json: one event per line, in the order of the stream. Events of networks, images and the like,
// and those that are not used (exec, attach), are left out. The first line that
// is no event ends the reading with an error that names it; what came before is returned.
func ReadEvents(r io.Reader) ([]observe.Observation, error) {
	const want = "want the output of docker events --format '{{json .}}', of docker events as it prints, or of docker compose events --json"
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxEventLine)
	shadows := map[string]*shadow{}
	seen := newSeenSet(4096)
	var out []observe.Observation
	line := 0
	for sc.Scan() {
		line++
		text := bytes.TrimSpace(sc.Bytes())
		if len(text) == 0 {
			continue
		}
		m, err := eventOf(text)
		if err != nil {
			return out, fmt.Errorf("line %d is no event: %w (%s)", line, err, want)
		}
		m = asDocker(m)
		sh := shadows[m.Actor.ID]
		if sh == nil {
			sh = &shadow{}
			shadows[m.Actor.ID] = sh
		}
		if m.Type == "" || m.Type == events.ContainerEventType {
			sh.learn(m)
		}
		o, ok := observation(m, *sh)
		if !ok || !seen.add(keyOf(m)) {
			continue
		}
		out = append(out, o)
	}
	if err := sc.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return out, fmt.Errorf("line %d is longer than %d bytes: %s", line+1, maxEventLine, want)
		}
		return out, fmt.Errorf("read events after line %d: %w", line, err)
	}
	return out, nil
}

// ReadInspect reads what docker inspect prints: one or more JSON arrays of
// containers, or single objects. It gives one Container per container, with its
// last Exit when it has ended, at the time of that exit, else of its start.
// Anything that is no container ends the reading with an error that names the line.
func ReadInspect(r io.Reader) ([]observe.Observation, error) {
	var out []observe.Observation
	err := eachInspected(r, func(raw json.RawMessage) error {
		var d document
		if err := json.Unmarshal(raw, &d); err != nil {
			return err
		}
		if d.ID == "" || d.State == nil {
			return errNoContainer
		}
		c := d.container("docker")
		o := observe.Observation{Container: &c, At: c.StartedAt}
		switch {
		case c.Exit != nil:
			o.At = c.Exit.At
		case o.At.IsZero():
			o.At = parseTime(d.Created)
		}
		out = append(out, o)
		return nil
	})
	return out, err
}

// errNoContainer is for an object that is not of a container.
var errNoContainer = errors.New("it has no Id or no State (want the output of docker inspect --type container CONTAINER)")

// eachInspected gives each object that docker inspect printed to take. The first error
// ends the reading; it names the line.
func eachInspected(r io.Reader, take func(json.RawMessage) error) error {
	in, err := io.ReadAll(io.LimitReader(r, maxInspectSize+1))
	if err != nil {
		return fmt.Errorf("read inspect output: %w", err)
	}
	if len(in) > maxInspectSize {
		return fmt.Errorf("the inspect output is longer than %d MiB", maxInspectSize>>20)
	}
	lineAt := func(off int64) int { return 1 + bytes.Count(in[:min(off, int64(len(in)))], []byte{'\n'}) }
	dec := json.NewDecoder(bytes.NewReader(in))
	one := func() error {
		// The offset is before any blank or comma: the object begins after.
		start := dec.InputOffset()
		start += int64(len(in[start:]) - len(bytes.TrimLeft(in[start:], " \t\r\n,")))
		var raw json.RawMessage
		err := dec.Decode(&raw)
		if err == nil {
			err = take(raw)
		}
		switch {
		case errors.Is(err, errNoContainer):
			return fmt.Errorf("line %d is no container: %w", lineAt(start), err)
		case err != nil:
			return fmt.Errorf("line %d is no container: %w (want the output of docker inspect CONTAINER)", lineAt(errorOffset(err, start, dec)), jsonReason(err))
		}
		return nil
	}
	for {
		rest := bytes.TrimLeft(in[dec.InputOffset():], " \t\r\n")
		if len(rest) == 0 {
			return nil
		}
		if rest[0] != '[' {
			if err := one(); err != nil {
				return err
			}
			continue
		}
		if _, err := dec.Token(); err != nil {
			return fmt.Errorf("line %d: %w", lineAt(dec.InputOffset()), jsonReason(err))
		}
		for dec.More() {
			if err := one(); err != nil {
				return err
			}
		}
		if _, err := dec.Token(); err != nil {
			return fmt.Errorf("line %d: the list does not end: %w", lineAt(int64(len(in))), jsonReason(err))
		}
	}
}

// errorOffset is where in the input a decoding error lies.
func errorOffset(err error, start int64, dec *json.Decoder) int64 {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return syntax.Offset
	case errors.As(err, &kind):
		return start + kind.Offset
	case errors.Is(err, io.ErrUnexpectedEOF):
		return 1 << 62
	}
	return max(start, dec.InputOffset())
}

// jsonReason words the errors of encoding/json that say nothing to a reader.
func jsonReason(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("it ends in the middle")
	}
	return err
}
