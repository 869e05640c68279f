package verdict

import (
	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
)

// FromLog turns kill i of an episode into the facts that a kernel log alone can
// give: the container's id and pod from the cgroup path, nothing of its name or
// end. boot is the boot id the log belongs to, "" where it is not known.
func FromLog(e *kmsg.Episode, i int, boot string) *Facts { return new(logFacts).fill(e, i, boot) }

// LogExplainer explains the kills of a log one after another, in the same
// memory: a log may hold many thousands. It is for one goroutine.
type LogExplainer struct {
	facts logFacts
	draft draft
}

// Explain is Explain of FromLog. The incident is valid until the next call.
func (x *LogExplainer) Explain(e *kmsg.Episode, i int, boot string) *incident.Incident {
	return x.draft.explain(x.facts.fill(e, i, boot))
}

// logFacts is the memory of facts from a log.
type logFacts struct {
	facts     Facts
	kills     [1]KernelKill
	container incident.Container
	pod       incident.Pod
}

func (m *logFacts) fill(e *kmsg.Episode, i int, boot string) *Facts {
	k := &e.Kills[i]
	m.kills[0] = KernelKill{Episode: e, Kill: *k}
	m.facts = Facts{Kind: incident.KindHost, Time: k.Time, Offline: true, ID: KillID(boot, e, k), Kills: m.kills[:]}
	f := &m.facts
	path := VictimPath(e)
	if path == "" {
		return f
	}
	f.Kills[0].By = ByPath
	f.path.text, f.path.id = path, cgroup.ParsePath(path)
	if id := &f.path.id; !id.InContainer() && id.PodUID == "" { // a pod's monitor is in no container of it, but in the pod
		f.Unit = id.Unit
		return f
	}
	setOwner(&f.path.id, &m.container, &m.pod)
	f.Kind, f.Container = incident.KindKill, &m.container
	return f
}

// pathOf is cgroup.ParsePath, without doing it again for the path that FromLog
// has parsed: in most kills it is the limit's path too.
func (f *Facts) pathOf(path string) cgroup.Identity {
	if path != "" && path == f.path.text {
		return f.path.id
	}
	return cgroup.ParsePath(path)
}

// VictimPath is the cgroup the victims of an episode were in, as printed: the
// path of a memory.oom.group kill where the summary gave none.
func VictimPath(e *kmsg.Episode) string {
	switch {
	case e.TaskMemcg != "":
		return e.TaskMemcg
	case e.GroupMemcg != "":
		return e.GroupMemcg
	case e.OOMMemcg != "" && e.Constraint == kmsg.ConstraintMemcg && cgroup.ParsePath(e.OOMMemcg).ContainerID != "":
		return e.OOMMemcg // only the limit is named, and it is a container's
	}
	return ""
}

// OwnerOf says what a cgroup path tells of its owner: a container, or nil and
// the systemd unit ("" when there is none either).
func OwnerOf(path string) (*incident.Container, string) {
	if path == "" {
		return nil, ""
	}
	id := cgroup.ParsePath(path)
	if !id.InContainer() {
		return nil, id.Unit
	}
	c := new(incident.Container)
	setOwner(&id, c, new(incident.Pod))
	return c, ""
}

// setOwner makes a container of what its path tells. The pod is taken if there is one.
func setOwner(id *cgroup.Identity, c *incident.Container, pod *incident.Pod) {
	*c = incident.Container{ID: id.ContainerID, Name: id.Name, Runtime: id.Runtime, OuterID: id.OuterID}
	if id.PodUID != "" {
		*pod = incident.Pod{UID: id.PodUID}
		c.Pod = pod
	}
}

// KillID is the stable id of one kill: the same kernel record gives the same id
// however often it is read.
func KillID(boot string, e *kmsg.Episode, k *kmsg.Kill) string {
	seq, up := k.Seq, k.Uptime
	if seq == 0 && up == 0 {
		seq, up = e.Seq, e.Uptime
	}
	return incident.RecordID(boot, seq, up, k.Time, k.PID, k.Comm)
}
