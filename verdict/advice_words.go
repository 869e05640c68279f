package verdict

import (
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// words are what a step is called where a container's definition is: a pod's manifest knows
// no flag of an engine.
type words struct {
	grace string // what allows a stop longer
	init  string // how to have an init that passes signals on
	pids  string // how to raise the number of processes
	shm   string // what bounds shared memory
	disk  string // what shows what fills the disk, and what bounds it
	image string // how to look into the image
	sh    string // how to start a shell in the image
	size  string // what makes a tmpfs larger
	again string // how to keep the log of one that is gone
	asked string // what shows who asked for an end
}

var engineWords = words{
	grace: "docker stop -t, stop_grace_period", init: "run with --init", pids: "raise --pids-limit", shm: "--shm-size, tmpfs size=",
	disk:  "docker system df -v for images, layers and volumes (logs are not in it), df -h and df -i on the host and in the container; bound logs with --log-opt max-size",
	image: "docker run --rm --entrypoint sh IMAGE -c 'ls -l COMMAND; head -1 COMMAND'", sh: "docker run --entrypoint sh -it IMAGE", size: "size=, --shm-size",
	again: "start it without --rm, or with a log driver that keeps it (journald)",
	asked: "docker events --since for who asked the engine",
}

var podWords = words{
	grace: "terminationGracePeriodSeconds", init: "put an init such as tini before it in the image", pids: "raise the kubelet's podPidsLimit", shm: "sizeLimit of its emptyDir",
	disk:  "df -h and df -i on the node and in the container (kubectl exec); bound what pods write: resources.limits.ephemeral-storage, an emptyDir's sizeLimit, the kubelet's containerLogMaxSize",
	image: "kubectl run try --rm -it --image IMAGE --command -- sh -c 'ls -l COMMAND; head -1 COMMAND'", sh: "kubectl run try --rm -it --image IMAGE --command -- sh", size: "sizeLimit",
	again: "kubectl logs --previous has it while the pod is there",
	asked: "kubectl get events and the kubelet's log (journalctl -u kubelet) for who asked for it",
}

// isPod is true for a container that a pod's manifest defines.
func isPod(inc *incident.Incident) bool {
	return inc.Container != nil && (inc.Container.Pod != nil || inc.Container.Runtime == "kubernetes")
}

// wordsOf are the words for a container.
func wordsOf(inc *incident.Incident) words {
	if isPod(inc) {
		return podWords
	}
	w := engineWords
	if isRuntime("containerd")(inc) || isRuntime("cri-o")(inc) {
		w.asked = podWords.asked
	}
	if isRuntime("podman")(inc) {
		w.grace = "podman stop -t, --stop-timeout"
	}
	for _, s := range []*string{&w.disk, &w.image, &w.sh, &w.asked} {
		*s = byCommand(inc, *s)
	}
	return w
}

// byCommand puts the engine's own command into a step of ours that names docker's. Podman
// takes the same words.
func byCommand(inc *incident.Incident, step string) string {
	if isRuntime("podman")(inc) {
		return strings.ReplaceAll(step, "docker ", "podman ")
	}
	return step
}
