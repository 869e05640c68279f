// Package daemon wires the sources, the join, the store, the receivers and the web server
// into one program that runs until it is told to end.
//
// It is one process: a second one that only sends would keep a bug in a receiver away from
// the kernel's log and the engine, but hold 11.5 MiB of its own, where 8 MiB is what its
// bar of memory allows. The systemd unit takes rights away instead.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/correlate"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/internal/host"
	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/watcher"
	"github.com/oomwatch/oomwatch/watcher/leaks"
	"github.com/oomwatch/oomwatch/web"
)

const (
	// endWithin bounds an orderly end: what is not delivered by then stays owed.
	endWithin = 5 * time.Second
	// afterDrain is how much of it is left to the parts that end after the last deliveries.
	afterDrain = time.Second
)

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

	started time.Time
	log     *zap.Logger
	level   zap.AtomicLevel
	metrics *prometheus.Registry
	host    incident.Host
	parts   *parts

	supervisor *supervisor
	store      *store.Store
	restored   *restored
	recorder   *recorder.Recorder
	leaks      *leaks.Source
	history    *store.History
	sources    *sources
	selves     *selfReports
	silences   *silencer
	recipients *recipients
	outbox     *notify.Outbox
	onWarning  *onWarning
	heartbeat  *heartbeat
	keeper     *keeper
	watcher    *watcher.Watcher
	auditing   *auditing
	server     *web.Server
	tune       tuner
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

// Run starts all parts, goes on until ctx ends or a part fails, and ends them all. A
// Daemon runs once.
func (d *Daemon) Run(ctx context.Context) error {
	d.started = time.Now()
	defer d.tune.start()()
	d.log, d.level = newLogger(d.opt.Stderr, d.cfg.Log)
	for _, w := range d.opt.Warnings {
		d.log.Warn(w)
	}
	d.parts = newParts(d.log)
	err := d.open(ctx)
	if err == nil {
		d.addRuns()
		d.parts.start(ctx)
		d.wait(ctx)
	}
	return errors.Join(err, d.parts.end(endWithin))
}

// open opens what the daemon needs, each part after those that it uses. Nothing runs yet.
func (d *Daemon) open(ctx context.Context) error {
	for _, open := range []func(context.Context) error{
		d.openSupervisor, d.openStore, d.openHistory, d.openSources, d.openReceivers, d.openWatcher, d.openServer,
	} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	d.log.Info("oomwatch runs", zap.String("version", build.Version()), zap.String("store", d.cfg.Store.Path),
		zap.String("listen", d.server.Addr()), zap.String("socket", d.cfg.Socket), zap.Strings("receivers", d.recipients.names()))
	return nil
}

// addRuns adds what runs. The last ends first: whatever reports and watches, then the
// sources with the join, then the deliveries, and what the deliveries need at last.
func (d *Daemon) addRuns() {
	for _, r := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"store upkeep", d.store.Run},
		{"history upkeep", d.recorder.Run},
		{"pressure", d.sources.countPressure},
		{"deliveries", d.outbox.Run},
		{"command for warnings", d.onWarning.run},
		{"web", d.server.Run},
		{"audit", d.auditing.run},
		{"last deliveries", d.drain},
		{"watch", d.watch},
		{"heartbeat", func(ctx context.Context) error {
			return d.heartbeat.run(ctx, func(ctx context.Context) error { return stuck(ctx, d.watcher.Beat(), d.outbox.Beat(), d.store) })
		}},
		{"self-reports", d.selves.run},
		{"removed receivers", d.endRemoved},
		{"watchdog", func(ctx context.Context) error { return d.supervisor.feed(ctx, d.watcher.Beat, d.log) }},
		{"supervise", func(ctx context.Context) error {
			return supervise(ctx, d.supervisor, d.sources.deaths, d.watcher.Sources)
		}},
		{"footprint", func(ctx context.Context) error { return keepFootprint(ctx, &d.tune, d.log) }},
	} {
		d.parts.add(r.name, r.run, nil)
	}
}

// wait goes on until ctx ends or a part fails, and reloads the configuration meanwhile.
func (d *Daemon) wait(ctx context.Context) {
	for running := true; running; {
		select {
		case <-ctx.Done():
			running = false
		case <-d.parts.failed: // end returns its error
			running = false
		case <-d.opt.Hangups:
			d.supervisor.say("RELOADING=1")
			d.reload()
			d.supervisor.say("READY=1")
		}
	}
	d.log.Info("oomwatch ends", zap.Duration("at_most", endWithin))
	d.supervisor.say("STOPPING=1", status("ending"))
}

func (d *Daemon) watch(ctx context.Context) error {
	if err := d.watcher.Run(ctx); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	return nil
}

// drain waits for the end, and then makes one attempt at everything that is due. An
// attempt that outlasts the time there is stays owed.
func (d *Daemon) drain(ctx context.Context) error {
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.parts.left()-afterDrain)
	defer cancel()
	d.outbox.Drain(last)
	return nil
}

func (d *Daemon) openSupervisor(context.Context) (err error) {
	if d.supervisor, err = newSupervisor(); err != nil {
		return err
	}
	d.parts.add("supervisor", nil, d.supervisor.close)
	return nil
}

// openStore opens the store and reads what an earlier run left in it.
func (d *Daemon) openStore(ctx context.Context) (err error) {
	d.metrics, d.host = newRegistry(), host.Facts()
	d.selves = newSelfReports(d.host, d.log)
	if d.store, err = openStore(ctx, d.cfg, d.log, d.metrics, d.storeReplaced); err != nil {
		return err
	}
	d.parts.add("store", nil, d.store.Close)
	d.selves.unwritable = d.store.Unwritable
	if d.host.Instance, err = instanceOf(ctx, d.store); err != nil {
		return err
	}
	d.selves.host = d.host
	if said := d.store.Recovered(); said != "" {
		d.supervisor.say(status(said))
		d.selves.replaced(said)
	}
	if d.restored, err = restore(ctx, d.store, d.started); err != nil {
		return err
	}
	d.silences, err = newSilencer(ctx, d.store, d.started)
	return err
}

// storeReplaced is called when the store goes to memory and back, and when a damaged one
// was moved aside: what was read of it is read again.
func (d *Daemon) storeReplaced(ctx context.Context, said string) {
	if err := d.silences.reload(ctx, time.Now()); err != nil {
		d.log.Error("cannot read the silences from the new store: the old ones stay in force", zap.Error(err))
	}
	if said != "" {
		d.selves.replaced(said)
	}
}

func (d *Daemon) openHistory(ctx context.Context) (err error) {
	if d.recorder, d.history, err = openRecorder(ctx, d.cfg, d.store, d.log, d.metrics); err != nil {
		return err
	}
	d.parts.add("history", nil, d.history.Close)
	return nil
}

func (d *Daemon) openSources(context.Context) (err error) {
	if d.sources, err = newSources(d.cfg, d.restored, d.recorder, d.log, d.metrics); err != nil {
		return err
	}
	d.parts.add("control groups", nil, d.sources.close)
	return nil
}

// openReceivers makes the senders, and what decides who is sent what.
func (d *Daemon) openReceivers(context.Context) (err error) {
	if d.recipients, err = newRecipients(d.cfg, d.opt.Stdout, d.log); err != nil {
		return err
	}
	d.outbox = notify.NewOutbox(notify.OutboxOptions{Queue: d.store, Receivers: d.recipients.send, Group: d.cfg.Alerts.Group(), ExternalURL: string(d.cfg.ExternalURL), Trouble: d.selves.deadLettered,
		Logger: d.log, Registerer: d.metrics})
	d.onWarning = newOnWarning(d.log)
	if err := d.onWarning.set(&d.cfg.Warnings.OnWarning); err != nil {
		return err
	}
	if d.heartbeat, err = newHeartbeat(d.cfg, d.log); err != nil {
		return err
	}
	d.parts.add("heartbeat", nil, d.heartbeat.close)
	d.keeper = &keeper{store: d.store, silences: d.silences, outbox: d.outbox, warned: d.onWarning.fire,
		seen: func(inc *incident.Incident) { d.selves.victim(inc, d.store.Predecessor()) }}
	d.keeper.recipients.Store(d.recipients)
	return nil
}

// openWatcher makes the join and the loop that feeds it.
func (d *Daemon) openWatcher(ctx context.Context) error {
	corr, err := correlate.New(correlate.Options{Host: d.host, Epoch: d.restored.epoch}, d.restored.roster)
	if err != nil {
		return d.badState(err)
	}
	now := &presence{rec: d.recorder, growers: d.sources.growers, images: map[string]string{}}
	book := bookOf(d.history, d.store, now)
	d.leaks = d.sources.addLeaks(book, d.recorder)
	d.keeper.died = d.leaks.Died
	d.sources.alsoTo(now.hear)
	d.sources.alsoTo(d.selves.observe)
	numbers := newContainerMetrics(int(d.cfg.Metrics.MaxContainers), d.metrics)
	d.sources.alsoTo(numbers.hear)
	d.keeper.counted = numbers.count
	d.watcher, err = watcher.NewWatcher(watcher.WatcherOptions{Host: d.host.Name, Boot: d.host.BootID, Correlator: corr, Sources: d.sources.list, Sampler: d.sources.sampler,
		Keeper: d.keeper, Logger: d.log, Registerer: d.metrics, Rules: new(d.cfg.Warnings.Rules()), Warnings: d.restored.warned, Chronicle: d.history, Judge: judge(book)})
	if err != nil {
		return d.badState(err)
	}
	numbers.top = d.watcher.Top
	d.selves.keep, d.selves.states, d.selves.down = d.keeper.Keep, d.watcher.Sources, d.outbox.Down
	d.selves.resume(ctx, d.restored.cursors[selfCursor], d.store)
	return nil
}

// badState is for what the store holds and cannot be read.
func (d *Daemon) badState(err error) error {
	return fmt.Errorf("%w; it is in the store %s: move that file away, or choose another with --store PATH", err, d.cfg.Store.Path)
}

// openServer takes the address and the socket.
func (d *Daemon) openServer(context.Context) error {
	d.metrics.MustRegister(newRecordCounts(d.sources.kernel, d.sources.signals))
	d.auditing = newAuditing(d.cfg, d.store, d.history, d.log, d.metrics)
	back := &backend{host: d.host, tune: &d.tune, signals: d.sources.signals, auditing: d.auditing, started: d.started, path: d.cfg.Store.Path, store: d.store, watcher: d.watcher, kernel: d.sources.kernel, deaths: d.sources.deaths, since: d.sources.since,
		outbox: d.outbox, keep: d.keeper, log: d.log, sampler: d.sources.sampler, recorder: d.recorder, history: d.history, leaks: d.leaks}
	d.server = web.New(web.Options{Addr: string(d.cfg.Listen), Socket: d.cfg.Socket, AllowedHosts: d.cfg.AllowedHosts, Backend: back, Control: back,
		Token: string(d.cfg.Web.Token), Metrics: d.metrics, Log: d.log})
	d.parts.add("listeners", nil, d.server.Close)
	return listen(d.server, d.cfg, d.log)
}
