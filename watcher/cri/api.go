package cri

import (
	"context"
	"encoding/json"
	"time"

	"github.com/oomwatch/oomwatch/internal/grpcread"
)

// The calls of a runtime that are in use. All of them read.
const (
	callVersion = "/runtime.v1.RuntimeService/Version"
	callList    = "/runtime.v1.RuntimeService/ListContainers"
	callStatus  = "/runtime.v1.RuntimeService/ContainerStatus"
	callSandbox = "/runtime.v1.RuntimeService/PodSandboxStatus"
	callStats   = "/runtime.v1.RuntimeService/ListContainerStats"
	callImageFS = "/runtime.v1.ImageService/ImageFsInfo"
	callImages  = "/runtime.v1.ImageService/ListImages"
	callEvents  = "/containerd.services.events.v1.Events/Subscribe"
)

// readCalls are all that a runtime is asked: its socket lets everybody who may open it
// start and kill, so that the list is kept here.
var readCalls = []string{callVersion, callList, callStatus, callSandbox, callStats, callImageFS, callImages, callEvents}

// client asks one runtime. The numbers of fields are those of k8s.io/cri-api's
// pkg/apis/runtime/v1/api.proto.
type client struct {
	conn *grpcread.Conn
	wait time.Duration // deadline of a call
}

func newClient(socket string, wait time.Duration) *client {
	return &client{conn: grpcread.Dial(socket, readCalls...), wait: wait}
}

func (c *client) close() { c.conn.Close() }

// call asks with a deadline and hands over the fields of the answer.
func (c *client) call(ctx context.Context, method string, request []byte, take func(grpcread.Field) error) error {
	wait := c.wait
	if method == callStatus {
		wait *= 2 // CRI-O looks four seconds for an exit code that is nowhere, each time
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	answer, err := c.conn.Call(ctx, method, request)
	if err != nil {
		return err
	}
	return grpcread.Fields(answer, take)
}

// version is who the runtime says it is.
type version struct{ name, version string }

func (c *client) version(ctx context.Context) (v version, err error) {
	err = c.call(ctx, callVersion, nil, func(f grpcread.Field) error {
		switch f.Number {
		case 2:
			v.name = f.Text()
		case 3:
			v.version = f.Text()
		}
		return nil
	})
	return v, err
}

// state is CRI's ContainerState.
type state int

const (
	created state = iota
	running
	exited
	unknown
)

// entry is a container as the list shows it.
type entry struct {
	id, sandbox string
	state       state
}

// list lists the containers, or the one with an id where that is not "".
func (c *client) list(ctx context.Context, id string) (out []entry, err error) {
	var request []byte
	if id != "" {
		request = grpcread.AppendMessage(nil, 1, grpcread.AppendText(nil, 1, id))
	}
	err = c.call(ctx, callList, request, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		var e entry
		err := grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			switch f.Number {
			case 1:
				e.id = f.Text()
			case 2:
				e.sandbox = f.Text()
			case 6:
				e.state = state(f.Int)
			}
			return nil
		})
		out = append(out, e)
		return err
	})
	return out, err
}

// status is a container's status, as far as it is used.
type status struct {
	id, name, image        string
	attempt                int
	state                  state
	created                time.Time
	started, finished      time.Time
	exitCode               int // see noCode
	reason, message        string
	labels, annotations    map[string]string
	logPath                string
	memoryLimit, swapLimit int64
	sandbox                string
	pid                    int
	stopSignal             int
	mounts                 []mount
	readonlyRoot           bool
}

// noCode is what CRI-O gives for an exit code that it does not know: the container's
// conmon, which would have kept it, was killed.
const noCode = -1

// mount is a path of the host in a container.
type mount struct {
	Type, Source, Destination string
	Options                   []string
}

// status asks about a container.
func (c *client) status(ctx context.Context, id string) (*status, error) {
	s, _, err := c.inspect(ctx, id)
	return s, err
}

// inspect asks about a container; info is what the runtime adds on request, as JSON.
func (c *client) inspect(ctx context.Context, id string) (s *status, info string, err error) {
	request := grpcread.AppendInt(grpcread.AppendText(nil, 1, id), 2, 1) // verbose: with pid and sandbox
	s = &status{id: id}
	err = c.call(ctx, callStatus, request, func(f grpcread.Field) error {
		switch f.Number {
		case 1:
			return grpcread.Fields(f.Bytes, s.field)
		case 2:
			var added map[string]string
			if err := grpcread.Entry(&added, f.Bytes); err != nil {
				return err
			}
			info = added["info"]
			s.verbose(info)
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if s.finished = notBefore(s.finished, s.started); s.exitCode == noCode && s.finished.IsZero() {
		s.finished = time.Now().UTC() // CRI-O does not know that either
	}
	return s, info, nil
}

// field takes one field of a ContainerStatus.
func (s *status) field(f grpcread.Field) error {
	switch f.Number {
	case 2:
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			switch f.Number {
			case 1:
				s.name = f.Text()
			case 2:
				s.attempt = int(f.Int)
			}
			return nil
		})
	case 3:
		s.state = state(f.Int)
	case 4:
		s.created = nanoTime(f.Int)
	case 5:
		s.started = nanoTime(f.Int)
	case 6:
		s.finished = nanoTime(f.Int)
	case 7:
		s.exitCode = int(int32(f.Int))
	case 8:
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			if f.Number == 1 || f.Number == 18 && f.Text() != "" {
				s.image = f.Text() // 18: as the pod's author wrote it
			}
			return nil
		})
	case 10:
		s.reason = f.Text()
	case 11:
		s.message = f.Text()
	case 12:
		return grpcread.Entry(&s.labels, f.Bytes)
	case 13:
		return grpcread.Entry(&s.annotations, f.Bytes)
	case 15:
		s.logPath = f.Text()
	case 16:
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			if f.Number != 1 {
				return nil
			}
			return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
				switch f.Number {
				case 4:
					s.memoryLimit = int64(f.Int)
				case 10:
					s.swapLimit = int64(f.Int)
				}
				return nil
			})
		})
	case 19:
		s.stopSignal = int(f.Int)
	}
	return nil
}

// verbose takes what the runtime adds on request: the first process's pid, the sandbox
// and the limit, which a status of containerd 1.6 has nowhere else.
func (s *status) verbose(info string) {
	var d struct {
		SandboxID   string `json:"sandboxID"`
		PID         int    `json:"pid"`
		RuntimeSpec struct {
			Root   struct{ Readonly bool } `json:"root"`
			Mounts []mount                 `json:"mounts"`
			Linux  struct {
				Resources struct {
					Memory struct {
						Limit, Swap int64
					} `json:"memory"`
				} `json:"resources"`
			} `json:"linux"`
		} `json:"runtimeSpec"`
	}
	if json.Unmarshal([]byte(info), &d) != nil {
		return // another runtime's own form
	}
	s.sandbox, s.pid = d.SandboxID, d.PID
	s.readonlyRoot, s.mounts = d.RuntimeSpec.Root.Readonly, d.RuntimeSpec.Mounts
	if m := d.RuntimeSpec.Linux.Resources.Memory; s.memoryLimit == 0 {
		s.memoryLimit, s.swapLimit = m.Limit, m.Swap
	}
}

// nanoTime is a time in nanoseconds since 1970; the zero time for 0.
func nanoTime(n uint64) time.Time {
	if int64(n) <= 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n)).UTC()
}

// sandbox is a pod as the runtime knows it.
type sandbox struct {
	name, uid, namespace string
	labels, annotations  map[string]string
	shares               namespaces
}

func (c *client) sandbox(ctx context.Context, id string) (*sandbox, error) {
	s := &sandbox{}
	err := c.call(ctx, callSandbox, grpcread.AppendText(nil, 1, id), func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			switch f.Number {
			case 2:
				return grpcread.Texts(f.Bytes, map[int]*string{1: &s.name, 2: &s.uid, 3: &s.namespace})
			case 6:
				return s.shares.read(f.Bytes)
			case 7:
				return grpcread.Entry(&s.labels, f.Bytes)
			case 8:
				return grpcread.Entry(&s.annotations, f.Bytes)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// read takes the namespaces of a LinuxPodSandboxStatus.
func (n *namespaces) read(linux []byte) error {
	return grpcread.Fields(linux, func(f grpcread.Field) error {
		if f.Number != 1 {
			return nil
		}
		return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
			if f.Number != 2 {
				return nil
			}
			return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
				switch f.Number {
				case 1:
					n.Network = int(f.Int)
				case 2:
					n.PID = int(f.Int)
				case 3:
					n.IPC = int(f.Int)
				}
				return nil
			})
		})
	})
}
