package doctor

import (
	"context"

	"github.com/oomwatch/oomwatch/config"
	"github.com/oomwatch/oomwatch/watcher/cri"
	"github.com/oomwatch/oomwatch/watcher/docker"
)

// lostWithout is what cannot be seen when a call to the engine fails.
var lostWithout = map[string]string{
	"version": "the engine's version in an incident",
	"info":    "the engine's set-up in this report",
	"events":  "that a container ends, with which exit code, and who asked for it",
	"list":    "containers that were there before, and deaths while apart from the engine",
	"inspect": "image, limits, labels, restart policy and last error of a container",
	"logs":    "the last lines that a container wrote",
}

// checkEngines tries every call to the engines that the daemon makes. Docker is left out
// where nobody named it, it is not there, and another engine is.
func checkEngines(ctx context.Context, cfg *config.Config) []Finding {
	others := checkRuntimes(ctx, cfg)
	others = append(append(others, checkKubelet(others)...), checkPodman(ctx, cfg)...)
	if len(others) > 0 && !docker.Expected(string(cfg.Docker.Host)) {
		return others
	}
	var out []Finding
	for _, host := range cfg.Docker.Hosts() {
		found := probe(ctx, "docker", host)
		for i := range found {
			// One that somebody named is wanted; the usual one may not be there.
			found[i].Needed = cfg.Docker.Host != "" && found[i].SeesDeaths
		}
		out = append(out, found...)
	}
	return append(out, others...)
}

// checkPodman tries Podman's sockets. Of a usual one that is not there nothing is said.
func checkPodman(ctx context.Context, cfg *config.Config) (out []Finding) {
	for _, s := range docker.FoundPodman(config.Named(cfg.Podman.Sockets)) {
		out = append(out, probe(ctx, "podman", s)...)
	}
	return out
}

// probe tries an engine that speaks Docker's API.
func probe(ctx context.Context, kind, host string) []Finding {
	engine := Finding{Capability: kind + " engine", State: OK, SeesDeaths: true}
	var out []Finding
	for _, c := range docker.Probe(ctx, host) {
		switch {
		case c.Name == "host" && c.OK:
			engine.Found = c.Found
		case (c.Name == "host" || c.Name == "ping") && !c.OK:
			engine.State, engine.Fix = Missing, c.Fix
			engine.Found = c.Error
			engine.Invisible = "which container it was: names, images, limits, exit codes, and who asked for a stop"
		case c.Name == "ping":
			engine.Found += ", " + c.Found
		default:
			f := Finding{Capability: kind + " " + c.Name, State: OK, Found: c.Found}
			if f.Found == "" {
				f.Found = "allowed"
			}
			if !c.OK {
				f.State, f.Found, f.Fix, f.Invisible = Missing, c.Error, c.Fix, lostWithout[c.Name]
			}
			out = append(out, f)
		}
	}
	return append([]Finding{engine}, out...)
}

// checkRuntimes tries the runtimes of Kubernetes. Of a known socket that is not there
// nothing is said.
func checkRuntimes(ctx context.Context, cfg *config.Config) (out []Finding) {
	sockets, optional := cri.Sockets(config.Named(cfg.CRI.Sockets))
	for _, s := range sockets {
		p := cri.Probe(ctx, s)
		f := Finding{Capability: "runtime", State: OK, Found: p.Found, Invisible: p.Unseen, SeesDeaths: true}
		switch {
		case p.Absent && optional:
			continue
		case !p.Answers:
			f.State, f.Found, f.Fix = Missing, p.Problem, p.Fix
			f.Invisible = "the names, limits, exit codes and logs of pods"
		case p.Problem != "":
			f.State, f.Fix = Weak, p.Fix
			f.Found += "; " + p.Problem
		}
		out = append(out, f)
	}
	return out
}
