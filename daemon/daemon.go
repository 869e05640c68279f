// Package daemon wires the sources, the join, the store, the receivers and the web server
// into one program that runs until it is told to end.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/web"
	"go.uber.org/zap"
)

// drainWait bounds an orderly end: what is not delivered by then stays owed.
const drainWait = 5 * time.Second

// Options are what a Daemon takes from the program that runs it. All may be left out.
type Options struct {
	// Warnings are what the configuration's reader had to say; they are logged.
	Warnings []string
	// Load reads the configuration anew, at each of Hangups.
	Load    func() (*config.Config, []string, error)
	Hangups <-chan os.Signal
	// Stdout takes the alerts of receivers of type stdout, Stderr the log.
	Stdout, Stderr io.Writer
}

// Daemon follows every source, keeps incidents and sends alerts.
type Daemon struct {
	cfg *config.Config
	opt Options
}

// New returns a Daemon with a configuration; Run starts it.
func New(cfg *config.Config, opt Options) *Daemon {
	if opt.Stdout == nil {
		opt.Stdout = io.Discard
	}
	if opt.Stderr == nil {
		opt.Stderr = io.Discard
	}
	return &Daemon{cfg: cfg, opt: opt}
}

// Run wires the parts and owns their lives: sources and watcher end first, then
// the deliveries, then the web server, the store last.
func (d *Daemon) Run(ctx context.Context) (err error) {
	started, cfg := time.Now(), d.cfg
	keepLean()
	log, level := newLogger(d.opt.Stderr, cfg.Log)
	for _, w := range d.opt.Warnings {
		log.Warn(w)
	}
	sup, err := newSupervisor()
	if err != nil {
		return err
	}
	defer closing(log, "supervisor", sup)

	reg := newRegistry()
	self := host.Facts()
	selves := newSelfReports(self, log)
	var silences *silencer
	st, err := openStore(ctx, cfg, log, reg, func(ctx context.Context, said string) {
		if err := silences.reload(ctx, time.Now()); err != nil {
			log.Error("the silences of the store are not in force", zap.Error(err))
		}
		if said != "" {
			selves.replaced(said)
		}
	})
	if err != nil {
		return err
	}
	selves.unwritable = st.Unwritable
	defer closing(log, "store", st)
	if self.Instance, err = instanceOf(ctx, st); err != nil {
		return err
	}
	selves.host = self
	if said := st.Recovered(); said != "" {
		sup.say(status(said))
		selves.replaced(said)
	}
	past, err := remember(ctx, st, started)
	if err != nil {
		return err
	}

	rec, kept, err := openRecorder(ctx, cfg, st, log, reg)
	if err != nil {
		return err
	}
	defer closing(log, "history", kept)
	src, err := newSources(cfg, past, rec, log, reg)
	if err != nil {
		return err
	}
	defer src.close()
	corr, err := watcher.NewCorrelator(watcher.Options{Host: self, Epoch: past.epoch}, past.roster)
	if err != nil {
		return fmt.Errorf("%w; the store %s holds it: move that file away, or choose another with --store PATH", err, cfg.Store.Path)
	}
	told, err := newRecipients(cfg, d.opt.Stdout, log)
	if err != nil {
		return err
	}
	if silences, err = newSilencer(ctx, st, started); err != nil {
		return err
	}
	out := notify.NewOutbox(notify.OutboxOptions{Queue: st, Receivers: told.send, Group: cfg.Alerts.Group(), Trouble: selves.parked, Logger: log, Registerer: reg})
	hook := newHook(log)
	if err := hook.set(&cfg.Warnings.OnWarning); err != nil {
		return err
	}
	keep := &keeper{store: st, silences: silences, outbox: out, warned: hook.fire,
		seen: func(inc *incident.Incident) { selves.victim(inc, st.Predecessor()) }}
	keep.told.Store(told)
	for i := range src.list {
		src.list[i] = overheard{src.list[i], selves.observe}
	}
	w, err := watcher.NewWatcher(watcher.WatcherOptions{Correlator: corr, Sources: src.list, Sampler: src.sampler, Keeper: keep, Logger: log, Registerer: reg,
		Rules: new(cfg.Warnings.Rules()), Warnings: past.warned, Chronicle: kept})
	if err != nil {
		return fmt.Errorf("%w; the store %s holds them: move that file away, or choose another with --store PATH", err, cfg.Store.Path)
	}

	selves.keep, selves.states, selves.down = keep.Keep, w.Sources, out.Down
	selves.resume(ctx, past.cursors[selfCursor], st)
	pulse, err := newPulse(cfg, log)
	if err != nil {
		return err
	}
	defer pulse.close()

	back := &backend{started: started, path: cfg.Store.Path, store: st, watcher: w, kernel: src.kernel, since: src.since, outbox: out, keep: keep, log: log,
		sampler: src.sampler, recorder: rec, history: kept}
	reg.MustRegister(newRecordCounts(src.kernel))
	srv := web.New(web.Options{Addr: string(cfg.Listen), Socket: cfg.Socket, AllowedHosts: cfg.AllowedHosts, Backend: back, Control: back, Metrics: reg, Log: log})
	defer closing(log, "listeners", srv)
	if err := listen(srv, cfg, log); err != nil {
		return err
	}
	log.Info("oomwatch runs", zap.String("version", build.Version()), zap.String("store", cfg.Store.Path),
		zap.String("listen", srv.Addr()), zap.String("socket", cfg.Socket), zap.Strings("receivers", told.names()))

	// From here on goroutines run: each is waited for below, in this order.
	intake, stopIntake := context.WithCancel(ctx)
	defer stopIntake()
	edges, stopEdges := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEdges()
	watched, delivered, served := start(intake, w.Run), start(edges, out.Run), start(edges, srv.Run)
	hooked := start(edges, hook.Run)
	minded := start(intake, func(ctx context.Context) error { return mind(ctx, sup, w.Sources) })
	reported := start(intake, selves.run)
	orphans := start(intake, func(ctx context.Context) error { return keep.endOrphans(ctx, selves.parked, log) })
	pulsed := start(edges, func(ctx context.Context) error {
		return pulse.run(ctx, func(ctx context.Context) error { return turning(ctx, w.Beat(), out.Beat(), st) })
	})
	counted := start(edges, func(ctx context.Context) error {
		if src.pressure == nil {
			return nil
		}
		return src.pressure.Run(ctx)
	})
	recorded, tended := start(edges, rec.Run), start(edges, st.Run)
	fed := start(edges, func(ctx context.Context) error { sup.Run(ctx, w.Beat, log); return nil })

	watching := true
	lean, leans := time.NewTicker(leanEvery), 0
	defer lean.Stop()
	own, unseen := ownMappings()
	if unseen != nil {
		log.Debug("memory is not given back", zap.Error(unseen))
	}
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case err = <-watched:
			running, watching = false, false
			err = failed("watch", err)
		case err = <-served:
			running, served = false, ended()
		case err = <-minded:
			running, minded = err == nil && ctx.Err() == nil, ended()
		case <-lean.C:
			if leans++; leans%heapEvery == 1 { // the first time too: what the start has left
				debug.FreeOSMemory()
			}
			if err := shed(own); err != nil {
				log.Debug("memory is not given back", zap.Error(err))
			}
		case <-d.opt.Hangups:
			sup.say("RELOADING=1")
			cfg = reload(d.opt.Load, cfg, keep, out, level, d.opt.Stdout, log)
			w.SetRules(cfg.Warnings.Rules())
			if err := hook.set(&cfg.Warnings.OnWarning); err != nil {
				log.Error("the command for warnings stays as it was", zap.Error(err))
			}
			sup.say("READY=1")
		}
	}

	log.Info("oomwatch ends", zap.Duration("at_most", drainWait))
	sup.say("STOPPING=1", status("ending"))
	stopIntake()
	late := time.NewTimer(drainWait)
	defer late.Stop()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainWait-time.Second)
	defer cancel()
	if watching {
		select {
		case werr := <-watched:
			err = errors.Join(err, failed("watch", werr))
		case <-late.C:
			return errors.Join(err, errors.New("the sources did not end in time; what was not kept is read again at the next start"))
		}
	}
	// An attempt under way may outlast the time there is: it is cut short then,
	// and stays owed.
	drained := start(drain, func(ctx context.Context) error { out.Drain(ctx); return nil })
	select {
	case <-drained:
		drained = ended()
	case <-drain.Done():
	}
	stopEdges()
	for _, part := range []<-chan error{minded, reported, orphans, drained, delivered, served, hooked, counted, recorded, tended, pulsed, fed} {
		select {
		case perr := <-part:
			err = errors.Join(err, perr)
		case <-late.C:
			return errors.Join(err, errors.New("a delivery did not end in time; it is still owed and is made at the next start"))
		}
	}
	return err
}

// ended stands for a part that has ended and been heard.
func ended() <-chan error {
	c := make(chan error)
	close(c)
	return c
}

// start runs a part and tells how it ended.
func start(ctx context.Context, part func(context.Context) error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	return done
}

// failed names the part that failed.
func failed(part string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", part, err)
}

// closing closes a part at the end; what goes wrong then can only be logged.
func closing(log *zap.Logger, name string, c io.Closer) {
	if err := c.Close(); err != nil {
		log.Error("close", zap.String("part", name), zap.Error(err))
	}
}
