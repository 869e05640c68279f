package render

import (
	"strings"

	"github.com/oomwatch/oomwatch/redact"
)

// Defang makes foreign text safe where nothing formats but a URL becomes a link:
// it is written as those who warn of one do.
func Defang(s string) string { return strings.ReplaceAll(redact.Sanitize(s), "://", "[:]//") }
