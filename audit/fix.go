package audit

import (
	"fmt"

	"github.com/oomwatch/oomwatch/redact"
)

// OwnerKind is a form in which containers are defined.
type OwnerKind string

// The forms.
const (
	OwnerRun     OwnerKind = "run"
	OwnerCompose OwnerKind = "compose"
	OwnerSwarm   OwnerKind = "swarm"
	OwnerPod     OwnerKind = "pod"
	OwnerQuadlet OwnerKind = "quadlet"
)

// Owner is who defines a container: what is changed anywhere else, the next deploy
// takes back. Name is the service, the pod's container or the unit.
type Owner struct {
	Kind OwnerKind
	Name string
}

// change is one setting, in each form in which a container can be defined.
type change struct {
	// remove is true where the setting is to be taken out.
	remove  bool
	compose string // below the service
	run     string // flags of docker run and podman run
	pod     string // of the pod, or of its container; "" where Kubernetes has none
	swarm   string // flags of docker service update; "" where the stack's file alone can say it
	live    string // arguments of docker update, which works at once
	// then is a further step, or where to look first; thenPod the same for a pod.
	then, thenPod string
}

// apply says how to make a change where the container is defined.
func (c *Container) apply(x change) string {
	verb := "set "
	if x.remove {
		verb = "remove "
	}
	name := redact.Sanitize(c.Owner.Name)
	var s string
	switch c.Owner.Kind {
	case OwnerPod:
		if x.thenPod != "" {
			x.then = x.thenPod
		}
		if x.pod == "" {
			return x.then
		}
		s = fmt.Sprintf("In the pod's template, container %s: %s%s, and apply it.", name, verb, x.pod)
	case OwnerSwarm:
		s = fmt.Sprintf("In the stack's file, service %s: %s%s, and deploy it.", name, verb, x.compose)
		if x.swarm != "" {
			s = fmt.Sprintf("docker service update %s %s", x.swarm, name)
		}
	case OwnerCompose:
		s = fmt.Sprintf("In the compose file, service %s: %s%s; then docker compose up -d.", name, verb, x.compose)
	case OwnerQuadlet:
		s = fmt.Sprintf("In the unit %s: PodmanArgs=%s, then systemctl daemon-reload and restart it.", name, x.run)
		if x.remove {
			s = fmt.Sprintf("In the unit %s: remove what sets %s, then systemctl daemon-reload and restart it.", name, x.run)
		}
	default:
		s = c.applyRun(x)
	}
	if x.then != "" {
		s += " " + x.then
	}
	return s
}

// applyRun is for a container that docker run or podman run made.
func (c *Container) applyRun(x change) string {
	engine := "docker"
	if c.Runtime == "podman" {
		engine = "podman"
	}
	switch {
	case x.remove:
		return fmt.Sprintf("Recreate it with %s run, without %s.", engine, x.run)
	case x.live != "":
		return fmt.Sprintf("%s update %s %s works at once; add %s to the %s run that starts it.", engine, x.live, redact.Sanitize(c.Name), x.run, engine)
	}
	return fmt.Sprintf("Recreate it with %s run %s.", engine, x.run)
}
