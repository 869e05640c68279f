package processes

import "github.com/oomwatch/oomwatch/proc"

// Largest is the process of a container that holds the most memory now; false where none
// can be seen.
func (o *Options) Largest(container string) (largest proc.Task, ok bool) {
	tasks, err := proc.Tasks(o.Proc)
	if err != nil {
		return largest, false
	}
	for _, t := range tasks {
		if t.Resident > largest.Resident && o.Container(t.PID) == container {
			largest, ok = t, true
		}
	}
	return largest, ok
}
