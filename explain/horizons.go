package explain

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/voices"
	"github.com/oomwatch/oomwatch/watcher/journal"
)

// voicesWait bounds the reading of what other programs wrote into the journal.
const voicesWait = 5 * time.Second

// horizons are those of what this host has beside the sources that say it themselves.
// The journal is read from since on.
func horizons(ctx context.Context, since time.Time) []incident.Horizon {
	out := []incident.Horizon{{Source: "trace", Reason: "no daemon was watching signals"}}
	if h, err := journal.Reach(ctx); err == nil {
		if h.From.Before(since) {
			h.From = since // no more of it is read
		}
		out = append(out, h)
	}
	return out
}

// journalVoices is what other programs wrote into the journal of ends.
func journalVoices(ctx context.Context, since time.Time) (out []incident.Voice) {
	// The newest first: where there are too many those of long ago are left out.
	args := append([]string{"--reverse", fmt.Sprintf("--since=@%d", since.Unix())}, voices.Matches()...)
	var lines []voices.Line
	journal.Lines(ctx, voicesWait, func(l voices.Line) bool {
		if voices.Speaks(l) {
			lines = append(lines, l)
		}
		return len(lines) < maxVoices
	}, args...)
	var reader voices.Reader
	for _, l := range slices.Backward(lines) {
		if v, ok := reader.Read(l); ok {
			out = append(out, v)
		}
	}
	return out
}
