package redact

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Bounds on what a container's author can make us carry.
const (
	MaxLabels     = 64
	maxLabelKey   = 256
	MaxLabelValue = 512
)

// ownLabels begins the names of labels by which a container has a say in its alerts:
// one is not to be lost behind a builder's many.
const ownLabels = "oomwatch."

// Labels keeps the labels that are needed by name, those that begin with oomwatch., then
// others in the order of their names, up to 64. It cuts long ones and hides what looks like
// a secret, but in those that are needed; nil for none.
func Labels(labels map[string]string, needed ...string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	rank := func(k string) int {
		switch {
		case slices.Contains(needed, k):
			return 0
		case strings.HasPrefix(k, ownLabels):
			return 1
		}
		return 2
	}
	keys := slices.SortedFunc(maps.Keys(labels), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	out := make(map[string]string, min(len(keys), MaxLabels))
	for _, k := range keys[:min(len(keys), MaxLabels)] {
		v := Cut(labels[k], MaxLabelValue)
		if rank(k) != 0 {
			v = labelValue(k, v)
		}
		out[Cut(k, maxLabelKey)] = v
	}
	return out
}

// labelValue hides a label's value where its name or its look tells a secret.
func labelValue(k, v string) string {
	line := k + "=" + v
	redacted := Line(line)
	if redacted == line {
		return v
	}
	if rest, ok := strings.CutPrefix(redacted, k+"="); ok {
		return rest
	}
	return Redacted
}

// Cut shortens a text to n bytes of it.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "..."
}
