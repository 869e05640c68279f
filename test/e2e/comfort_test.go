package e2e

import (
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
)

// ofKernel are claims that only a kernel log which covers the moment allows.
var ofKernel = []string{"no kernel kill", "nothing points to OOM", "the kernel log covers", "the kernel killed nothing", "no kernel record", "log has no record"}

// ofEngine are those that only the engine's events, read to the moment, allow.
var ofEngine = []string{"no request to the engine", "nobody asked the engine"}

// falseComfort finds a claim that a source was silent about an end which that source, by
// the incident's own word, does not reach; "" for none.
func falseComfort(inc *incident.Incident) string {
	blind := func(sources ...string) bool {
		return slices.ContainsFunc(inc.Gaps, func(g incident.Gap) bool { return slices.Contains(sources, g.Source) })
	}
	text := []string{inc.Summary}
	for _, e := range inc.Evidence {
		if e.Source == "judgement" {
			text = append(text, e.Text)
		}
		text = append(text, e.Means)
	}
	said := func(claims ...string) string {
		for _, t := range text {
			for _, c := range claims {
				if strings.Contains(t, c) {
					return c
				}
			}
		}
		return ""
	}
	switch {
	case blind("kmsg", "journal") && said(ofKernel...) != "":
		return "says " + said(ofKernel...) + ", and the kernel log was not read to it"
	case blind("docker", "podman") && said(ofEngine...) != "":
		return "says " + said(ofEngine...) + ", and the engine's events were not read to it"
	case inc.Cause == incident.ExitError && inc.Confidence == incident.Certain && blind("log"):
		return "is certain of a program's own exit, and its log was not read"
	}
	return ""
}
