package recorder

import (
	"context"
	"fmt"
	"time"
)

// Block is a stretch of one service's readings at one step, packed; Decode reads it.
type Block struct {
	Service string
	Step    time.Duration
	// From and To are the times of the first and the last reading.
	From, To time.Time
	Data     []byte
}

// Keeper keeps blocks: all of one call outlive the program, or none. Blocks of
// StepRead are what has been read since the last call, and need be kept only for
// KeepRead; the others go on where the service's last block of that step ends.
type Keeper interface {
	Keep(ctx context.Context, blocks []Block) error
}

// Past is what a Keeper kept, for a Recorder that begins anew.
type Past interface {
	// Rolled is, by service, until when its readings have been rolled up.
	Rolled(ctx context.Context) (map[string]time.Time, error)
	// Read calls f with every block of StepRead that is kept, oldest first.
	Read(ctx context.Context, f func(Block) error) error
}

const (
	// keepEvery is how often the keeper is given what has been read: what a
	// kill -9 can lose.
	keepEvery = 30 * time.Second
	// rollMinutes is how often a service is rolled up; each has a minute of
	// its own among them.
	rollMinutes = 15
	// rollBytes bounds what is held of a service between two.
	rollBytes = 24 << 10
	// maxUnkept is how long the keeper may refuse before readings are given up.
	maxUnkept = 3 * rollMinutes * time.Minute
)

// Run keeps what was recorded every half minute, until ctx ends, and then once more.
func (r *Recorder) Run(ctx context.Context) error {
	if r.keeper == nil {
		<-ctx.Done()
		return nil
	}
	every := time.NewTicker(keepEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = r.Keep(last, time.Now()) // said already; the program ends
			return nil
		case now := <-every.C:
			_ = r.Keep(ctx, now) // said, counted, and tried again at the next turn
		}
	}
}

// Keep hands the keeper what was recorded since the last time, and what is to be
// rolled up by now. What it refuses is offered again the next time.
func (r *Recorder) Keep(ctx context.Context, now time.Time) error {
	blocks, done := r.gather(now)
	if len(blocks) > 0 {
		if err := r.keeper.Keep(ctx, blocks); err != nil {
			err = fmt.Errorf("keep the history of %d services: %w", len(done), err)
			r.refused(err, now)
			return err
		}
	}
	r.commit(done, now)
	return nil
}

// keeping is how far a series is kept once the keeper has taken its blocks.
type keeping struct {
	s      *series
	first  int64 // ticks of the first row of what it was taken from
	kept   int
	base   row
	rolled int64 // ticks: what is not later has been rolled up; 0 for none
}

// gather makes the blocks. It holds the lock for one series at a time, so that
// readings do not have to wait.
func (r *Recorder) gather(now time.Time) (blocks []Block, done []keeping) {
	minute := now.Unix() / 60
	for _, s := range r.all() {
		r.mu.Lock()
		k := keeping{s: s, first: s.now.first, kept: len(s.now.block), base: s.now.last}
		if k.kept > s.kept {
			data := appendHeader(make([]byte, 0, 64+k.kept-s.kept), StepRead, &s.base)
			data = append(data, s.now.block[s.kept:]...)
			rows, err := readBlock(data)
			if err == nil && rows.next() {
				blocks = append(blocks, Block{Service: s.name, Step: StepRead, From: whenOf(rows.row[colWhen]), To: whenOf(s.last), Data: data})
			}
		}
		if until := minute * ticksOf(time.Minute); s.due(minute, until) {
			rolled := s.roll(until)
			blocks = append(blocks, rolled...)
			if len(rolled) > 0 {
				k.rolled = until
			}
		}
		r.mu.Unlock()
		done = append(done, k)
	}
	return blocks, done
}

func (r *Recorder) all() []*series {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*series, 0, len(r.series))
	for _, s := range r.series {
		all = append(all, s)
	}
	return all
}

// due is true when what was read until then is to be rolled up.
func (s *series) due(minute, until int64) bool {
	if s.now.n == 0 || s.now.first > until {
		return false
	}
	if s.live == nil && until-s.last > ticksOf(keepEnded) {
		return true
	}
	return minute%rollMinutes == s.phase || until-s.now.first >= rollMinutes*ticksOf(time.Minute) || len(s.now.block) > rollBytes
}

// roll makes the rolled-up blocks of what was read until then.
func (s *series) roll(until int64) []Block {
	rows, err := readBlock(s.now.block)
	if err != nil {
		return nil
	}
	var out []Block
	short, long := newWriter(StepShort), newWriter(StepLong)
	shorter, longer := roller{step: short.step}, roller{step: long.step}
	for rows.next() && rows.row[colWhen] <= until {
		if w, ok := shorter.add(&rows.row); ok {
			short.add(&w)
		}
		if w, ok := longer.add(&rows.row); ok {
			long.add(&w)
		}
	}
	if w, ok := shorter.rest(); ok {
		short.add(&w)
	}
	if w, ok := longer.rest(); ok {
		long.add(&w)
	}
	for _, w := range []*writer{&short, &long} {
		if w.n > 0 {
			out = append(out, w.as(s.name))
		}
	}
	return out
}

// commit notes what the keeper has, and lets go of what need not be held.
func (r *Recorder) commit(done []keeping, now time.Time) {
	old := ticksAt(now.Add(-keepEnded))
	for i := range done {
		k := &done[i]
		r.mu.Lock()
		if k.first == k.s.now.first { // else it was begun anew meanwhile
			k.s.kept, k.s.base = k.kept, k.base
			if k.rolled > 0 {
				k.s.turn(k.rolled)
			}
		}
		if k.s.live == nil && k.s.now.n == 0 && k.s.last < old {
			delete(r.series, k.s.name)
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failing {
		r.failing = false
		r.trouble(nil)
	}
	for id, t := range r.tracks {
		if !t.ended.IsZero() && now.Sub(t.ended) > keepEnded {
			delete(r.tracks, id)
		}
	}
}

// turn makes what was read until then the older part.
func (s *series) turn(until int64) {
	rows, err := readBlock(s.now.block)
	if err != nil {
		return
	}
	next := newWriter(StepRead)
	end, kept, base := 0, -1, row{}
	for {
		if kept < 0 && len(s.now.block)-len(rows.rest) >= s.kept {
			kept, base = len(next.block), next.last
		}
		if !rows.next() {
			break
		}
		if rows.row[colWhen] <= until {
			end = len(s.now.block) - len(rows.rest)
		} else {
			next.add(&rows.row)
		}
	}
	s.before = append([]byte(nil), s.now.block[:end]...)
	// The memory of the newer part is used again.
	next.block = append(s.now.block[:0], next.block...)
	s.now, s.kept, s.base = next, kept, base
}

// refused notes what the keeper did not take. It is offered again, and given up
// once it has grown old.
func (r *Recorder) refused(err error, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refusals++
	if !r.failing {
		r.failing = true
		r.trouble(err)
	}
	old := ticksAt(now.Add(-maxUnkept))
	for _, s := range r.series {
		if s.now.n > 0 && (s.now.first < old || len(s.now.block) > 2*rollBytes) {
			r.dropped += int64(s.now.n)
			s.kept, s.base = len(s.now.block), s.now.last
			s.turn(s.last)
		}
	}
}

// Restore takes up what an earlier recorder had kept. It comes before Begin.
func (r *Recorder) Restore(ctx context.Context, past Past) error {
	rolled, err := past.Rolled(ctx)
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := map[string]*writer{}
	err = past.Read(ctx, func(b Block) error {
		rows, err := readBlock(b.Data)
		if err != nil {
			return nil // half a minute of one service: the rest is worth having
		}
		s := r.series[b.Service]
		if s == nil {
			s = newSeries(b.Service)
			r.series[b.Service] = s
		}
		until := ticksAt(rolled[b.Service])
		for rows.next() {
			when := rows.row[colWhen]
			switch {
			case when <= s.last:
				continue
			case when <= until:
				w := before[b.Service]
				if w == nil {
					w = new(newWriter(StepRead))
					before[b.Service] = w
				}
				w.add(&rows.row)
			default:
				s.now.add(&rows.row)
			}
			s.newest, s.last = rows.row, when
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	for name, w := range before {
		r.series[name].before = w.block
	}
	for _, s := range r.series {
		s.kept, s.base = len(s.now.block), s.now.last
	}
	return nil
}
