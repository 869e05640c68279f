package cri

import (
	"context"
	"sync"
	"time"

	"github.com/oomwatch/oomwatch/internal/grpcread"
)

// namespace is where containerd's CRI keeps its containers.
const namespace = "k8s.io"

// topics are the moments that are asked for, as containerd filters them.
var topics = []string{"/containers/create", "/containers/delete", "/tasks/start", "/tasks/oom", "/tasks/exit"}

// moment is an event of containerd.
type moment struct {
	at    time.Time
	topic string
	id    string // of the container or sandbox
	pid   int    // /tasks/start: the first process
	code  int    // /tasks/exit
	end   time.Time
}

// subscribe follows the events until the stream ends, and returns why it did. One that
// nobody waits for is dropped by put, which never blocks.
func (c *client) subscribe(ctx context.Context, put func(moment)) error {
	var request []byte
	for _, t := range topics {
		request = grpcread.AppendText(request, 1, "namespace=="+namespace+`,topic=="`+t+`"`)
	}
	return c.conn.Stream(ctx, callEvents, request, func(msg []byte) error {
		m, exec, err := momentOf(msg)
		if err == nil && !exec {
			put(m)
		}
		return err
	})
}

// momentOf reads an Envelope. exec is true for the end of a process that somebody ran in
// the container, which is nobody's death.
func momentOf(msg []byte) (m moment, exec bool, err error) {
	err = grpcread.Fields(msg, func(f grpcread.Field) error {
		switch f.Number {
		case 1:
			t, err := timestamp(f.Bytes)
			m.at = t
			return err
		case 3:
			m.topic = f.Text()
		case 4:
			return grpcread.Fields(f.Bytes, func(f grpcread.Field) error {
				if f.Number != 2 {
					return nil
				}
				var process string
				process, err := m.event(f.Bytes)
				exec = process != "" && process != m.id
				return err
			})
		}
		return nil
	})
	return m, exec, err
}

// event reads the event itself; in all of them field 1 is the container. It returns the
// process that a /tasks/exit is of.
func (m *moment) event(b []byte) (process string, err error) {
	err = grpcread.Fields(b, func(f grpcread.Field) error {
		switch {
		case f.Number == 1:
			m.id = f.Text()
		case m.topic == "/tasks/start" && f.Number == 2:
			m.pid = int(f.Int)
		case m.topic == "/tasks/exit":
			switch f.Number {
			case 2:
				process = f.Text()
			case 4:
				m.code = int(uint32(f.Int))
			case 5:
				t, err := timestamp(f.Bytes)
				m.end = t
				return err
			}
		}
		return nil
	})
	return process, err
}

// timestamp reads a google.protobuf.Timestamp.
func timestamp(b []byte) (time.Time, error) {
	var sec, nano int64
	err := grpcread.Fields(b, func(f grpcread.Field) error {
		switch f.Number {
		case 1:
			sec = int64(f.Int)
		case 2:
			nano = int64(f.Int)
		}
		return nil
	})
	return time.Unix(sec, nano).UTC(), err
}

// inbox hands moments and notes from the connection to the loop. What does not fit is
// dropped, which a full list then makes good.
type inbox struct {
	mu      sync.Mutex
	most    int
	moments []moment
	notes   []note
	lost    int64
	ready   chan struct{}
}

func newInbox(most int) *inbox { return &inbox{most: most, ready: make(chan struct{}, 1)} }

func (i *inbox) put(m moment) {
	i.mu.Lock()
	if len(i.moments) < i.most {
		i.moments = append(i.moments, m)
	} else {
		i.lost++
	}
	i.mu.Unlock()
	i.wake()
}

func (i *inbox) tell(n note) {
	i.mu.Lock()
	i.notes = append(i.notes, n)
	i.mu.Unlock()
	i.wake()
}

func (i *inbox) wake() {
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

// take returns all that waits.
func (i *inbox) take() (moments []moment, notes []note, lost int64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	moments, notes, lost = i.moments, i.notes, i.lost
	i.moments, i.notes, i.lost = nil, nil, 0
	return moments, notes, lost
}
