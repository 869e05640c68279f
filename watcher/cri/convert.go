package cri

import (
	"maps"
	"strconv"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/observe"
	"github.com/oomwatch/oomwatch/redact"
)

// Labels and annotations by which the kubelet says what a container is.
const (
	labelContainer   = "io.kubernetes.container.name"
	labelPodName     = "io.kubernetes.pod.name"
	labelNamespace   = "io.kubernetes.pod.namespace"
	labelPodUID      = "io.kubernetes.pod.uid"
	annotRestarts    = "io.kubernetes.container.restartCount"
	annotGrace       = "io.kubernetes.pod.terminationGracePeriod"
	reasonOOM        = "OOMKilled"
	reasonStartError = "StartError"
	reasonError      = "Error"
)

// stopSignals are the signals that an image can be stopped with, by CRI's numbers.
var stopSignals = map[int]string{8: "SIGHUP", 10: "SIGINT", 13: "SIGKILL", 18: "SIGQUIT", 23: "SIGTERM", 29: "SIGUSR1", 30: "SIGUSR2", 32: "SIGWINCH", 38: "SIGRTMIN+3"}

// stateWords are CRI's states in the words of observe.Container.
var stateWords = map[state]string{created: "created", running: "running", exited: "exited"}

// container turns a status into what the watcher keeps. pid is that of the start event;
// 0 where there was none.
func (s *status) container(runtime string, pod *sandbox, pid int) observe.Container {
	c := observe.Container{Container: incident.Container{ID: s.id, Name: redact.Cut(s.name, redact.MaxLabelValue), Image: redact.Cut(s.image, redact.MaxLabelValue), Runtime: runtime}}
	c.State = stateWords[s.state]
	c.StartedAt = s.started
	isRunning := s.state == running
	c.Running = &isRunning
	if isRunning {
		if c.PID = s.pid; pid != 0 {
			c.PID = pid
		}
	}
	c.Places = s.places()
	labels := s.labels
	if pod != nil {
		// The pod's own labels are on its sandbox alone; the container's win.
		labels = maps.Clone(pod.labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, s.labels)
	}
	c.Labels = redact.Labels(labels, labelContainer, labelPodName, labelNamespace, labelPodUID)
	c.Pod = podOf(labels, pod)
	if n, err := strconv.Atoi(s.annotations[annotRestarts]); err == nil && n >= 0 {
		c.RestartCount = &n
	} else {
		c.RestartCount = &s.attempt
	}
	if n, err := strconv.ParseFloat(s.annotations[annotGrace], 64); err == nil && n >= 0 {
		c.StopGraceSecond = &n
	}
	if s.memoryLimit > 0 {
		c.MemoryLimit = &s.memoryLimit
	}
	if s.swapLimit > 0 {
		c.SwapLimit = &s.swapLimit
	}
	c.StopSignal = stopSignals[s.stopSignal]
	flag := s.reason == reasonOOM
	c.OOMKilledFlag = &flag
	if c.Exit = s.exit(); c.Exit != nil {
		if c.FinishedAt = c.Exit.FinishedAt; !c.Exit.NoCode {
			c.ExitCode = &c.Exit.ExitCode
		}
	}
	return c
}

// podOf names the pod, by the kubelet's labels or else as the runtime knows it.
func podOf(labels map[string]string, pod *sandbox) *incident.Pod {
	p := incident.Pod{UID: labels[labelPodUID], Namespace: labels[labelNamespace], Name: labels[labelPodName]}
	if pod != nil && p.Name == "" {
		p = incident.Pod{UID: pod.uid, Namespace: pod.namespace, Name: pod.name}
	}
	if p == (incident.Pod{}) {
		return nil
	}
	return &incident.Pod{UID: redact.Cut(p.UID, redact.MaxLabelValue), Namespace: redact.Cut(p.Namespace, redact.MaxLabelValue), Name: redact.Cut(p.Name, redact.MaxLabelValue)}
}

// exit is the container's end; nil while it runs and where it never did. One that could
// not be started has an Error and no FinishedAt.
func (s *status) exit() *incident.Exit {
	if s.state != exited {
		return nil
	}
	x := &incident.Exit{At: s.finished, ExitCode: s.exitCode, OOMKilled: s.reason == reasonOOM, Inspected: true}
	if s.exitCode == noCode {
		x.ExitCode, x.NoCode = 255, true
	}
	if s.failed() {
		if x.Error = redact.Cut(redact.Line(s.message), 2048); x.Error == "" {
			x.Error = redact.Sanitize(redact.Cut(s.reason, 64)) + ": the runtime gives no message"
		}
		return x
	}
	x.FinishedAt = s.finished
	return x
}

// failed is true for a container that could not be started. CRI-O gives such a one the
// time of its creation for that of its start.
func (s *status) failed() bool {
	return s.state == exited && (s.started.IsZero() || s.reason == reasonStartError || s.reason == reasonError && s.message != "" && s.started.Equal(s.created))
}
