package audit

import (
	"fmt"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
	"github.com/oomwatch/oomwatch/units"
)

// runningRules are about what happens while it runs, and when it dies.
var runningRules = []rule{
	{id: "restart.unbounded", cis: "5.15", severity: incident.Info, title: "unlimited restarts", engine: true, of: restartUnbounded,
		leadsTo: "If it cannot start, it is restarted forever, and nobody sees that it fails."},
	{id: "restart.rising", severity: incident.Warning, title: "restarted again and again", engine: true, of: restartRising,
		leadsTo: "It is in a restart loop, or on the way to one."},
	{id: "health.none", cis: "5.27", severity: incident.Info, title: "no health check", of: noHealth,
		leadsTo: "If it hangs while its main process runs, nobody notices."},
	{id: "health.failing", cis: "5.27", severity: incident.Warning, title: "a failing health check", engine: true, of: healthFailing,
		leadsTo: "Docker does not restart an unhealthy container by itself."},
	{id: "log.unbounded", severity: incident.Warning, title: "a log file without a size limit", engine: true, of: logUnbounded,
		leadsTo: "Its log grows until the engine's disk is full, and docker system df does not count it."},
	{id: "image.latest", cis: "5.28", severity: incident.Info, title: "an image without a fixed version", of: imageLatest,
		leadsTo: "The next pull may bring another version, and the name does not say which one died."},
	{id: "image.moved", cis: "5.28", severity: incident.Info, title: "a tag that has moved to another image", engine: true, of: imageMoved,
		leadsTo: "The next container made from this tag runs another version."},
	{id: "volume.anonymous", severity: incident.Info, title: "anonymous volumes", engine: true, of: anonymousVolumes,
		leadsTo: "Each new container adds one; the old ones stay and fill the disk."},
}

func restartUnbounded(c *Container, _ *Host) *found {
	endless := c.RestartName == "always" || c.RestartName == "unless-stopped" || c.RestartName == "on-failure" && c.RetryMax == 0
	if !endless || c.Owner.Kind == OwnerSwarm {
		return nil
	}
	return &found{evidence: fmt.Sprintf("restart policy %s, without a bound", c.RestartName),
		change: change{compose: `restart: "on-failure:5"`, run: "--restart on-failure:5", live: "--restart on-failure:5",
			then: "Keep it if it must come back after a reboot: oomwatch warns of the loop."}}
}

// A container is restarted again and again where it was at least manyRestarts times, once
// in oftenEnough on the average, and the last time not longer ago.
const (
	manyRestarts = 3
	oftenEnough  = 24 * time.Hour
)

func restartRising(c *Container, h *Host) *found {
	if c.RestartCount == nil || *c.RestartCount < manyRestarts || c.StartedAt.IsZero() || c.Created.IsZero() {
		return nil
	}
	n, age := *c.RestartCount, h.Time.Sub(c.Created)
	if h.Time.Sub(c.StartedAt) > oftenEnough || age/time.Duration(n) > oftenEnough {
		return nil
	}
	return &found{evidence: fmt.Sprintf("restarted %d times in the %s since it was created", n, units.Duration(max(age, 0))),
		fix: fmt.Sprintf("See why it dies: oomwatch explain %s --all", redact.Sanitize(c.Name))}
}

func noHealth(c *Container, _ *Host) *found {
	switch {
	case c.HasHealth || !c.byEngine() && !c.Manifest: // a runtime does not know of probes
		return nil
	case c.Manifest:
		return &found{evidence: "neither a liveness nor a readiness nor a startup probe",
			change: change{pod: "a readinessProbe, and a livenessProbe where a restart fixes it"}}
	}
	return &found{evidence: "no health check, neither in the image nor in its definition",
		change: change{compose: "healthcheck: {test: [CMD, PROGRAM], interval: 30s, timeout: 5s, retries: 3}", run: "--health-cmd PROGRAM --health-interval 30s --health-timeout 5s",
			swarm: "--health-cmd PROGRAM --health-interval 30s"}}
}

// healthFailing asks for a check that failed, too: Docker also calls a container unhealthy
// for a while after it was paused.
func healthFailing(c *Container, _ *Host) *found {
	if c.Health == nil || c.Health.Status != incident.Unhealthy || c.Health.FailingStreak == 0 {
		return nil
	}
	return &found{evidence: fmt.Sprintf("unhealthy: %s failed in a row", units.Count(c.Health.FailingStreak, "check")),
		fix: fmt.Sprintf("See what the check says: docker inspect -f '{{json .State.Health}}' %s", redact.Sanitize(c.Name))}
}

func logUnbounded(c *Container, _ *Host) *found {
	if c.LogDriver != "json-file" || c.LogOptions["max-size"] != "" && c.LogOptions["max-size"] != "-1" {
		return nil
	}
	return &found{evidence: "log driver json-file without max-size",
		change: change{compose: `logging: {driver: json-file, options: {max-size: 10m, max-file: "3"}}`, run: "--log-opt max-size=10m --log-opt max-file=3",
			swarm: "--log-driver json-file --log-opt max-size=10m --log-opt max-file=3",
			then:  `For all new containers: "log-opts": {"max-size": "10m", "max-file": "3"} in /etc/docker/daemon.json.`}}
}

// imageTag is the tag of a reference, "" where a digest fixes it.
func imageTag(ref string) (tag string, fixed bool) {
	if strings.Contains(ref, "@") || strings.HasPrefix(ref, "sha256:") {
		return "", true
	}
	last := ref[strings.LastIndexByte(ref, '/')+1:]
	_, tag, ok := strings.Cut(last, ":")
	if !ok {
		return "latest", false
	}
	return tag, false
}

func imageLatest(c *Container, _ *Host) *found {
	tag, fixed := imageTag(c.Image)
	if fixed || tag != "latest" || c.Image == "" || !c.byEngine() && !c.Manifest { // a runtime makes names of its own
		return nil
	}
	ref := redact.Sanitize(strings.TrimSuffix(c.Image, ":latest"))
	return &found{evidence: "image " + redact.Sanitize(c.Image),
		change: change{compose: fmt.Sprintf("image: %s:VERSION", ref), run: ref + ":VERSION", pod: fmt.Sprintf("image: %s:VERSION", ref), swarm: "--image " + ref + ":VERSION"}}
}

func imageMoved(c *Container, _ *Host) *found {
	if !c.ImageMoved {
		return nil
	}
	return &found{evidence: fmt.Sprintf("on this host %s is no longer the image that it runs", redact.Sanitize(c.Image)),
		fix: "Recreate it when convenient, or pin the image by its digest (NAME@sha256:...)."}
}

func anonymousVolumes(c *Container, _ *Host) *found {
	if len(c.AnonymousVolumes) == 0 {
		return nil
	}
	at := redact.Sanitize(c.AnonymousVolumes[0])
	return &found{evidence: "anonymous volumes at " + redact.Sanitize(strings.Join(c.AnonymousVolumes, ", ")),
		change: change{compose: fmt.Sprintf("volumes: [NAME:%s]", at), run: "--volume NAME:" + at, swarm: "--mount-add type=volume,source=NAME,target=" + at}}
}
