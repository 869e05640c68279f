package trace

import (
	"maps"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Fields of the two events that every kernel has.
var (
	signalFields = []string{"common_type", "common_flags", "common_pid", "sig", "errno", "code", "pid", "group", "result"}
	victimFields = []string{"common_type", "common_pid", "pid"}
)

// raw is what a page tells, before anybody is looked up.
type raw struct {
	stamp  uint64
	cpu    int
	kind   rawKind
	head   signalHead // of a signal
	comm   string     // the target's or the victim's, as the event has it
	repeat int

	victim Victim // the sizes, of a victim
	tid    int    // the victim's
	now    int    // the task that was running, of a victim

	from uint64 // of a loss: the last event before; 0 if there was none
	lost uint64
}

type rawKind int

const (
	rawSignal rawKind = iota
	rawVictim
	rawLoss
)

// signalHead is what two equal signals have in common.
type signalHead struct {
	sig, errno, code, result int
	group, interrupt         bool
	current, target          int
}

// take reads a page of a processor's buffer.
func (in *Instance) take(c *cpu, b []byte) {
	first, started := len(in.raws), false
	var start uint64
	pg, err := in.layout.entries(b, func(stamp uint64, data []byte) {
		if !started {
			start, started = stamp, true
		}
		in.takeEvent(c, first, stamp, data)
	})
	if err != nil {
		in.stats.Malformed++
	}
	if !started && len(b) >= 8 {
		start = in.layout.order.Uint64(b)
	}
	if pg.missed {
		// Told before the events of the page, which came after.
		at := len(in.raws)
		in.lose(c, pg, start)
		if len(in.raws) > at {
			loss := in.raws[at]
			copy(in.raws[first+1:], in.raws[first:at])
			in.raws[first] = loss
		}
	}
	if last := len(in.raws) - 1; started && last >= first {
		c.last = in.raws[last].stamp
	}
}

// takeEvent reads one event. first is where those of its page begin.
func (in *Instance) takeEvent(c *cpu, first int, stamp uint64, data []byte) {
	r := record{format: in.signals, order: in.layout.order, data: data, ok: true}
	switch id := int(r.int("common_type")); {
	case !r.ok:
		in.stats.Malformed++
	case id == in.signals.id:
		s, ok := readSignal(&r)
		if !ok {
			in.stats.Malformed++
			return
		}
		s.stamp, s.cpu = stamp, c.n
		in.stats.Signals++
		if n := len(in.raws); n > first && in.raws[n-1].kind == rawSignal && in.raws[n-1].head == s.head {
			in.raws[n-1].repeat++
			return
		}
		in.raws = append(in.raws, s)
	case id == in.victims.id:
		r.format = in.victims
		v, ok := readVictim(&r)
		if !ok {
			in.stats.Malformed++
			return
		}
		v.stamp, v.cpu = stamp, c.n
		in.stats.Victims++
		in.raws = append(in.raws, v)
	}
	// Another kind was written by root by hand (trace_marker): not ours to tell.
}

// readSignal reads a signal:signal_generate.
func readSignal(r *record) (raw, bool) {
	const inInterrupt = 0x08 | 0x10 | 0x40 // hard, soft, not maskable
	s := raw{kind: rawSignal, comm: r.str("comm"), head: signalHead{
		sig:       int(r.int("sig")),
		errno:     int(r.int("errno")),
		code:      int(r.int("code")),
		result:    int(r.int("result")),
		group:     r.int("group") != 0,
		interrupt: r.int("common_flags")&inInterrupt != 0,
		current:   int(r.int("common_pid")),
		target:    int(r.int("pid")),
	}}
	return s, r.ok && s.head.current >= 0 && s.head.target >= 0
}

// readVictim reads an oom:mark_victim. Its sizes are in KiB.
func readVictim(r *record) (raw, bool) {
	size := func(name string) *int64 {
		if !r.has(name) {
			return nil
		}
		n := r.int(name) * 1024
		return &n
	}
	number := func(name string) *int {
		if !r.has(name) {
			return nil
		}
		n := int(r.int(name))
		return &n
	}
	v := raw{kind: rawVictim, comm: r.str("comm"), tid: int(r.int("pid")), now: int(r.int("common_pid"))}
	v.victim = Victim{
		TotalVM:     size("total_vm"),
		AnonRSS:     size("anon_rss"),
		FileRSS:     size("file_rss"),
		ShmemRSS:    size("shmem_rss"),
		PageTables:  size("pgtables"),
		UID:         number("uid"),
		OOMScoreAdj: number("oom_score_adj"),
	}
	return v, r.ok && v.tid > 0 && v.now >= 0
}

// lose notes that events of a processor were lost before stamp. How many is in
// the page, if there was room; the kernel's counter, which may be ahead of the
// page, tells the rest, and that nothing is told twice.
func (in *Instance) lose(c *cpu, pg page, stamp uint64) {
	n := pg.count
	if now, err := c.readStats(); err == nil {
		n = 0
		if pg.missed {
			told := c.overrun + pg.count
			if pg.count == 0 || told > now.overrun {
				told = now.overrun
			}
			n, c.overrun = told-c.overrun, told
		}
		n += now.dropped - c.dropped
		c.dropped = now.dropped
	} else {
		n = max(1, n)
	}
	if n == 0 {
		return
	}
	c.lost += n
	in.raws = append(in.raws, raw{kind: rawLoss, stamp: stamp, cpu: c.n, from: c.last, lost: n})
}

// tell makes events of raws, and finds out who is meant by their numbers.
func (in *Instance) tell() {
	if len(in.raws) == 0 {
		return
	}
	in.find.begin()
	real, boot, mono := readClocks()
	wall := func(stamp uint64) time.Time {
		return real.Add(time.Duration(stamp) - mono).Round(0).UTC()
	}
	who := func(tid int, stamp uint64) Process {
		return in.find.process(tid, boot+time.Duration(stamp)-mono)
	}
	for i := range in.raws {
		// Victims first: they are dying while they are looked up.
		if r := &in.raws[i]; r.kind == rawVictim {
			who(r.tid, r.stamp)
		}
	}
	sender := func(s *Signal) Process {
		p := s.Current
		if s.Sender() != nil && !p.Gone {
			p.Command = in.find.command(p.PID)
			p.Confined = in.find.confined(p)
		}
		return p
	}
	in.queue = make([]Event, 0, len(in.raws))
	for _, r := range in.raws {
		switch r.kind {
		case rawSignal:
			s := &Signal{
				Time: wall(r.stamp), Uptime: time.Duration(r.stamp),
				Sig: r.head.sig, Errno: r.head.errno, Code: r.head.code, Result: Result(r.head.result),
				Group: r.head.group, Interrupt: r.head.interrupt, Repeats: r.repeat,
				Current: who(r.head.current, r.stamp),
				Target:  named(who(r.head.target, r.stamp), r.comm),
			}
			s.Current = sender(s)
			if s.Sig == int(syscall.SIGKILL) && s.Code == CodeKernel {
				in.condemn(r.head.target, r.stamp)
			}
			in.queue = append(in.queue, Event{Signal: s})
		case rawVictim:
			v := r.victim
			v.Time, v.Uptime = wall(r.stamp), time.Duration(r.stamp)
			v.Current = who(r.now, r.stamp)
			v.Victim = named(who(r.tid, r.stamp), r.comm)
			if v.Victim.Cgroup == "" && v.Victim.PPID != 0 {
				v.ParentCgroup = who(v.Victim.PPID, r.stamp).Cgroup
			}
			v.Killed = in.condemned(r.tid, r.stamp)
			in.queue = append(in.queue, Event{Victim: &v})
		case rawLoss:
			l := &Loss{To: wall(r.stamp), CPU: r.cpu, Events: r.lost}
			if r.from != 0 {
				l.From = wall(r.from)
			}
			in.queue = append(in.queue, Event{Loss: l})
		}
	}
}

const (
	// condemnedFor is how long before a mark the kernel's SIGKILL of the same
	// kill may lie: it sends the one and makes the other in the next line.
	condemnedFor = uint64(100 * time.Millisecond)
	maxCondemned = 256
)

// condemn notes that the kernel itself sent a task SIGKILL. It does so too to all
// in a PID namespace that ends: most are never asked for.
func (in *Instance) condemn(tid int, stamp uint64) {
	if in.killed == nil {
		in.killed = map[int]uint64{}
	}
	if len(in.killed) >= maxCondemned {
		maps.DeleteFunc(in.killed, func(_ int, at uint64) bool { return stamp-min(stamp, at) > condemnedFor })
	}
	if len(in.killed) < maxCondemned {
		in.killed[tid] = stamp
	}
}

// condemned tells whether a task that is marked now was sent it just before.
func (in *Instance) condemned(tid int, stamp uint64) bool {
	at, ok := in.killed[tid]
	delete(in.killed, tid)
	return ok && stamp-min(stamp, at) <= condemnedFor
}

// named gives p the name that the event itself has: it is of that very moment.
func named(p Process, comm string) Process {
	if comm != "" {
		p.Comm = comm
	}
	return p
}

// readClocks reads the wall clock, the clock that counts since boot and the one
// that the events are stamped by.
func readClocks() (real time.Time, boot, mono time.Duration) {
	read := func(clock int32) time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			// The clocks are there on every Linux; what is wrong then is worse than this.
			panic("clock_gettime: " + err.Error())
		}
		return time.Duration(ts.Nano())
	}
	mono, boot = read(unix.CLOCK_MONOTONIC), read(unix.CLOCK_BOOTTIME)
	return time.Now(), boot, mono
}
