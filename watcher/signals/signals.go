// Package signals is the source that sees who sends fatal signals, through a tracefs
// instance of its own.
package signals

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/trace"
)

// Source follows the kernel's trace events of signals.
type Source struct {
	// Root is where tracefs is mounted, "" for the usual places.
	Root string
	// HostPath turns the cgroup of a process, as this process sees it, into the host's; nil
	// where they are the same.
	HostPath func(path string) string

	read, lost atomic.Uint64
}

// Counts are how many events were read since the start, and how many the kernel
// overwrote before that. It may be called from any goroutine.
func (t *Source) Counts() (read, lost uint64) { return t.read.Load(), t.lost.Load() }

// Name implements observe.Source.
func (t *Source) Name() string { return observe.Trace }

// retryEvery is how often tracefs is tried again where it cannot be opened.
const retryEvery = 30 * time.Second

// Run implements observe.Source.
func (t *Source) Run(ctx context.Context, emit func(observe.Observation)) error {
	observe.Retry(ctx, retryEvery, emit, func(emit func(observe.Observation)) error { return t.follow(ctx, emit) }, down)
	return nil
}

// down is the source's word that tracefs cannot be read, with the step that would mend it.
func down(err error) observe.Observation {
	o := observe.Down(observe.Trace, time.Now(), err)
	o.Source.Kind = observe.KindTrace
	var access *trace.AccessError
	if errors.As(err, &access) {
		o.Source.Reason, o.Source.Fix = access.Reason, access.Fix
	}
	return o
}

func (t *Source) follow(ctx context.Context, emit func(observe.Observation)) (err error) {
	in, err := trace.Open(trace.Options{Root: t.Root})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	emit(observe.Observation{At: time.Now(), Source: &observe.SourceState{Name: observe.Trace, Kind: observe.KindTrace, Up: true}})
	for {
		ev, err := in.Next(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case ev.Signal != nil:
			t.read.Add(1)
			t.hostPaths(&ev.Signal.Current, &ev.Signal.Target)
			emit(sentObservation(ev.Signal))
		case ev.Victim != nil:
			t.read.Add(1)
			t.hostPaths(&ev.Victim.Victim, &ev.Victim.Current)
			if t.HostPath != nil {
				ev.Victim.ParentCgroup = t.HostPath(ev.Victim.ParentCgroup)
			}
			emit(markedObservation(ev.Victim))
		case ev.Loss != nil:
			t.lost.Add(ev.Loss.Events)
			emit(observe.Observation{At: ev.Loss.To, Lost: &incident.Gap{Source: observe.Trace, From: ev.Loss.From, To: ev.Loss.To,
				Lost: int64(ev.Loss.Events), Reason: "the trace buffer was overwritten before it was read"}})
		}
	}
}

// hostPaths has the cgroups of processes be the host's.
func (t *Source) hostPaths(all ...*trace.Process) {
	for _, p := range all {
		if t.HostPath != nil {
			p.Cgroup = t.HostPath(p.Cgroup)
		}
	}
}

// sentObservation turns a traced signal into an Observation.
func sentObservation(s *trace.Signal) observe.Observation {
	o := &observe.Sent{PID: s.Target.PID, Comm: s.Target.Comm, Cgroup: s.Target.Cgroup, Sent: incident.Sent{
		At: s.Time, Number: s.Sig, FromKernel: s.FromKernel(), Ignored: s.Result == trace.Ignored}}
	if from := s.Sender(); from != nil {
		o.Sender = incident.Process{PID: from.PID, Comm: from.Comm, UID: from.UID}
		o.Command = command(from.Command)
		if from.UID != nil {
			o.User = userName(*from.UID, userFiles)
		}
		o.SenderCgroup, o.SenderConfined = from.Cgroup, from.Confined
		o.Self = from.PID == s.Target.PID
	}
	return observe.Observation{At: s.Time, Sent: o}
}

// markedObservation turns a mark of the OOM killer into an Observation.
func markedObservation(v *trace.Victim) observe.Observation {
	return observe.Observation{At: v.Time, Marked: &observe.Marked{
		PID: v.Victim.TID, Comm: v.Victim.Comm, Uptime: v.Uptime, Killed: v.Killed,
		Init: v.Victim.Init, Cgroup: v.Victim.Cgroup, ParentCgroup: v.ParentCgroup, Trigger: incident.Process{PID: v.Current.PID, Comm: v.Current.Comm},
		TotalVM: v.TotalVM, AnonRSS: v.AnonRSS, FileRSS: v.FileRSS, ShmemRSS: v.ShmemRSS, PageTables: v.PageTables,
		UID: v.UID, OOMScoreAdj: v.OOMScoreAdj,
	}}
}
