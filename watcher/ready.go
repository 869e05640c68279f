package watcher

import (
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/verdict"
)

// deathReadyAt is when the end of a run can be judged: at once where kernel and
// engine agree, later the less is explained; zero while it has not ended.
func (c *Correlator) deathReadyAt(e *entry, r *run) time.Time {
	main := r.mainKill()
	switch {
	case r.Told && !r.Amend && !(r.ToldOpen && r.Exit != nil):
		return time.Time{}
	case r.Exit == nil && main:
		if c.up("docker") {
			return r.killSeen.Add(joinWait)
		}
		return r.killSeen.Add(shortWait)
	case r.Exit == nil && r.Missed:
		return r.ExitSeen.Add(joinWait)
	case r.Exit == nil:
		return time.Time{}
	}
	base := r.ExitSeen
	full := base
	if r.detailPending {
		full = base.Add(detailWait)
	}
	code := r.Exit.ExitCode
	sig := incident.ExitSignal(code)
	asked, killed := r.requests()
	kernel := c.up("kmsg")
	switch {
	case main:
		return full
	case r.Missed:
		// The kernel's records of that time may still be on their way.
		return later(full, base.Add(joinWait))
	case sig == 9 && killed && asked && r.StopDone.IsZero():
		return later(full, base.Add(stopWait))
	case sig == 9 && killed:
		return full
	case r.sentBy(sig) && !r.recentKill():
		return full
	case sig == 9 && r.recentKill():
		return later(full, base.Add(shortWait))
	case sig == 9 && (kernel || e.unexplained() > 0 || len(r.OOMs) > 0):
		return later(full, base.Add(joinWait))
	case sig == 9:
		return later(full, base.Add(shortWait))
	case sig != 0 && sig != 15 && len(r.Faults) == 0 && kernel && !asked:
		return later(full, base.Add(shortWait))
	case asked && r.StopDone.IsZero():
		return later(full, base.Add(stopWait))
	case code == 0 && !asked:
		return base
	}
	return full
}

// sentBy is true when a sender of the signal was seen.
func (r *run) sentBy(sig int) bool {
	for i := range r.Sent {
		if s := &r.Sent[i]; s.Number == sig && sig != 0 && !s.FromKernel && !s.Ignored {
			return true
		}
	}
	return false
}

// unexplained is true for a death that was told with nothing to explain it.
func (r *run) unexplained() bool {
	return r.ToldCause == incident.KillUnknown || r.ToldCause == incident.UnknownCause || r.ToldCause == incident.ExitError
}

// openAgain lets a death that was told without knowing who sent the signal be
// told once more, now that somebody was seen to send it.
func (r *run) openAgain(signal int) bool {
	if r.Exit == nil || incident.ExitSignal(r.Exit.ExitCode) != signal || !r.unexplained() {
		return false
	}
	r.Amend = true
	return true
}

// mainKill is true when the kernel killed the run's first process.
func (r *run) mainKill() bool {
	for i := range r.Kills {
		if r.Kills[i].Main {
			return true
		}
	}
	return false
}

// requests says whether the engine was asked to stop the run, and to SIGKILL it.
func (r *run) requests() (asked, killed bool) {
	for _, s := range r.Signals {
		if s.Number == 9 {
			killed = true
		} else if !killed {
			asked = true
		}
	}
	return asked, killed
}

// recentKill is true when a child was OOM-killed within seconds before the end.
func (r *run) recentKill() bool {
	if r.Exit == nil && r.Missed {
		return len(r.Kills) > 0 // it is not known to have outlived them
	}
	for i := range r.Kills {
		if d := endOf(r).Sub(r.Kills[i].Kill.Time); d > -late && d < verdict.ChildWindow {
			return true
		}
	}
	return false
}

// killsReadyAt is when the kills of a run that lives on are told: after a
// moment in which it may yet die of them; zero when none waits.
func (c *Correlator) killsReadyAt(r *run) time.Time {
	waiting := false
	for i := range r.Kills {
		waiting = waiting || !r.Kills[i].Main && !r.killTold(c.killID(&r.Kills[i]))
	}
	if !waiting || r.Exit != nil && !r.Told {
		return time.Time{} // the death tells them
	}
	// The kernel may speak of a run before the engine does; until then its
	// first process looks like another's child.
	wait := time.Second
	if r.PID == 0 && c.up("docker") {
		// Whether the victim was its first process is not known yet, and an
		// engine that is too busy to tell the pid tells the end late, too.
		wait = pidWait
	}
	// Not from the newest: it may be one every half second, for hours.
	return r.killsSince.Add(wait)
}

// counterReadyAt is when a risen counter without kernel record is told.
func (e *entry) counterReadyAt() time.Time {
	if e.counterSeen.IsZero() || e.unexplained() == 0 {
		return time.Time{}
	}
	return e.counterSeen.Add(counterWait)
}
