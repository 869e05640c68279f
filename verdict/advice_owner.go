package verdict

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// ownerKind is one sort of definition that a container's limit comes from. What is
// changed anywhere else the next deploy takes back.
type ownerKind struct {
	is func(inc *incident.Incident) bool
	// set says how to set a memory limit of next bytes, as the end of a sentence.
	// name is the container's or unit's, sanitised; gone is true where the container
	// is no longer there to be changed.
	set func(inc *incident.Incident, name string, next int64, gone bool) string
}

// Labels by which an orchestrator says what a container belongs to.
const (
	labelSwarmService = "com.docker.swarm.service.name"
	labelMesosTask    = "MESOS_TASK_ID"
	labelNomadAlloc   = "com.hashicorp.nomad.alloc_id"
	labelECSTask      = "com.amazonaws.ecs.task-definition-family"
)

// ownerKinds are looked through in order: an orchestrator's container is a Docker
// container too.
var ownerKinds = []ownerKind{
	{isPod, func(i *incident.Incident, _ string, next int64, _ bool) string {
		return fmt.Sprintf("set resources.limits.memory: %s in the pod's template (Deployment, StatefulSet or Job), and apply it", mebi(next, "Mi"))
	}},
	{hasLabel(labelSwarmService), func(i *incident.Incident, _ string, next int64, _ bool) string {
		service := redact.Sanitize(i.Container.Labels[labelSwarmService])
		return fmt.Sprintf("set deploy.resources.limits.memory: %s in the stack's file and deploy it, or docker service update --limit-memory %s %s", mebi(next, "M"), mebi(next, "M"), service)
	}},
	{hasLabel(labelMesosTask), func(_ *incident.Incident, _ string, next int64, _ bool) string {
		return fmt.Sprintf("set \"mem\": %d (MiB) in the task's definition (Marathon, Chronos or Aurora)", next>>20)
	}},
	{func(i *incident.Incident) bool { return hasLabel(labelNomadAlloc)(i) || isRuntime("nomad")(i) }, func(_ *incident.Incident, _ string, next int64, _ bool) string {
		return fmt.Sprintf("set resources { memory = %d } (MiB) in the Nomad job, and run it", next>>20)
	}},
	{func(i *incident.Incident) bool { return hasLabel(labelECSTask)(i) || isRuntime("ecs")(i) }, func(_ *incident.Incident, _ string, next int64, _ bool) string {
		return fmt.Sprintf("set \"memory\": %d (MiB) in the ECS task definition, and update the service", next>>20)
	}},
	{func(i *incident.Incident) bool { return i.Container != nil && i.Container.Compose != nil }, func(i *incident.Incident, _ string, next int64, _ bool) string {
		service := "the service"
		if s := i.Container.Compose.Service; s != "" {
			service = "service " + redact.Sanitize(s)
		}
		return fmt.Sprintf("set mem_limit: %s (or deploy.resources.limits.memory) for %s in the compose file, then docker compose up -d", mebi(next, "m"), service)
	}},
	{isRuntime("lxc"), func(_ *incident.Incident, name string, next int64, _ bool) string {
		return fmt.Sprintf("set lxc.cgroup2.memory.max = %s in the configuration of LXC container %s (Proxmox: pct set %s --memory %d)", strings.ToUpper(sizeArg(next)), name, name, next>>20)
	}},
	{isRuntime("nspawn"), func(_ *incident.Incident, name string, next int64, _ bool) string {
		return fmt.Sprintf("systemctl set-property systemd-nspawn@%s.service MemoryMax=%s", name, strings.ToUpper(sizeArg(next)))
	}},
	{isRuntime("podman"), func(_ *incident.Incident, name string, next int64, gone bool) string {
		if gone {
			return fmt.Sprintf("start it with --memory %s (a Quadlet: PodmanArgs=--memory=%s)", mebi(next, "m"), mebi(next, "m"))
		}
		return fmt.Sprintf("podman update --memory %s %s, and the same --memory where it is started", sizeArg(next), name)
	}},
	{isRuntime("docker"), dockerLimit},
	{func(i *incident.Incident) bool { return i.Container == nil && i.Unit != "" }, func(i *incident.Incident, name string, next int64, _ bool) string {
		if i.OOM != nil && ofUserManager(i.OOM.OOMMemcg, i.Unit) {
			return fmt.Sprintf("systemctl --user set-property %s MemoryMax=%s, as that user", name, strings.ToUpper(sizeArg(next)))
		}
		return fmt.Sprintf("systemctl set-property %s MemoryMax=%s", name, strings.ToUpper(sizeArg(next)))
	}},
}

// ofUserManager is true for a unit that a user's own systemd runs.
func ofUserManager(path, unit string) bool {
	_, below, found := strings.Cut(path, "/user@")
	return found && strings.Contains(below, ".service/") && strings.Contains(below, "/"+unit)
}

func hasLabel(key string) func(*incident.Incident) bool {
	return func(i *incident.Incident) bool { return i.Container != nil && i.Container.Labels[key] != "" }
}

func isRuntime(name string) func(*incident.Incident) bool {
	return func(i *incident.Incident) bool { return i.Container != nil && i.Container.Runtime == name }
}

// mebi writes a size in MiB with the unit that a definition takes.
func mebi(n int64, unit string) string { return fmt.Sprintf("%d%s", n>>20, unit) }

// dockerLimit is for a container that docker run made. The total of memory and swap
// grows by as much as the limit does, so that it is never lowered.
func dockerLimit(i *incident.Incident, name string, next int64, gone bool) string {
	total := 2 * next // the engine's own default
	if c := i.Container; c.SwapLimit != nil {
		switch old := ownLimitBytes(i); {
		case *c.SwapLimit < 0:
			total = -1
		case c.MemoryLimit != nil && *c.SwapLimit >= *c.MemoryLimit:
			total = next + *c.SwapLimit - *c.MemoryLimit
		case old > 0 && *c.SwapLimit >= old:
			total = next + *c.SwapLimit - old
		default:
			total = max(next, *c.SwapLimit)
		}
	}
	if gone || i.Container.Name == "" {
		return fmt.Sprintf("start it with docker run -m %s --memory-swap %s", sizeArg(next), sizeArg(total))
	}
	return fmt.Sprintf("docker update -m %s --memory-swap %s %s, and the same -m where it is started", sizeArg(next), sizeArg(total), name)
}

// sizeArg writes a size as an argument of docker, podman and (in capitals) systemd takes
// it: in MiB or KiB where that is exact, else in bytes; -1 is no limit.
func sizeArg(n int64) string {
	switch {
	case n > 0 && n%(1<<20) == 0:
		return fmt.Sprintf("%dm", n>>20)
	case n > 0 && n%(1<<10) == 0:
		return fmt.Sprintf("%dk", n>>10)
	}
	return strconv.FormatInt(n, 10)
}

// howToLimit is how to set a limit of next bytes where it is defined; "" where nobody
// knows who defines it.
func howToLimit(inc *incident.Incident, next int64, gone bool) string {
	name := redact.Sanitize(inc.Unit)
	if c := inc.Container; c != nil {
		if unit := insideUnit(inc); unit != "" {
			return fmt.Sprintf("in %s: systemctl set-property %s MemoryMax=%s", subject(inc), redact.Sanitize(unit), strings.ToUpper(sizeArg(next)))
		}
		name = redact.Sanitize(containerName(c))
	}
	for i := range ownerKinds {
		if ownerKinds[i].is(inc) {
			return ownerKinds[i].set(inc, name, next, gone)
		}
	}
	return ""
}

// byEngine is true for a container that Docker's own commands reach by its name.
func byEngine(inc *incident.Incident) bool {
	c := inc.Container
	return c != nil && c.Runtime == "docker" && c.Name != "" && c.Pod == nil
}
