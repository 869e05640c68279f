package config

import (
	"strings"

	"github.com/oomwatch/oomwatch/redact"
)

// maskCommand is a command to be shown: its program, and its arguments without what
// looks like a secret, alone or by what stands before it.
func maskCommand(command []string) []string {
	out := make([]string, len(command))
	for i, arg := range command {
		if i == 0 {
			out[0] = arg
			continue
		}
		before := redact.Line(strings.Join(command[:i], " "))
		alone := redact.Line(arg)
		switch {
		case promisesSecret(command[i-1]), redact.Line(strings.Join(command[:i+1], " ")) != before+" "+alone:
			out[i] = redact.Redacted
		default:
			out[i] = alone
		}
	}
	return out
}

// promisesSecret is true for a flag after which a secret is to come: --token, --pass.
func promisesSecret(arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if name == arg || strings.ContainsAny(name, "= ") {
		return false
	}
	return strings.Contains(redact.Line(name+"=word"), redact.Redacted)
}
