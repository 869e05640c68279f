package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/terminal"
)

// progress draws on a terminal how far a long file has been read; elsewhere it
// draws nothing.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	began time.Time
	drawn time.Time
	now   func() time.Time
}

const (
	progressAfter = 500 * time.Millisecond
	progressEvery = 100 * time.Millisecond
	progressWidth = 30
)

// newProgress returns a progress that draws on w if that is a terminal.
func newProgress(w io.Writer) *progress {
	if !terminal.Is(w) {
		return &progress{}
	}
	return &progress{w: w, began: time.Now(), now: time.Now}
}

// at draws that done of total bytes have been read; total 0 is not known.
func (p *progress) at(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w == nil {
		return
	}
	now := p.now()
	if now.Sub(p.began) < progressAfter || now.Sub(p.drawn) < progressEvery {
		return
	}
	p.drawn = now
	if total <= 0 {
		fmt.Fprintf(p.w, "\r\x1b[Kread %s", incident.FormatBytes(done))
		return
	}
	part := min(float64(done)/float64(total), 1)
	full := int(part * progressWidth)
	fmt.Fprintf(p.w, "\r\x1b[K[%s%s] %3.0f %%  %s of %s", strings.Repeat("=", full), strings.Repeat(" ", progressWidth-full),
		100*part, incident.FormatBytes(done), incident.FormatBytes(total))
}

// clear takes the drawing away.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w != nil && !p.drawn.IsZero() {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
