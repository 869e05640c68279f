package explain

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/voices"
)

const (
	// horizonWait bounds each look at how far back a source reaches.
	horizonWait = 3 * time.Second
	// voicesWait bounds the reading of what other programs wrote into the journal.
	voicesWait = 5 * time.Second
)

// horizons asks each source of this host how far back it reaches. obs are what they said.
func horizons(ctx context.Context, obs []observe.Observation) []incident.Horizon {
	out := []incident.Horizon{ringHorizon(ctx), engineHorizon(obs)}
	if h, ok := journalHorizon(ctx); ok {
		out = append(out, h)
	}
	return append(out, incident.Horizon{Source: "trace", Reason: "no daemon was watching signals"})
}

// ringHorizon is the time of the first record that the kernel's ring still holds.
func ringHorizon(ctx context.Context) incident.Horizon {
	ctx, cancel := context.WithTimeout(ctx, horizonWait)
	defer cancel()
	h := incident.Horizon{Source: "kmsg"}
	r, err := kmsg.Open(kmsg.ReaderOptions{})
	if err != nil {
		h.Reason = err.Error()
		return h
	}
	defer r.Close()
	rec, err := r.Next(ctx)
	if err != nil {
		h.Reason = fmt.Sprintf("its first record cannot be read: %v", err)
		return h
	}
	h.Read, h.From = true, rec.Time
	return h
}

// engineHorizon is the time of the oldest event that the engine still holds: it keeps
// the newest few hundred.
func engineHorizon(obs []observe.Observation) incident.Horizon {
	h := incident.Horizon{Source: "docker"}
	for i := range obs {
		switch o := &obs[i]; {
		case o.Source != nil && o.Source.Name == "docker":
			h.Read, h.Reason = o.Source.Up, o.Source.Reason
		case o.Event == nil && o.Signal == nil && o.Exit == nil:
		case h.From.IsZero() || o.At.Before(h.From):
			h.From = o.At
		}
	}
	return h
}

// journalHorizon is the time of the first line of the kernel that the journal keeps; ok
// is false where there is no journal.
func journalHorizon(ctx context.Context) (h incident.Horizon, ok bool) {
	h.Source = "journal"
	journalLines(ctx, horizonWait, func(l voices.Line) bool {
		h.Read, h.From, ok = true, l.At, !l.At.IsZero()
		return false
	}, "_TRANSPORT=kernel")
	return h, ok
}

// journalVoices is what other programs wrote into the journal of ends.
func journalVoices(ctx context.Context, since time.Time) (out []incident.Voice) {
	args := []string{fmt.Sprintf("--since=@%d", since.Unix())}
	for i, name := range voices.Identifiers() {
		if i > 0 {
			args = append(args, "+")
		}
		args = append(args, "SYSLOG_IDENTIFIER="+name)
	}
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
