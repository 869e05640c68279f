package incident

import (
	"time"
)

// Exit is the engine's word that a container ended.
type Exit struct {
	At       time.Time `json:"at"`
	ExitCode int       `json:"exit_code"`
	// NoCode is true where the engine's word has no code; ExitCode is 255 then.
	NoCode bool `json:"no_code,omitempty"`
	// FinishedAt, OOMKilled and Error come from inspect and are zero where it
	// was too late for one. Inspected says whether it was not.
	FinishedAt time.Time `json:"finished_at,omitzero"`
	OOMKilled  bool      `json:"oom_killed,omitempty"`
	Error      string    `json:"error,omitempty"`
	Inspected  bool      `json:"inspected,omitempty"`
	// Raw is the engine's event as it was said (one line).
	Raw string `json:"raw,omitempty"`
}

// Signal is one request to the engine to send a signal.
type Signal struct {
	At     time.Time `json:"at"`
	Number int       `json:"number"`
	Raw    string    `json:"raw,omitempty"`
}

// Sent is one signal as the kernel delivered it to a container's main process.
type Sent struct {
	At     time.Time `json:"at"`
	Number int       `json:"number"`
	// FromKernel is true when the kernel decided on it: a fault, the OOM killer.
	FromKernel bool `json:"from_kernel,omitempty"`
	// Ignored is true when the target had no handler and, as the first process
	// of its pid namespace, was not touched by it.
	Ignored bool `json:"ignored,omitempty"`
	// Self is true when the process sent it to itself.
	Self   bool    `json:"self,omitempty"`
	Sender Process `json:"sender,omitzero"`
	// User is what the host calls the sender's user: of a sender in a container it says
	// nothing. Command is its command line, redacted.
	User    string `json:"user,omitempty"`
	Command string `json:"command,omitempty"`
	// Container is the sender's container by name, Unit its systemd unit.
	Container string `json:"container,omitempty"`
	Unit      string `json:"unit,omitempty"`
	// Located is true when it is known where the sender ran: where there is
	// neither Container nor Unit then, on the host itself.
	Located bool `json:"located,omitempty"`
	// Inside is true when the sender was in the same container.
	Inside bool `json:"inside,omitempty"`
}

// Init is a container's main process (PID 1 in it), from /proc/PID/status.
type Init struct {
	Comm string `json:"comm"`
	// SigCgt is the mask of signals it has handlers for: bit n-1 is signal n.
	SigCgt uint64 `json:"sig_cgt"`
}

// Handles says whether it has a handler for a signal. The main process of a
// pid namespace that has none is not ended by it: the kernel drops the signal.
func (i *Init) Handles(signal int) bool { return i.SigCgt>>(signal-1)&1 == 1 }
