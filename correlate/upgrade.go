package correlate

import (
	"encoding/json"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
)

// oldContainer is a container as versions before the join derived its verdicts kept it.
type oldContainer struct {
	Spec observe.Container `json:"spec"`
	Runs []struct {
		Start    time.Time      `json:"start"`
		Exact    bool           `json:"exact"`
		Guessed  bool           `json:"guessed"`
		PID      int            `json:"pid"`
		Exit     *incident.Exit `json:"exit"`
		ExitSeen time.Time      `json:"exit_seen"`
		Missed   bool           `json:"missed"`
		Told     bool           `json:"told"`
		DeathID  string         `json:"death_id"`
	} `json:"runs"`
	Removed time.Time `json:"removed"`
	Boot    string    `json:"boot"`
}

// restoreContainer reads a row that State wrote, or one that an earlier version did.
func restoreContainer(b []byte) (*container, error) {
	x := &container{}
	if err := json.Unmarshal(b, x); err != nil {
		return nil, err
	}
	var old oldContainer
	if err := json.Unmarshal(b, &old); err != nil || old.Runs == nil {
		return x, err
	}
	x.Boot = old.Boot
	if x.Engine == "" {
		x.Engine = observe.DefaultEngine
	}
	for _, r := range old.Runs {
		if !r.Guessed {
			l := look{Started: r.Start, PID: r.PID, Exit: r.Exit}
			if r.Exit != nil {
				l.Shown = r.ExitSeen
			} else {
				l.LastRunning = r.Start
			}
			x.Looks = insertFact(x.Looks, l, (*look).at, maxFacts)
		} else if r.Exit != nil {
			x.Exits = insertFact(x.Exits, exit{Exit: *r.Exit}, (*exit).at, maxFacts)
		}
		if r.Told {
			anchor := r.Start
			if r.Guessed && r.Exit != nil {
				anchor = r.Exit.At
			}
			x.Emitted = append(x.Emitted, emission{ID: r.DeathID, Kind: incident.KindDeath, Anchor: anchor, Print: keptByOld, Nothing: r.DeathID == ""})
		}
	}
	if !old.Removed.IsZero() {
		x.Gone = []absence{{At: old.Removed}}
	}
	return x, nil
}

// keptByOld is the fingerprint of an emission by an earlier version: it is not judged
// again, for not all of its facts were kept.
const keptByOld = ^uint64(0)
