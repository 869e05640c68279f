// Package doctor tries every source and place that the daemon would use, and says what
// cannot be seen without each and what would mend it. It changes nothing.
package doctor

import (
	"context"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/internal/inside"
)

// Finding is what is said of one capability.
type Finding struct {
	Capability string `json:"capability"`
	// State is "ok", "weak" (it works in part, or only as long as nobody
	// looks closely) or "missing".
	State string `json:"state"`
	Found string `json:"found"`
	// Invisible is what cannot be seen or done without it, Fix the exact step
	// that would mend it.
	Invisible string `json:"invisible,omitempty"`
	Fix       string `json:"fix,omitempty"`
	// SeesDeaths is true for a capability that alone lets deaths be seen.
	SeesDeaths bool `json:"-"`
	// Needed is true for what the daemon cannot do without: its store, its address, and
	// each receiver that is configured.
	Needed bool `json:"-"`
}

// The states of a capability.
const (
	OK      = "ok"
	Weak    = "weak"
	Missing = "missing"
)

// Diagnose tries everything, in the order in which a reader wants to know.
func Diagnose(ctx context.Context, cfg *config.Config, warnings []string) []Finding {
	var out []Finding
	pod := inside.Pod()
	out = append(out, checkKernelLog(pod)...)
	out = append(out, checkJournal(ctx, pod))
	out = append(out, checkEngines(ctx, cfg)...)
	out = append(out, checkCgroups(pod)...)
	out = append(out, checkTracefs())
	needed := []Finding{checkStore(cfg.Store.Path)}
	needed = append(needed, checkDaemon(ctx, cfg)...)
	needed = append(needed, checkReceivers(cfg, warnings)...)
	for i := range needed {
		needed[i].Needed = true
	}
	return append(out, needed...)
}
