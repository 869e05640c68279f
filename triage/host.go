package triage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// HostName is the service name of the host itself.
const HostName = "the host"

// adviceHost is for a host that is full of many.
const adviceHost = "Give every container a memory limit so that their sum stays under the host's memory, less what the host itself needs; the largest first."

// judgeHost judges the times the host's own memory ran out. Whom the kernel
// killed says little then; who held the memory does.
func judgeHost(c *chain, d dice) Service {
	s := Service{Schema: Schema, Service: HostName, Class: HostOvercommitted, Confidence: incident.Possible}
	if c.machine != "" {
		s.Service += " " + redact.Sanitize(c.machine)
	}
	asked := 0
	victims := map[string]int{}
	hogs := map[string][]*occasion{}
	for _, o := range c.occasions {
		for name, n := range o.comms {
			victims[name] += n
		}
		s.Unverified = s.Unverified || o.Unverified
		if o.SysRq {
			asked++
		} else if o.Hog != "" {
			hogs[o.Hog] = append(hogs[o.Hog], o)
		}
	}
	seconds, _ := c.intervals()
	s.Kills = c.kills(seconds)
	s.Kills.RSS = nil // of different programs
	if asked == len(c.occasions) {
		s.Class, s.Confidence = NotEnoughData, ""
		s.Reasons = append(s.Reasons, fmt.Sprintf("somebody triggered the OOM killer by hand (SysRq f) %s; it killed %s", times(asked), counted(victims)))
		return s
	}
	s.Reasons = append(s.Reasons, fmt.Sprintf("the host ran out of memory %s; the kernel killed %s", times(len(c.occasions)-asked), counted(victims)))
	if len(hogs) == 0 {
		s.Reasons = append(s.Reasons, "the log has no task table, so who held the memory is not known")
		s.Advice = append(s.Advice, "Give every container a memory limit so that one cannot take the host's memory.")
		return s
	}
	name, most := "", []*occasion(nil)
	for hog, list := range hogs {
		if len(list) > len(most) || len(list) == len(most) && hog < name {
			name, most = hog, list
		}
	}
	o := most[len(most)-1]
	s.heldBy(o)
	if o.Host > 0 && o.HogHeld*2 > o.Host {
		s.Confidence = incident.Likely
		if s.hostLeak(most, d) {
			return s
		}
		s.Advice = append(s.Advice, fmt.Sprintf("Give %s a memory limit, or look at what it needs %s for: it took most of the host's memory.", redact.Sanitize(name), units.Bytes(o.HogHeld)))
		return s
	}
	if o.Host > 0 && o.Held*2 > o.Host {
		s.Confidence = incident.Likely
	}
	s.Advice = append(s.Advice, adviceHost)
	return s
}

// heldBy says what the task table says.
func (s *Service) heldBy(o *occasion) {
	all := units.Bytes(o.Held)
	if o.Host > 0 {
		all += " of the host's " + units.Bytes(o.Host)
	}
	s.Reasons = append(s.Reasons, fmt.Sprintf("at the last kill, all tasks together held %s (pages that are shared count in each), %s in %s of %s",
		all, units.Bytes(o.HogHeld), plural(o.HogTasks, "process"), redact.Sanitize(o.Hog)))
}

// counted lists names with their counts, the most frequent first.
func counted(m map[string]int) string {
	type entry struct {
		name string
		n    int
	}
	var list []entry
	for name, n := range m {
		list = append(list, entry{name, n})
	}
	slices.SortFunc(list, func(a, b entry) int {
		if a.n != b.n {
			return b.n - a.n
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for i, e := range list {
		if i == 5 {
			out = append(out, fmt.Sprintf("%d others", len(list)-i))
			break
		}
		out = append(out, fmt.Sprintf("%s (%d)", redact.Sanitize(e.name), e.n))
	}
	return strings.Join(out, ", ")
}

func times(n int) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	if strings.HasSuffix(word, "s") {
		return fmt.Sprintf("%d %ses", n, word)
	}
	return fmt.Sprintf("%d %ss", n, word)
}
