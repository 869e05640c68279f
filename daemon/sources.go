package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/build"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/triage/kept"
	"github.com/oomwatch/oomwatch/watcher/cri"
	"github.com/oomwatch/oomwatch/watcher/docker"
	"github.com/oomwatch/oomwatch/watcher/journal"
	"github.com/oomwatch/oomwatch/watcher/kernlog"
	"github.com/oomwatch/oomwatch/watcher/kubelet"
	"github.com/oomwatch/oomwatch/watcher/leaks"
	"github.com/oomwatch/oomwatch/watcher/processes"
	"github.com/oomwatch/oomwatch/watcher/sampler"
	"github.com/oomwatch/oomwatch/watcher/signals"
	"github.com/oomwatch/oomwatch/watcher/storage"
	"github.com/oomwatch/oomwatch/web"
)

// sources are what the daemon follows.
type sources struct {
	list    []observe.Source
	deaths  deaths
	kernel  *kernlog.Source
	signals *signals.Source
	// sampler is nil where there are no control groups, pressure where they
	// are not v1.
	sampler  *sampler.Source
	pressure *cgroup.Pressure
	since    *stateClock
	engines  map[string]watched // by the source's name
	// growers say which process of a container holds the most; nil where there are no
	// control groups.
	growers *processes.Growers
	close   func() error
	log     *zap.Logger
}

// lookBack is how far back an engine is asked for its events at the very first run: it
// holds the newest few hundred, whenever they were. They are history, as the ring is.
const lookBack = 30 * 24 * time.Hour

// watched is an engine that is followed: where its paths are found from here, the command
// that asks it, and what it says of its disk.
type watched struct {
	roots *docker.Roots
	tool  string
	usage func(context.Context) (*incident.DiskUsage, error)
}

// roots are the directories under which an engine's paths are found from here.
func (s *sources) roots(engine string) []string {
	if e, ok := s.engines[engine]; ok {
		return e.roots.List()
	}
	return nil
}

// usage asks an engine what is on its disk.
func (s *sources) usage(ctx context.Context, engine string) (*incident.DiskUsage, error) {
	e, ok := s.engines[engine]
	if !ok {
		return nil, fmt.Errorf("no engine is called %q", engine)
	}
	u, err := e.usage(ctx)
	if err != nil {
		s.log.Info("cannot read all sizes on the engine's disk", zap.Error(err))
	}
	return u, err
}

// newSources makes the sources, each to go on where an earlier run had read to.
// None is tried yet: one that is missing says so when it runs.
func newSources(cfg *config.Config, past *restored, rec *recorder.Recorder, log *zap.Logger, reg prometheus.Registerer) (*sources, error) {
	s := &sources{kernel: &kernlog.Source{}, since: newStateClock(), engines: map[string]watched{}, close: func() error { return nil }, log: log}
	if c := past.cursors[s.kernel.Name()]; c != "" {
		after, err := kernlog.ParsePosition(c)
		if err != nil {
			log.Warn("the kernel log is read from its start", zap.Error(err))
		}
		s.kernel.After = after
	}
	if err := s.addDocker(cfg, past, log, reg); err != nil {
		return nil, err
	}
	if err := s.addRuntimes(cfg, past, log); err != nil {
		return nil, err
	}
	if err := s.addPodman(cfg, past, log, reg); err != nil {
		return nil, err
	}
	s.list = append(s.list, s.kernel)
	s.deaths = append(s.deaths, s.kernel)
	cg, noCgroups := cgroup.Open(cgroup.DefaultRoot, cgroup.DefaultProc)
	s.signals = &signals.Source{}
	if noCgroups == nil {
		s.signals.HostPath = cg.HostPath
	}
	s.list = append(s.list, s.signals, &journal.Source{Since: past.epoch.Add(-lookBack), Past: past.cursors[s.kernel.Name()] == ""}, &kubelet.Source{})
	if noCgroups != nil {
		s.list = append(s.list, absent{observe.SourceState{Name: observe.Cgroups, Kind: observe.KindCgroup, Reason: noCgroups.Error(), Fix: "oomwatch doctor"}})
	} else {
		s.openSampler(cg, rec, log, reg)
	}
	s.addDisks()
	for i := range s.list {
		s.list[i] = noted{Source: s.list[i], clock: s.since}
	}
	return s, nil
}

// addDisks looks at the disks that the containers of the engines write to.
func (s *sources) addDisks() {
	disks := storage.New(storage.Options{Roots: s.roots, Usage: s.usage, Tool: func(engine string) string { return s.engines[engine].tool }, Proc: cgroup.DefaultProc})
	for i := range s.list {
		name := s.list[i].Name()
		if _, engine := s.engines[name]; engine {
			s.list[i] = overheard{s.list[i], func(o observe.Observation) { disks.Hear(name, o) }}
		}
	}
	s.list = append(s.list, disks)
}

// addDocker adds the Docker engines.
func (s *sources) addDocker(cfg *config.Config, past *restored, log *zap.Logger, reg prometheus.Registerer) error {
	if noDocker(cfg) {
		log.Info("no Docker engine is followed: its socket is not there, and a runtime's is; --docker HOST follows one all the same")
		return nil
	}
	for _, host := range cfg.Docker.Hosts() {
		opt := docker.Options{Name: engineName(&cfg.Docker, host), Host: host, LogLines: int(cfg.Docker.LogLines)}
		if err := s.addEngine(opt, past, log, reg); err != nil {
			return err
		}
	}
	return nil
}

// addPodman adds Podman's sockets: those that are named, else the usual ones, of which
// nothing is said while they are not there.
func (s *sources) addPodman(cfg *config.Config, past *restored, log *zap.Logger, reg prometheus.Registerer) error {
	sockets, optional := podmanSockets(cfg)
	for _, socket := range sockets {
		opt := docker.Options{Name: docker.PodmanName(socket), Host: socket, Optional: optional, LogLines: int(cfg.Podman.LogLines)}
		if err := s.addEngine(opt, past, log, reg); err != nil {
			return err
		}
	}
	if optional {
		s.list = append(s.list, &journal.Podman{Since: past.since(journal.PodmanName, log), LogLines: int(cfg.Podman.LogLines), Followed: docker.PodmanListens})
	}
	return nil
}

// podmanSockets are those of Podman to follow. One that Docker's default socket links to
// is followed as that.
func podmanSockets(cfg *config.Config) (sockets []string, optional bool) {
	sockets, optional = docker.NamedPodman(config.Named(cfg.Podman.Sockets))
	if !optional {
		return sockets, false
	}
	sockets = slices.DeleteFunc(sockets, func(s string) bool {
		twice := !noDocker(cfg) && cfg.Docker.Host == "" && docker.SameSocket(s)
		return twice || slices.Contains(cfg.Docker.Hosts(), s)
	})
	return sockets, true
}

// addEngine adds an engine that speaks Docker's API, to go on where an earlier run had
// read to.
func (s *sources) addEngine(opt docker.Options, past *restored, log *zap.Logger, reg prometheus.Registerer) error {
	opt.Logger, opt.Since = log, past.since(opt.Name, log)
	opt.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"engine": opt.Name}, reg)
	engine, err := docker.New(opt)
	if err != nil {
		return err
	}
	tool := "docker"
	if strings.HasPrefix(opt.Name, "podman") {
		tool = "podman"
	}
	s.engines[engine.Name()] = watched{&docker.Roots{Host: opt.Host}, tool, func(ctx context.Context) (*incident.DiskUsage, error) { return docker.Usage(ctx, opt.Host) }}
	if s.list = append(s.list, engine); !opt.Optional {
		s.deaths = append(s.deaths, engine)
	}
	return nil
}

// noDocker is true where nobody named an engine, and only another runtime is here.
func noDocker(cfg *config.Config) bool {
	runtimes, _ := cri.Sockets(config.Named(cfg.CRI.Sockets))
	runtimes = append(slices.Clone(runtimes), docker.PodmanSocket)
	runtimes = append(runtimes, config.Named(cfg.Podman.Sockets)...)
	return !docker.Expected(string(cfg.Docker.Host)) && slices.ContainsFunc(runtimes, docker.Listens)
}

// addRuntimes adds the runtimes of Kubernetes: those that are named, else the known ones,
// of which nothing is said while they are not there.
func (s *sources) addRuntimes(cfg *config.Config, past *restored, log *zap.Logger) error {
	sockets, optional := cri.Sockets(config.Named(cfg.CRI.Sockets))
	for _, socket := range sockets {
		name := cri.NameOf(socket)
		roots := &docker.Roots{Host: "unix://" + strings.TrimPrefix(socket, "unix://")}
		opt := cri.Options{Measure: roots.Measure, Name: name, Socket: socket, Optional: optional, LogLines: int(cfg.CRI.LogLines), Logger: log, Since: past.since(name, log)}
		runtime, err := cri.New(opt)
		if err != nil {
			return err
		}
		s.engines[name] = watched{roots, "crictl", func(ctx context.Context) (*incident.DiskUsage, error) { return cri.Usage(ctx, socket) }}
		if s.list = append(s.list, runtime); !optional {
			s.deaths = append(s.deaths, runtime)
		}
	}
	return nil
}

// engineName is what an engine's source is called: the first has the usual name, so that
// what was kept of it stays its own, and the others the name of their endpoint.
func engineName(cfg *config.Docker, host string) string {
	if host == string(cfg.Host) {
		return docker.SourceName
	}
	return docker.SourceName + " " + host
}

// openSampler reads the control groups of running containers.
func (s *sources) openSampler(cg *cgroup.FS, rec *recorder.Recorder, log *zap.Logger, reg prometheus.Registerer) {
	s.close = cg.Close
	if p, err := cgroup.NewPressure(cg); err == nil {
		s.pressure = p
	} else {
		log.Debug("the kernel gives no pressure notifications", zap.Error(err))
	}
	opt := processes.Options{Proc: cgroup.DefaultProc, Container: func(pid int) string {
		path, err := cg.PathOf(pid)
		if err != nil {
			return ""
		}
		return cgroup.ParsePath(path).ContainerID
	}}
	s.growers = processes.NewGrowers(&opt)
	s.list = append(s.list, processes.New(opt))
	s.sampler = sampler.New(sampler.Options{FS: cg, Pressure: s.pressure, Recorder: rec, Registerer: reg})
	s.list = append(s.list, s.sampler)
}

// addLeaks looks for leaks in the readings that are kept.
func (s *sources) addLeaks(book kept.Book, rec *recorder.Recorder) *leaks.Source {
	source := leaks.New(leaks.Options{Book: book, Running: func() map[string]string {
		out := map[string]string{}
		rec.Each(func(l recorder.Live) { out[l.Service] = l.ID })
		return out
	}})
	s.list = append(s.list, source)
	return source
}

// alsoTo has another hear every observation.
func (s *sources) alsoTo(hear func(observe.Observation)) {
	for i := range s.list {
		s.list[i] = overheard{s.list[i], hear}
	}
}

// countPressure counts what the kernel notifies of, until ctx ends. Without it the
// readings still tell the story.
func (s *sources) countPressure(ctx context.Context) error {
	if s.pressure == nil {
		return nil
	}
	if err := s.pressure.Run(ctx); err != nil {
		s.log.Warn("pressure notifications ended", zap.Error(err))
	}
	return nil
}

// newRegistry is the metrics of this process, what it costs included.
func newRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "oomwatch_build_info", Help: "1, labelled with what runs."}, []string{"version", "commit", "goversion"})
	info.WithLabelValues(build.Version(), build.Commit(), runtime.Version()).Set(1)
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), info,
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "oomwatch_redact_faults_total", Help: "Lines that were hidden whole because a rule of the masking failed on them."},
			func() float64 { return float64(redact.Faults()) }))
	return reg
}

// listen takes the address and the socket. An address that is taken is refused
// with the next step; so is a socket that was asked for. Without the default
// socket the daemon does its work all the same, and says what is missing.
func listen(srv *web.Server, cfg *config.Config, log *zap.Logger) error {
	if err := srv.ListenTCP(); err != nil {
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("%w: another program has it (ss -ltnp shows which); end it, or give another address with --listen ADDR, or --listen off", err)
		case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EADDRNOTAVAIL), errors.As(err, new(*net.DNSError)):
			return fmt.Errorf("%w: give another address with --listen ADDR, or --listen off", err)
		}
		return err
	}
	err := srv.ListenUnix()
	switch {
	case err == nil:
		return nil
	case cfg.Socket != config.DefaultSocketPath():
		return fmt.Errorf("%w: give another path with --socket PATH", err)
	}
	log.Warn("no socket: explain and history read the store instead", zap.Error(err))
	return nil
}
