package verdict

import (
	"fmt"
	"slices"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// kernelVerdict reads whose limit was reached from what the kernel printed.
func kernelVerdict(f *Facts, k *KernelKill) judgement {
	v := judgement{kill: k, confidence: incident.Certain}
	e := k.Episode
	switch e.Constraint {
	case kmsg.ConstraintMemcg:
		switch own, known := ownLimit(f, k); {
		case !known && unlimited(f):
			v.cause, v.confidence = incident.OOMAncestor, incident.Likely
			v.why = "the kernel did not print whose limit it was, and the container has none of its own"
		case !known:
			v.cause, v.confidence = incident.OOMContainer, incident.Likely
			v.why = "the kernel did not print whose limit it was (it names the cgroup for only 10 kills in 5 s)"
		case own:
			v.cause = incident.OOMContainer
		default:
			v.cause = incident.OOMAncestor
		}
	case kmsg.ConstraintNone:
		v.cause = incident.OOMHost
	case kmsg.ConstraintCpuset, kmsg.ConstraintMemoryPolicy:
		v.cause = incident.OOMNode
	default:
		if k.FromTrace {
			v.cause, v.confidence, v.why = tracedKill(f)
			break
		}
		v.confidence = incident.Likely
		switch own, known := ownLimit(f, k); {
		case known && own:
			v.cause = incident.OOMContainer
		case known:
			v.cause = incident.OOMAncestor
		case e.Limit.Printed:
			v.cause = incident.OOMContainer
		case k.By != ByNone && f.Container != nil && f.Container.MemoryLimit != nil:
			v.cause, v.confidence = incident.OOMContainer, incident.Possible
			v.why = "the kernel printed the kill without saying which limit was reached"
		default:
			v.cause, v.confidence = incident.OOMHost, incident.Possible
			v.why = "the kernel printed the kill without saying which limit was reached"
		}
	}
	switch k.By {
	case ByTrace:
		v.why = joinWhy(v.why, fmt.Sprintf("pid %d was found in this cgroup when the kernel marked it", k.Kill.PID))
	case ByParent:
		v.confidence = weaker(v.confidence, incident.Likely)
		v.why = joinWhy(v.why, fmt.Sprintf("the parent of pid %d was in this container when the kernel marked it", k.Kill.PID))
	case ByPIDTable:
		v.confidence = weaker(v.confidence, incident.Likely)
		v.why = joinWhy(v.why, fmt.Sprintf("pid %d had been seen in this container before", k.Kill.PID))
	case ByCounter:
		v.confidence = weaker(v.confidence, incident.Likely)
		v.why = joinWhy(v.why, "this container's oom_kill counter moved")
	case ByEvent:
		v.confidence = weaker(v.confidence, incident.Likely)
		v.why = joinWhy(v.why, "the engine reported an OOM in this container at that time")
	}
	switch {
	case len(k.OneOf) == 1:
		v.why = joinWhy(v.why, "records were lost near that time, or several containers fit: the kill may be another container's")
	case len(k.OneOf) > 1:
		v.why = joinWhy(v.why, "several containers lost a process at that time, and nothing says which lost which: the victim is one of "+joinNames(k.OneOf))
	}
	if e.Unverified {
		v.confidence = weaker(v.confidence, incident.Likely)
	}
	return v
}

// nearLimit is the part of its limit from which a container is taken to have
// reached it, where a line of the kernel's log about it is missing.
const nearLimit = 0.9

// tracedKill judges a kill of which the log has no record: that the kernel's OOM
// killer did it is certain, at whose limit is not.
func tracedKill(f *Facts) (incident.Cause, incident.Confidence, string) {
	lost := "the kernel's OOM killer was traced, and its log has no record of the kill that says whose limit was reached"
	if gap := f.kernelGap(); gap != "" {
		lost = "the kernel's OOM killer was traced; whose limit was reached is not known: " + gap
	}
	switch s, _ := lastSample(f); {
	case f.Container == nil || unlimited(f):
		return incident.OOMHost, incident.Possible, lost
	case s != nil && s.Limit > 0 && float64(s.Current) >= nearLimit*float64(s.Limit):
		return incident.OOMContainer, incident.Likely, lost + fmt.Sprintf("; the last reading was %s of its %s", incident.FormatBytes(s.Current), incident.FormatBytes(s.Limit))
	}
	return incident.OOMContainer, incident.Possible, lost
}

// ownLimit says whether the exhausted limit belongs to the victim's own
// container (or unit) rather than to something above it.
func ownLimit(f *Facts, k *KernelKill) (own, known bool) {
	e := k.Episode
	if e.OOMMemcg == "" {
		return false, false
	}
	task := e.TaskMemcg
	if task == "" && e.GroupMemcg != "" {
		task = e.GroupMemcg
	}
	limit := f.pathOf(e.OOMMemcg)
	if f.Container != nil && f.Container.ID != "" {
		if podOfOne(f, k, &limit) {
			return true, true
		}
		// A limit inside the container (docker in docker) is its own too.
		return cgroup.SameID(limit.ContainerID, f.Container.ID) || cgroup.SameID(limit.OuterID, f.Container.ID), true
	}
	if task == "" {
		return false, false
	}
	if task == e.OOMMemcg {
		return true, true
	}
	victim := f.pathOf(task)
	switch {
	case victim.ContainerID != "":
		return limit.ContainerID == victim.ContainerID, true
	case victim.Name != "":
		return limit.Name == victim.Name && limit.Runtime == victim.Runtime, true
	case victim.Unit != "":
		return limit.Unit == victim.Unit, true
	}
	return false, true
}

// maxPage is the largest page that a limit may be rounded to.
const maxPage = 64 << 10

// podOfOne is true where the limit is that of the container's pod and of the same size as
// its own. The kubelet gives a pod the sum of its containers' limits, and the pause process
// counts towards it: with one container the pod's limit is reached first, and grows with
// the container's. With another container in it, it is no sum, but the pod's own
// (spec.resources), which the kubelet gives to each container that has none; the same where
// the kubelet says that the pod has one.
func podOfOne(f *Facts, k *KernelKill, limit *cgroup.Identity) bool {
	own, e := f.Container.MemoryLimit, k.Episode
	if own == nil || !e.Limit.Printed || limit.PodUID == "" || limit.ContainerID != "" {
		return false
	}
	if slices.ContainsFunc(k.Members, func(m incident.Member) bool { return isNamed(&m) && m.Container != f.Container.Name }) {
		return false
	}
	return sameLimit(*own, e.Limit.Bytes) && !podHasLimit(f)
}

// podHasLimit is true where the kubelet says that the pod has a limit of its own.
func podHasLimit(f *Facts) bool {
	return slices.ContainsFunc(f.Voices, func(v incident.Voice) bool { return v.Kind == incident.VoicePodLimit })
}

// sameLimit is true for two limits that are one before and after it was rounded to a page.
func sameLimit(a, b int64) bool { return -maxPage < a-b && a-b < maxPage }

// isNamed is true for a member that is a known container; a pod's sandbox has an id alone.
func isNamed(m *incident.Member) bool { return m.Container != "" && len(m.Container) != 64 }

// unlimited is true when the container is known to have no memory limit of its own.
func unlimited(f *Facts) bool {
	if f.Container == nil || f.Container.MemoryLimit != nil {
		return false
	}
	if s, _ := lastSample(f); s != nil {
		return s.Limit == cgroup.Unlimited
	}
	// Only inspect tells the restart count, and it tells the limit too.
	return f.Container.RestartCount != nil
}
