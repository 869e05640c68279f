package audit

import (
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/internal/lazyre"
	"github.com/oomwatch/oomwatch/redact"
)

// Environment takes what a container's environment, as NAME=value, and its command say of
// secrets and of a heap. Of the values nothing else is kept.
func (c *Container) Environment(env []string) {
	c.Heap = append(c.Heap, HeapInCommand(c.Command)...)
	for _, v := range env {
		name, value, _ := strings.Cut(v, "=")
		c.Heap = append(c.Heap, HeapInVariable(name, value)...)
		if secretVariable(name, value) {
			c.SecretNames = append(c.SecretNames, redact.Cut(name, redact.MaxLabelValue))
		}
	}
	slices.Sort(c.SecretNames)
}

// rePublic are names of what is published with a program: the keys that sign it, and
// the sums that check it. Images have them in their environment.
var rePublic = lazyre.New(`(?i)(?:^|_)(?:(?:GPG|PGP)_?KEYS?(?:_IDS?)?|(?:GPG|PGP)_FINGERPRINTS?|SHA(?:1|224|256|384|512)?(?:SUMS?)?|MD5|CHECKSUMS?|DIGESTS?|COMMIT|REVISION|VERSION|URL_ASC)(?:_[A-Z0-9]+)?$`)

// secretVariable is true for a variable whose value looks like a secret.
func secretVariable(name, value string) bool {
	if value == "" || len(value) > 1<<16 || rePublic.MatchString(name) {
		return false
	}
	return strings.Contains(redact.Line(name+"="+strings.ReplaceAll(value, "\n", " ")), redact.Redacted)
}
