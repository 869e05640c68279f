package verdict

import (
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// draft is the memory that an Incident is made of, apart from its texts.
type draft struct {
	inc             incident.Incident
	host            incident.Host
	container       incident.Container
	killer          incident.Killer
	victim, trigger incident.Process
	oom             incident.OOM
	memory          incident.Memory
	hog             incident.Hog
	advice          [1]string
	rows            []incident.Process
	evidence        []incident.Evidence

	// sizes and ints are the places of optional numbers.
	sizes []int64
	ints  []int
	order []ranked
}

// ranked is a row of the task table and what it is ranked by.
type ranked struct {
	rss int64
	row int
}

// clear forgets what is in it, and keeps its memory.
func (d *draft) clear() {
	*d = draft{rows: d.rows[:0], evidence: d.evidence[:0], sizes: d.sizes[:0], ints: d.ints[:0], order: d.order[:0]}
}

func (d *draft) number(v int64) *int64 {
	d.sizes = append(d.sizes, v)
	return &d.sizes[len(d.sizes)-1]
}

func (d *draft) size(s kmsg.Size) *int64 {
	if !s.Printed {
		return nil
	}
	return d.number(s.Bytes)
}

func (d *draft) int(v int) *int {
	d.ints = append(d.ints, v)
	return &d.ints[len(d.ints)-1]
}
