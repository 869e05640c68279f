package explain

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/voices"
)

const (
	// horizonWait bounds each look at how far back a source reaches.
	horizonWait = 3 * time.Second
	// voicesWait bounds the reading of what other programs wrote into the journal.
	voicesWait = 5 * time.Second
)

// horizons are those of what this host has beside the sources that say it themselves.
// The journal is read from since on.
func horizons(ctx context.Context, since time.Time) []incident.Horizon {
	out := []incident.Horizon{{Source: "trace", Reason: "no daemon was watching signals"}}
	if h, err := Journal(ctx); err == nil {
		if h.From.Before(since) {
			h.From = since // no more of it is read
		}
		out = append(out, h)
	}
	return out
}

// Journal says how far back the kernel's lines in the journal reach. It fails where
// there is no journal, or none that may be read.
func Journal(ctx context.Context) (incident.Horizon, error) {
	h := incident.Horizon{Source: "journal"}
	if _, err := exec.LookPath("journalctl"); err != nil {
		return h, errors.New("there is no journalctl here")
	}
	journalLines(ctx, horizonWait, func(l voices.Line) bool {
		h.Read, h.From = !l.At.IsZero(), l.At
		return false
	}, "_TRANSPORT=kernel")
	if !h.Read {
		return h, errors.New("the journal holds no line of the kernel that this user may read")
	}
	return h, nil
}

// journalVoices is what other programs wrote into the journal of ends.
func journalVoices(ctx context.Context, since time.Time) (out []incident.Voice) {
	// The newest first: where there are too many those of long ago are left out.
	args := append([]string{"--reverse", fmt.Sprintf("--since=@%d", since.Unix())}, voices.Matches()...)
	journalLines(ctx, voicesWait, func(l voices.Line) bool {
		if v, ok := voices.Parse(l); ok {
			out = append(out, v)
		}
		return len(out) < maxVoices
	}, args...)
	return out
}

// journalLines gives the journal's lines, oldest first, until next says that it is enough.
// Where there is no journal there are none.
func journalLines(ctx context.Context, wait time.Duration, next func(voices.Line) bool, args ...string) {
	path, err := exec.LookPath("journalctl")
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, append([]string{"--quiet", "--no-pager", "--output=json"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		return
	}
	sc := bufio.NewScanner(out)
	sc.Buffer(make([]byte, maxLine), 4<<20)
	for sc.Scan() && next(voices.ParseLine(sc.Text(), time.Local, time.Now())) {
	}
	cancel() // what is left is of no use
	_ = cmd.Wait()
}
