package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/notify"
	"github.com/oomwatch/oomwatch/notify/receiver"
	"github.com/oomwatch/oomwatch/warn"
)

// Warnings says what is warned of before anything has died. A threshold of 0
// turns its sign off.
type Warnings struct {
	Enabled           bool      `yaml:"enabled"`
	MemoryPercent     percent   `yaml:"memory_percent"`
	HostMemoryPercent percent   `yaml:"host_memory_percent"`
	TimeToLimit       window    `yaml:"time_to_limit"`
	PressurePercent   percent   `yaml:"pressure_percent"`
	Throttled         bool      `yaml:"throttled"`
	LimitHits         bool      `yaml:"limit_hits"`
	Restarts          restarts  `yaml:"restarts"`
	RestartWindow     Duration  `yaml:"restart_window"`
	Unhealthy         bool      `yaml:"unhealthy"`
	PIDsPercent       percent   `yaml:"pids_percent"`
	DiskPercent       percent   `yaml:"disk_percent"`
	InodesPercent     percent   `yaml:"inodes_percent"`
	LogPerHour        logGrowth `yaml:"log_per_hour"`
	Leaks             bool      `yaml:"leaks"`
	Zombies           zombies   `yaml:"zombies"`
	FilesPercent      percent   `yaml:"files_percent"`
	TasksPercent      percent   `yaml:"tasks_percent"`
	Startup           window    `yaml:"startup"`
	ResolveAfter      Duration  `yaml:"resolve_after"`
	OnWarning         OnWarning `yaml:"on_warning,omitempty"`
}

// OnWarning is a command that is run when a warning begins.
type OnWarning struct {
	Exec      []string `yaml:"exec,omitempty"`
	Timeout   Duration `yaml:"timeout,omitempty"`
	PerMinute Count    `yaml:"per_minute,omitempty"`
}

func defaultWarnings() Warnings {
	r := warn.Default()
	return Warnings{
		Enabled: true, MemoryPercent: percent(r.MemoryPercent), HostMemoryPercent: percent(r.HostPercent), TimeToLimit: window(r.TimeToLimit),
		PressurePercent: percent(r.PressurePercent), Throttled: r.Throttled, LimitHits: r.LimitHits, Restarts: restarts(r.Restarts),
		RestartWindow: Duration(r.RestartWindow), Unhealthy: r.Unhealthy, PIDsPercent: percent(r.PIDsPercent),
		DiskPercent: percent(r.DiskPercent), InodesPercent: percent(r.InodesPercent), LogPerHour: logGrowth(r.LogPerHour), Leaks: r.Leaks,
		Zombies: zombies(r.Zombies), FilesPercent: percent(r.FilesPercent), TasksPercent: percent(r.TasksPercent),
		Startup: window(r.Startup), ResolveAfter: Duration(r.ResolveAfter),
	}
}

// rules are the thresholds as the watcher takes them.
func (c *Warnings) Rules() warn.Rules {
	if !c.Enabled {
		return warn.Rules{ResolveAfter: time.Duration(c.ResolveAfter), RestartWindow: time.Duration(c.RestartWindow)}
	}
	return warn.Rules{
		MemoryPercent: float64(c.MemoryPercent), HostPercent: float64(c.HostMemoryPercent), TimeToLimit: time.Duration(c.TimeToLimit),
		PressurePercent: float64(c.PressurePercent), Throttled: c.Throttled, LimitHits: c.LimitHits, Unhealthy: c.Unhealthy,
		Restarts: int(c.Restarts), RestartWindow: time.Duration(c.RestartWindow), PIDsPercent: float64(c.PIDsPercent),
		DiskPercent: float64(c.DiskPercent), InodesPercent: float64(c.InodesPercent), LogPerHour: int64(c.LogPerHour), Leaks: c.Leaks,
		Zombies: int(c.Zombies), FilesPercent: float64(c.FilesPercent), TasksPercent: float64(c.TasksPercent),
		Startup: time.Duration(c.Startup), ResolveAfter: time.Duration(c.ResolveAfter),
	}
}

// checkWarnings judges the command; it is not run.
func (d *document) checkWarnings(c *Warnings) {
	w := &c.OnWarning
	if len(w.Exec) == 0 {
		if w.Timeout != 0 || w.PerMinute != 0 {
			d.problem("warnings.on_warning", "timeout and per_minute work only with exec: [PROGRAM, ARGUMENT...]")
		}
		return
	}
	if _, err := w.Notifier(); err != nil {
		d.problem("warnings.on_warning.exec", strings.TrimPrefix(err.Error(), "command: "))
	}
}

// notifier runs the command; nil where there is none.
func (c *OnWarning) Notifier() (notify.Notifier, error) {
	if len(c.Exec) == 0 {
		return nil, nil
	}
	return receiver.NewExec(receiver.ExecOptions{Command: c.Exec, Timeout: time.Duration(c.Timeout)})
}

// percent is a share from 1 to 100, or 0 for off.
type percent int

func (p *percent) UnmarshalText(b []byte) error {
	v, err := strconv.Atoi(string(b))
	if err != nil || v < 0 || v > 100 {
		return fmt.Errorf("%q is not a percentage: write a number from 1 to 100, or 0 for off", b)
	}
	*p = percent(v)
	return nil
}

// restarts is how many deaths are a loop: 2 or more, or 0 for off.
type restarts int

func (r *restarts) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n != 0 && (n < 2 || n > 1000) {
		return fmt.Errorf("%q is not from 2 to 1000 deaths, or 0 for off", b)
	}
	*r = restarts(n)
	return nil
}

// logGrowth is a size in an hour, or 0 for off.
type logGrowth byteSize

// UnmarshalText takes a size, or 0.
func (g *logGrowth) UnmarshalText(b []byte) error {
	if string(b) == "0" {
		*g = 0
		return nil
	}
	return (*byteSize)(g).UnmarshalText(b)
}

// MarshalText writes it as it is read.
func (g logGrowth) MarshalText() ([]byte, error) {
	if g == 0 {
		return []byte("0"), nil
	}
	return byteSize(g).MarshalText()
}

// zombies is how many: 20 or more, or 0 for off.
type zombies int

// UnmarshalText takes a number.
func (z *zombies) UnmarshalText(b []byte) error {
	n, err := strconv.Atoi(string(b))
	if err != nil || n != 0 && (n < 20 || n > 1_000_000) {
		return fmt.Errorf("%q is not from 20 to 1000000 zombies, or 0 for off", b)
	}
	*z = zombies(n)
	return nil
}
