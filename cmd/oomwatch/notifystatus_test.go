package main

import (
	"strings"
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/web"
)

// TestDeliveries: what a person reads of each receiver, and who needs a hand.
func TestDeliveries(t *testing.T) {
	for _, c := range []struct {
		name      string
		is        web.DeliveryStatus
		needsHand bool
		says      []string
	}{
		{"removed, still owed something", web.DeliveryStatus{Receiver: "removed", Generated: 2, Delivered: 1, Pending: 1}, true,
			[]string{"removed: generated 2 = delivered 1 + given up 0 + pending 1", "oomwatch notify retry removed"}},
		{"only just owed", web.DeliveryStatus{Receiver: "stays", Generated: 3, Pending: 3, Configured: true}, false,
			[]string{"stays: generated 3 = delivered 0 + given up 0 + pending 3"}},
		{"removed and given up", web.DeliveryStatus{Receiver: "removed", Generated: 2, Delivered: 1, Parked: 1}, false,
			[]string{"removed: generated 2 = delivered 1 + given up 1 + pending 0"}},
		{"given up", web.DeliveryStatus{Receiver: "stays", Generated: 2, Delivered: 1, Parked: 1, Configured: true}, true, nil},
		{"given up, kept no more", web.DeliveryStatus{Receiver: "stays", Generated: 2, Delivered: 1, Parked: 1, Pruned: 1, Configured: true}, false, nil},
		{"out of reach", web.DeliveryStatus{Receiver: "stays", Generated: 1, Pending: 1, Configured: true, Down: "refused"}, true, []string{"out of reach: refused"}},
	} {
		if got := needsHand(c.is); got != c.needsHand {
			t.Errorf("%s: needs a hand: %v", c.name, got)
		}
		var b strings.Builder
		if err := writeDeliveries(&b, []web.DeliveryStatus{c.is}, time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.says {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s: %q is not in:\n%s", c.name, want, b.String())
			}
		}
	}
}
