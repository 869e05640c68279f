package config

import (
	"fmt"
	"io"

	"github.com/oomwatch/oomwatch/notify"
)

// Senders makes the sender of each configured receiver, in their order. stdout takes the
// alerts of those of type stdout.
func (c *Config) Senders(stdout io.Writer) ([]notify.Receiver, error) {
	var out []notify.Receiver
	for i := range c.Receivers {
		one, err := newReceiver(&c.Receivers[i], stdout)
		if err != nil {
			return nil, fmt.Errorf("receiver %q: %w", string(c.Receivers[i].Name), err)
		}
		out = append(out, one)
	}
	return out, nil
}

// CloseSenders ends idle connections of senders that are no longer used.
func CloseSenders(list []notify.Receiver) {
	for _, s := range list {
		if end := s.Notifier.Traits().Close; end != nil {
			end()
		}
	}
}
