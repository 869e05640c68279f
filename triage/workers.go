package triage

// larger is by what factor the workers that the kernel kills hold more than the
// workers do on average: each grows from its start, and the largest is the oldest.
const larger = 1.2

// sharing tells workers that fill their container's limit together: the kernel kills
// the largest of them, and the container lives on. What is free then is what that
// worker held, and the time until they take it again is what a leak makes alike.
func (c *chain) sharing() bool {
	if c.stride > 1 || len(c.owners) != 1 || c.known().Scope != OwnLimit {
		return false
	}
	several := 0
	var more []float64
	for _, o := range c.occasions {
		if o.Hog != o.Comm || o.HogTasks < 2 || o.HogHeld <= 0 {
			continue
		}
		several++
		// memory.oom.group kills all of them: then all of the limit is free.
		if o.kills == o.picks && 5*o.RSS < 4*o.HogHeld {
			more = append(more, float64(o.RSS)*float64(o.HogTasks)/float64(o.HogHeld))
		}
	}
	return 2*several > len(c.occasions) && 2*len(more) > several && median(more) > larger
}
