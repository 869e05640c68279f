package web

import (
	"context"
	"time"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/warn"
)

// Found is one incident of an answer.
type Found struct {
	// Place is where it stands in the order of time, for Query.Before.
	Place string
	// Body is the incident as JSON, without a line break. It is good until the
	// next one is asked for.
	Body []byte
}

// Backend is what the server asks. Every method may be called from many
// goroutines at once and returns soon after ctx ends.
type Backend interface {
	// Incidents calls each with the kept incidents that match q. It holds nothing
	// of the store while each runs, and ends with the first error of it.
	Incidents(ctx context.Context, q Query, each func(Found) error) error
	// Explain calls each with what answers "why did it die": the incident with
	// that id, or those of the newest death of the container with that name or id,
	// or the newest death of all when what is "". Nothing found is no error.
	Explain(ctx context.Context, what string, all bool, each func(Found) error) error
	// Alive is true while the main loop moves. It answers at once.
	Alive() bool
	// Status returns how the daemon is doing.
	Status(ctx context.Context) Status
	// Top returns how every running container stands, the most in danger first.
	Top(ctx context.Context) []warn.Row
	// Memory returns what is kept of a container's memory between two times, in at most
	// about a thousand readings. what is its name, its service, or the beginning of its
	// id. The series is empty where nothing is kept.
	Memory(ctx context.Context, what string, from, to time.Time) (recorder.Series, error)
	// Leaks returns which services leak, as the last look at the readings that are kept
	// found. A request causes no look of its own.
	Leaks(ctx context.Context) ([]triage.Service, error)
	// Audit returns which running containers are set up to die badly.
	Audit(ctx context.Context) (*audit.Report, error)
}

// Query selects incidents. A zero field selects everything.
type Query struct {
	Since     time.Time
	Container string // name, or the beginning of an id
	Cause     incident.Cause
	Kind      incident.Kind
	Open      bool // only warnings that last
	Limit     int  // the newest so many; 0 is all
	// Before is the place of an earlier answer: only what comes before it is meant.
	Before string
	// NewestFirst turns the order round; the default is oldest first.
	NewestFirst bool
	// Words and Severity may leave out what cannot be meant; Depth bounds how many are
	// looked through: the place where that ends comes without a body.
	Words    []string
	Severity string
	Depth    int
}

// Status is how the daemon is doing.
type Status struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	// Ready is true when the store is open and a source works; Reason says
	// why it is not.
	Ready  bool   `json:"ready"`
	Reason string `json:"reason,omitempty"`
	// Alive is false when the main loop has not moved for longer than it may.
	Alive      bool             `json:"alive"`
	Store      string           `json:"store,omitempty"`
	Sources    []SourceStatus   `json:"sources"`
	Deliveries []DeliveryStatus `json:"deliveries,omitempty"`
	// Recorder is nil where nothing can be recorded.
	Recorder *RecorderStatus `json:"recorder,omitempty"`
}

// RecorderStatus says what is recorded, and how often it is read.
type RecorderStatus struct {
	Containers    int     `json:"containers"`
	PeriodSeconds float64 `json:"period_seconds"`
	HistoryBytes  int64   `json:"history_bytes"`
}

// SourceStatus is the state of one source.
type SourceStatus struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
	// Reason says why it is down or weak, Fix the step that would mend it.
	Reason string    `json:"reason,omitempty"`
	Fix    string    `json:"fix,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	// Read and Lost count the records of the kernel's log and the events of its trace; Lost
	// were overwritten before they were read. Other sources count none.
	Read uint64 `json:"records_read"`
	Lost uint64 `json:"records_lost"`
}

// DeliveryStatus is the account of one receiver: what it was ever owed is what it
// has had, what was given up, what is pending, and what a damaged store lost.
type DeliveryStatus struct {
	Receiver  string `json:"receiver"`
	Generated int64  `json:"generated"`
	Delivered int64  `json:"delivered"`
	Parked    int64  `json:"parked"`
	Pending   int64  `json:"pending"`
	Lost      int64  `json:"lost"`
	// Held of the pending wait to be told together with others, Unstored of
	// them are in memory only.
	Held     int64 `json:"held,omitempty"`
	Unstored int64 `json:"unstored,omitempty"`
	// Pruned of the parked are kept no more, and cannot be tried again.
	Pruned int64 `json:"pruned,omitempty"`
	// OldestAt is when the oldest of the pending was kept, NextAt when the next
	// attempt is due.
	OldestAt time.Time `json:"oldest_at,omitzero"`
	NextAt   time.Time `json:"next_at,omitzero"`
	// Down is why the receiver cannot be reached; Error the last failure among
	// what is pending or parked.
	Down  string `json:"down,omitempty"`
	Error string `json:"error,omitempty"`
	// Configured is false for one that is owed something and is in no
	// configuration any more.
	Configured bool `json:"configured"`
}
