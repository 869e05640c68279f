package journal

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/watcher/logtail"
)

// PodmanName is what the source of Podman's events in the journal is called.
const PodmanName = "podman journal"

// Podman is the source that follows Podman's containers without its socket: by the events
// that each podman command writes into the journal (events_logger = "journald", the
// default under systemd). They have names, images, labels and exit codes; no limits and
// no pids. The last log lines are there too where log_driver is journald.
type Podman struct {
	// Since is how far the events were read before; zero for now.
	Since time.Time
	// Followed is true for a user whose containers are known by a socket.
	Followed func(uid int) bool
	// LogLines is how many last log lines of a dead container to read; 0 for none.
	LogLines int
	// Command is the program, "" for journalctl.
	Command string
}

// Name implements observe.Source.
func (*Podman) Name() string { return PodmanName }

// podmanEvent is an entry of Podman's. Fields that begin with an underscore are
// journald's own and cannot be made up by who writes.
type podmanEvent struct {
	At       string `json:"PODMAN_TIME"`
	Kept     string `json:"__REALTIME_TIMESTAMP"`
	UID      string `json:"_UID"`
	Event    string `json:"PODMAN_EVENT"`
	ID       string `json:"PODMAN_ID"`
	Name     string `json:"PODMAN_NAME"`
	Image    string `json:"PODMAN_IMAGE"`
	ExitCode string `json:"PODMAN_EXIT_CODE"`
	Labels   string `json:"PODMAN_LABELS"`
}

// podmanOnly are the entries that a program called podman wrote of containers.
var podmanOnly = []string{"_COMM=podman", "PODMAN_TYPE=container"}

// maxPodman bounds the containers whose owner is remembered, maxSeen the events.
// overlap is how far apart from their order in the journal events may be.
const (
	maxPodman = 10000
	maxSeen   = 4096
	overlap   = 2 * time.Second
)

// podmanRun is the state of one Run.
type podmanRun struct {
	*Podman
	path  string
	emit  func(observe.Observation)
	up    bool
	owner map[string]string // by container: the uid that made it
	alive map[string]podmanEvent
	begin time.Time // what happened before was known before
	last  time.Time
	// seen are the events of late: a journalctl that is started again repeats some.
	seen map[podmanEvent]bool
}

// Run implements observe.Source. Where the journal has no such events it says nothing.
func (s *Podman) Run(ctx context.Context, emit func(observe.Observation)) error {
	path, err := exec.LookPath(program(s.Command))
	if err != nil {
		return nil
	}
	r := &podmanRun{Podman: s, path: path, emit: emit, owner: map[string]string{}, alive: map[string]podmanEvent{}, seen: map[podmanEvent]bool{}, last: time.Now()}
	if !s.Since.IsZero() {
		r.last = s.Since.Add(-overlap)
	}
	r.begin = r.last
	r.roster(ctx)
	for ctx.Err() == nil {
		if err := r.read(ctx, r.event, "--follow", "--no-tail", "--since=@"+strconv.FormatInt(r.last.Add(-overlap).Unix(), 10)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryEvery):
		}
	}
	return nil
}

// roster emits the containers that were started since the boot, before r.last, and have
// not ended.
func (r *podmanRun) roster(ctx context.Context) {
	_ = r.read(ctx, func(_ context.Context, e podmanEvent) {
		switch {
		case !e.at().Before(r.begin) || !r.owns(&e):
		case e.Event == "start":
			r.alive[e.ID] = e
		case e.Event == "died", e.Event == "remove":
			delete(r.alive, e.ID)
		}
	}, "--boot") // a journal that cannot be read is empty
	for _, e := range r.alive {
		r.started(&e)
	}
	r.alive = nil
}

// read has journalctl print entries until it ends, or until ctx does.
func (r *podmanRun) read(ctx context.Context, each func(context.Context, podmanEvent), args ...string) error {
	cmd := exec.CommandContext(ctx, r.path, append(arguments(args...), podmanOnly...)...)
	// As in follow: it must not outlive the daemon.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("read Podman's events in the journal: %w", err)
	}
	podmanEvents(out, func(e podmanEvent) { each(ctx, e) })
	_ = cmd.Wait() // it is started again
	return nil
}

// podmanEvents reads journalctl's lines. What is cut short, or no JSON, is passed over.
func podmanEvents(in io.Reader, each func(podmanEvent)) {
	sc := bufio.NewScanner(in)
	sc.Buffer(make([]byte, 64<<10), maxLine)
	for sc.Scan() {
		var e podmanEvent
		if json.Unmarshal(sc.Bytes(), &e) == nil && len(e.ID) == 64 {
			each(e)
		}
	}
}

// at is when it happened.
func (e *podmanEvent) at() time.Time {
	if at, err := time.Parse(time.RFC3339Nano, e.At); err == nil {
		return at.UTC()
	}
	micro, err := strconv.ParseInt(e.Kept, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(micro).UTC()
}

// owns is false for an event of a container that is another user's, or that a socket
// tells of.
func (r *podmanRun) owns(e *podmanEvent) bool {
	uid, err := strconv.Atoi(e.UID)
	if err != nil || r.Followed != nil && r.Followed(uid) {
		return false
	}
	if _, ok := r.owner[e.ID]; !ok {
		if len(r.owner) >= maxPodman {
			clear(r.owner)
		}
		r.owner[e.ID] = e.UID
	}
	return r.owner[e.ID] == e.UID
}

// container is what an event says of its container.
func (e *podmanEvent) container() incident.Container {
	c := incident.Container{ID: e.ID, Name: redact.Sanitize(redact.Cut(e.Name, 256)), Image: redact.Sanitize(redact.Cut(e.Image, 256)), Runtime: "podman"}
	var labels map[string]string
	if json.Unmarshal([]byte(e.Labels), &labels) == nil {
		c.Labels = redact.Labels(labels)
	}
	return c
}

// raw is an event as podman events prints it.
func (e *podmanEvent) raw() string {
	return redact.Sanitize(fmt.Sprintf("%s container %s %s (image=%s, name=%s)", e.at().Format(time.RFC3339Nano), e.Event, e.ID, redact.Cut(e.Image, 128), redact.Cut(e.Name, 128)))
}

// event takes one event from the journal.
func (r *podmanRun) event(ctx context.Context, e podmanEvent) {
	at := e.at()
	if at.Before(r.begin) || r.seen[e] || !r.owns(&e) {
		return
	}
	if len(r.seen) >= maxSeen {
		clear(r.seen)
	}
	r.seen[e] = true
	if at.After(r.last) {
		r.last = at
	}
	c := e.container()
	said := func(kind observe.EventKind) {
		r.emit(observe.Observation{At: at, Event: &observe.Event{ID: e.ID, Name: c.Name, Image: c.Image, Labels: c.Labels, Kind: kind, Raw: e.raw()}})
	}
	switch e.Event {
	case "create":
		said(observe.Created)
	case "start":
		said(observe.Started)
		r.started(&e)
	case "died":
		r.died(ctx, &e, c)
	case "remove":
		said(observe.Removed)
		delete(r.owner, e.ID)
	default:
		return
	}
	r.emit(observe.Observation{At: at, Cursor: &observe.Cursor{Source: PodmanName, Value: r.last.Format(time.RFC3339Nano)}})
}

// isUp says once that the source is there: most machines have no Podman.
func (r *podmanRun) isUp(at time.Time) {
	if r.up {
		return
	}
	r.up = true
	r.emit(observe.Observation{At: at, Host: &incident.Host{Engine: "podman"}})
	r.emit(observe.Observation{At: at, Source: &observe.SourceState{Name: PodmanName, Kind: observe.KindEngine, Up: true,
		Reason: "Podman's socket is off: its containers are known by the journal, without limits",
		Fix:    "systemctl enable --now podman.socket (for a user's containers: systemctl --user enable --now podman.socket)"}})
}

// started emits a container that runs.
func (r *podmanRun) started(e *podmanEvent) {
	at := e.at()
	r.isUp(at)
	c := observe.Container{Container: e.container(), State: "running", AnswersStart: at}
	c.StartedAt, c.Running = at, new(true)
	r.emit(observe.Observation{At: at, Container: &c})
}

// died emits an end, and its container's last words.
func (r *podmanRun) died(ctx context.Context, e *podmanEvent, c incident.Container) {
	at := e.at()
	r.isUp(at)
	code, err := strconv.Atoi(e.ExitCode)
	if err != nil {
		code = 0 // Podman 4 leaves a zero out
	}
	wanted := r.LogLines > 0 && code != 0
	r.emit(observe.Observation{At: at, Exit: &observe.Exit{ID: e.ID, Name: c.Name, Image: c.Image, Labels: c.Labels, DetailPending: wanted,
		Exit: incident.Exit{At: at, ExitCode: code, Raw: e.raw()}}})
	if !wanted {
		return
	}
	d := observe.Detail{ID: e.ID, DiedAt: at}
	words, err := r.words(ctx, e)
	if err != nil {
		d.Problem = "its log cannot be read: " + redact.Sanitize(redact.Cut(err.Error(), 200))
	}
	d.LogTail, d.RawTail = words.Shown, words.Raw
	r.emit(observe.Observation{At: at, Detail: &d})
}

// words are the last lines of a container in the journal, of its own user.
func (r *podmanRun) words(ctx context.Context, e *podmanEvent) (logtail.Words, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	args := []string{"--quiet", "--no-pager", "--output=cat", "--lines=" + strconv.Itoa(max(r.LogLines, logtail.Judged)),
		"CONTAINER_ID_FULL=" + e.ID, "_COMM=conmon", "_UID=" + e.UID}
	out, err := exec.CommandContext(ctx, r.path, args...).Output()
	if err != nil {
		return logtail.Words{}, err
	}
	if len(out) == 0 {
		return logtail.Words{}, errors.New("it is not in the journal")
	}
	t := logtail.New(r.LogLines)
	t.Write(1, out)
	return t.Words(r.LogLines), nil
}
