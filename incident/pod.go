package incident

import (
	"strings"

	"github.com/oomwatch/oomwatch/internal/lazyre"
)

// Names are all that a person may call a container of the pod, or the pod, by: the pod's
// name, namespace/pod, pod/container and namespace/pod/container. "" is none.
func (p *Pod) Names(container string) []string {
	if p.Name == "" {
		return nil
	}
	names := []string{p.Name}
	if p.Namespace != "" {
		names = append(names, p.Namespace+"/"+p.Name)
	}
	if container != "" {
		for _, n := range names[:len(names):len(names)] {
			names = append(names, n+"/"+container)
		}
	}
	return names
}

// Title is the container's name and, in a pod, the pod's: a name like "main" says nothing
// without it. "" where it has no name. It is not sanitised.
func (c *Container) Title() string {
	if p := c.Pod; p != nil && p.Name != "" && p.Namespace != "" && c.Name != "" {
		return c.Name + " of pod " + p.Namespace + "/" + p.Name
	}
	return c.Name
}

// FullName is the container's name as a command takes it: in a pod NAMESPACE/POD/NAME, else
// the name alone. "" where it has no name. It is not sanitised.
func (c *Container) FullName() string {
	if p := c.Pod; p != nil && p.Name != "" && p.Namespace != "" && c.Name != "" {
		return p.Namespace + "/" + p.Name + "/" + c.Name
	}
	return c.Name
}

// How Kubernetes ends the names of pods: five of these letters at random, which has no
// vowel and nothing that looks like another; before it, of a Deployment's, the hash of its
// template, of a CronJob's the minutes since 1970; a StatefulSet's have a number.
var (
	reRandom  = lazyre.New(`-[bcdfghjklmnpqrstvwxz2456789]{5}$`)
	reHash    = lazyre.New(`-[bcdf2456789][bcdfghjklmnpqrstvwxz2456789]{5,9}$`)
	reMinutes = lazyre.New(`-[0-9]{8,10}$`)
	reOrdinal = lazyre.New(`-[0-9]{1,5}$`)
)

// Labels by which Kubernetes says who made a pod.
const (
	labelTemplateHash = "pod-template-hash"
	labelStatefulPod  = "statefulset.kubernetes.io/pod-name"
	labelJob          = "batch.kubernetes.io/job-name"
)

// Owner is the name of what made the pod, which outlives it: of a Deployment, DaemonSet,
// StatefulSet, Job or CronJob. Where the pod's labels do not say it, it is worked out of
// the pod's name; a name that fits none is its own.
func (p *Pod) Owner(labels map[string]string) string {
	if hash := labels[labelTemplateHash]; hash != "" {
		if owner, ok := strings.CutSuffix(reRandom.ReplaceAllString(p.Name, ""), "-"+hash); ok && owner != "" {
			return owner
		}
	}
	if job := labels[labelJob]; job != "" {
		return trimmed(job, reMinutes)
	}
	if labels[labelStatefulPod] == p.Name {
		return trimmed(p.Name, reOrdinal)
	}
	bare := trimmed(p.Name, reRandom)
	if bare == p.Name {
		return trimmed(p.Name, reOrdinal)
	}
	if job := trimmed(bare, reMinutes); job != bare {
		return job
	}
	return trimmed(bare, reHash)
}

// trimmed is a name without an ending; one that is nothing else stays.
func trimmed(name string, end *lazyre.Regexp) string {
	if short := end.ReplaceAllString(name, ""); short != "" {
		return short
	}
	return name
}
