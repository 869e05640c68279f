package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/daemon"
	"github.com/oomwatch/oomwatch/explain"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/internal/terminal"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/store"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/triage/kept"
	"github.com/oomwatch/oomwatch/units"
	"github.com/oomwatch/oomwatch/web"
)

// triager is the triage command.
type triager struct {
	where places
	logs  []string
	// readings are files of readings; at is the moment that is judged.
	readings []string
	at       atTime
	since    sinceTime
	what     string
	limit    config.Count
	out      outputFormat

	cmd *cobra.Command
	bad explain.BadLogs
}

func newTriage() *cobra.Command {
	t := &triager{}
	cmd := &cobra.Command{
		Use:   "triage",
		Short: "Rank services by evidence of a leak",
		Long: `Triage ranks services by the evidence that they leak memory, each with its class
(leak, limit too small, host overcommitted, spike, cache, sawtooth, steady, not
enough data, filling), the reasons, and what to do next.

It uses what the daemon keeps: its incidents, and where it records them the
readings of every service, of up to 30 days and across restarts. With --log
it reads kernel logs only, of this machine or another, of any format that explain
knows, rotated and compressed ones too: kills are grouped by program and place,
and regular times between them distinguish a leak from bursts.

With --readings it judges readings of any other source: lines of JSON with time,
service and used_bytes (and start, anon_bytes, file_bytes, shmem_bytes, kernel_bytes,
kernel_reclaimable_bytes, swap_bytes, limit_bytes, oom_kills, as far as known), or what
Prometheus answers to query_range for container_memory_working_set_bytes and the like.

Exit status: 0 explained; 1 failed; 2 wrong usage; 3 nothing found.`,
		Example: `  oomwatch triage
  oomwatch triage --since 7d --service shop/web
  oomwatch triage --log kern.log*
  dmesg | oomwatch triage --log - -o json
  oomwatch triage --readings month.jsonl.gz --at 2026-11-21T00:00:00Z`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			args, err := explain.TakeLogs(&t.logs, args, 0, cmd.ErrOrStderr())
			if err != nil {
				return usageError{err}
			}
			if len(args) > 0 {
				return usageError{fmt.Errorf("triage takes no arguments without --log: name a service with --service %s", args[0])}
			}
			return t.run(cmd.Context())
		},
	}
	t.cmd = cmd
	fs := cmd.Flags()
	fs.StringArrayVar(&t.logs, "log", nil, "read a saved kernel log from `FILE`, - for stdin; may be given many times")
	fs.StringArrayVar(&t.readings, "readings", nil, "judge the readings of `FILE`, - for stdin: JSON lines, or what Prometheus answers to query_range; may be given many times")
	addText(fs, &t.at, "at", "", "TIME", "judge as of then: Unix seconds, 2026-11-21T07:56:40Z, or how long ago (24h)")
	addText(fs, &t.since, "since", "", "TIME", "only what happened since: 24h, 7d, 2026-11-21, 2026-11-21T07:56:40Z")
	fs.StringVar(&t.what, "service", "", "only this service: its `NAME`, unit, program, pod uid, or the beginning of a container's id")
	fs.StringVar(&t.what, "container", "", "the same as --service (`NAME`)")
	addText(fs, &t.limit, "limit", "", "N", "only the first N (default 20 as text, all as json)")
	t.where.add(cmd)
	addOutput(cmd, &t.out)
	return cmd
}

func (t *triager) run(ctx context.Context) error {
	if t.cmd.Flags().Changed("service") && t.cmd.Flags().Changed("container") {
		return usageError{errors.New("--service and --container are the same: give one of them")}
	}
	var collector triage.Collector
	var read []triage.Service
	var err error
	if n := len(slices.DeleteFunc(slices.Concat(t.logs, t.readings), func(name string) bool { return name != "-" })); n > 1 {
		return usageError{errors.New("standard input can be read once: give - for one file only")}
	}
	if len(t.readings) > 0 {
		if read, err = t.readReadings(ctx); err != nil {
			return err
		}
	}
	if len(t.logs)+len(t.readings) > 0 {
		for _, flag := range []string{"socket", "store"} {
			if t.cmd.Flags().Changed(flag) {
				return usageError{fmt.Errorf("--%s does nothing with saved logs or readings: leave it out", flag)}
			}
		}
		if len(t.logs) > 0 {
			err = t.readLogs(ctx, &collector)
		}
	} else {
		read, err = t.readKept(ctx, &collector)
	}
	if err != nil {
		return err
	}
	services := collector.Services(read...)
	bad := t.bad.Err(len(t.logs), t.cmd.ErrOrStderr())
	if bad != nil && len(services) == 0 {
		return bad
	}
	if err := t.tell(services); err != nil && (bad == nil || !errors.Is(err, errNothing)) {
		return err
	}
	return bad
}

// readLogs takes the kills of kernel logs.
func (t *triager) readLogs(ctx context.Context, c *triage.Collector) error {
	if err := (&explain.Files{Logs: t.logs}).Check(); err != nil {
		return usageError{err}
	}
	since, until := t.since.from(time.Now()), t.at.from(time.Now())
	undated := 0
	bar := newProgress(t.cmd.ErrOrStderr())
	stats, err := kmsg.ScanFiles(ctx, t.logs, kmsg.ScanOptions{Location: time.Local, Progress: bar.at, Bad: t.bad.Add}, func(ev *kmsg.Event) error {
		if ev.Boot != nil {
			c.Boot()
		}
		for i := range explain.KillsOf(ev) {
			d := triage.FromEpisode(ev.Episode, i)
			switch {
			case since.IsZero() && until.IsZero():
			case d.Time.IsZero():
				undated++
			case d.Time.Before(since), !until.IsZero() && d.Time.After(until):
				continue
			}
			c.Add(d)
		}
		return nil
	})
	bar.clear()
	notes := t.cmd.ErrOrStderr()
	sayUnread(notes, &stats)
	if undated > 0 {
		fmt.Fprintf(notes, "note: %s without a date: --since and --at cannot leave them out\n", units.Count(int(undated), "kill"))
	}
	return err
}

// readKept takes what the daemon keeps: its incidents, and its readings, which it
// judges service by service: together they may not fit in memory. A service with readings
// is judged by the function that explain, alerts and the page ask.
func (t *triager) readKept(ctx context.Context, c *triage.Collector) ([]triage.Service, error) {
	since, until := t.since.from(time.Now()), t.at.from(time.Now())
	list, err := t.where.incidents(ctx, web.Query{Since: since}, t.cmd.ErrOrStderr())
	if errors.As(err, new(*daemon.LeftOutError)) {
		fmt.Fprintf(t.cmd.ErrOrStderr(), "note: %v\n", err)
		err = nil
	}
	if err != nil {
		return nil, err
	}
	var read []triage.Service
	judged := map[string]bool{}
	if h := t.history(ctx); h != nil {
		defer h.Close()
		read, judged, err = t.judgeKept(ctx, h, list, kept.Options{From: since, Until: until, Windows: t.what != ""})
		if err != nil {
			return nil, err
		}
	}
	for _, inc := range list {
		if !until.IsZero() && inc.Time.After(until) {
			continue
		}
		service := serviceOf(inc)
		if d, ok := triage.FromIncident(inc, service); ok && (!judged[service] || d.Scope == triage.HostMemory) {
			c.Add(d)
		}
	}
	return read, nil
}

// serviceOf is the service whose incident this is; "" for none.
func serviceOf(inc *incident.Incident) string {
	if inc.Container == nil || inc.Container.Name == "" {
		return ""
	}
	return incident.ServiceOf(inc.Container)
}

// judgeKept judges the services whose readings are kept, and says which those are.
func (t *triager) judgeKept(ctx context.Context, h *store.History, list []*incident.Incident, o kept.Options) ([]triage.Service, map[string]bool, error) {
	// A month of one service is megabytes, and the next one's takes their place.
	if os.Getenv("GOMEMLIMIT") == "" {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(triageMemory))
	}
	of := map[string][]*incident.Incident{}
	for _, inc := range list {
		if service := serviceOf(inc); service != "" {
			of[service] = append(of[service], inc)
		}
	}
	book := kept.Book{Past: h, Present: t.present(ctx), Incidents: func(_ context.Context, service string, since time.Time) ([]*incident.Incident, error) {
		return slices.DeleteFunc(slices.Clone(of[service]), func(inc *incident.Incident) bool { return inc.Time.Before(since) }), nil
	}}
	services, err := t.servicesOf(ctx, h, of)
	if err != nil {
		return nil, nil, err
	}
	if len(services) > 8 {
		if book.Past, err = h.Sweep(ctx); err != nil {
			return nil, nil, err
		}
	}
	found, err := book.All(ctx, services, o)
	if err != nil {
		return nil, nil, err
	}
	var out []triage.Service
	judged := map[string]bool{}
	for i, s := range services {
		if found[i] != nil {
			judged[s.Name] = true
			out = append(out, *found[i])
		}
	}
	return out, judged, nil
}

// servicesOf are the services to judge: of the many that are kept, one may be asked for.
func (t *triager) servicesOf(ctx context.Context, h *store.History, of map[string][]*incident.Incident) ([]recorder.Service, error) {
	if t.what == "" {
		return h.Services(ctx)
	}
	names, err := h.Names(ctx)
	if err != nil {
		return nil, err
	}
	var out []recorder.Service
	for _, name := range names {
		if !t.may(name, of[name]) {
			continue
		}
		s, ok, err := h.Service(ctx, name)
		if err != nil {
			return nil, err
		}
		if ok {
			out = append(out, s)
		}
	}
	return out, nil
}

// present is what a daemon knows of what runs now; it knows nothing where none answers.
func (t *triager) present(ctx context.Context) func(service string) kept.Present {
	known := map[string]kept.Present{}
	if t.where.askFirst() && t.where.store == "" {
		list, err := t.where.daemon().Leaks(ctx)
		if err != nil {
			list = nil // the reasons do without
		}
		for _, s := range list {
			known[s.Service] = kept.Present{Process: s.Process, Runtime: s.Runtime, Image: s.Image}
		}
	}
	return func(service string) kept.Present { return known[service] }
}

// may tells a service whose readings can be of what a person named: an id or a
// program is known only from its incidents.
func (t *triager) may(service string, list []*incident.Incident) bool {
	shown := service
	if service == recorder.Host {
		shown = triage.HostName
	}
	if named(&triage.Service{Service: shown}, t.what) {
		return true
	}
	for _, inc := range list {
		if d, ok := triage.FromIncident(inc, service); ok && named(&triage.Service{Service: service, Program: d.Comm, Pod: d.Pod, Unit: d.Unit, Containers: []string{d.Container, d.Name}}, t.what) {
			return true
		}
	}
	return false
}

// history opens the daemon's readings; nil where there are none. The incidents
// are worth telling without them.
func (t *triager) history(ctx context.Context) *store.History {
	path := t.where.storePath()
	if t.where.askFirst() && t.where.store == "" {
		if st, err := t.where.daemon().Status(ctx); err == nil {
			path = st.Store
		}
	}
	h, err := store.OpenHistory(ctx, store.HistoryOptions{Store: path, ReadOnly: true})
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(t.cmd.ErrOrStderr(), "note: %v; going on without readings\n", err)
		}
		return nil
	}
	return h
}

// triageMemory is how much memory the garbage collector aims at while services are judged.
const triageMemory = 64 << 20

// tell prints what was found.
func (t *triager) tell(list []triage.Service) error {
	found := list[:0]
	for i := range list {
		if named(&list[i], t.what) {
			found = append(found, list[i])
		}
	}
	total := len(found)
	limit := int(t.limit)
	if limit == 0 && !t.out.json() {
		limit = maxTold
	}
	if limit > 0 && len(found) > limit {
		found = found[:limit]
	}
	if len(found) == 0 {
		if t.what != "" && len(list) > 0 {
			fmt.Fprintf(t.cmd.ErrOrStderr(), "oomwatch: found nothing of %q; see all with: %s\n", t.what, t.unfiltered())
		} else {
			fmt.Fprintln(t.cmd.ErrOrStderr(), "oomwatch: found no kill and no reading")
		}
		return errNothing
	}
	w := t.cmd.OutOrStdout()
	if t.out.json() {
		return writeLines(w, found)
	}
	return writeTriage(w, found, total, terminal.Width(w), terminal.Colour(w))
}

// unfiltered is the command that tells of every service of what was read.
func (t *triager) unfiltered() string {
	if len(t.logs) == 0 {
		return "oomwatch triage"
	}
	const most = 3
	s := "oomwatch triage --log " + strings.Join(t.logs[:min(len(t.logs), most)], " ")
	if len(t.logs) > most {
		s += " ..."
	}
	return redact.Sanitize(s)
}

// maxTold is how many services a person is told of unless asked otherwise.
const maxTold = 20

// named reports whether a service is the one that a person named.
func named(s *triage.Service, what string) bool {
	what = strings.TrimPrefix(what, "/")
	if what == "" || s.Service == what || s.Program == what || s.Pod == what || s.Unit != "" && (s.Unit == what || s.Unit == what+".service") {
		return true
	}
	if _, service, ok := strings.Cut(s.Service, "/"); ok && service == what {
		return true
	}
	for _, c := range s.Containers {
		if c == what || len(what) >= incident.ShortestID && strings.HasPrefix(c, what) {
			return true
		}
	}
	return false
}
