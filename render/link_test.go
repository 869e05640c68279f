package render

import (
	"testing"

	"github.com/oomwatch/oomwatch/incident"
)

// TestLink: only the plain address of a page becomes a link.
func TestLink(t *testing.T) {
	for s, ok := range map[string]bool{
		"https://oomwatch.example.org/incident/abc": true, "http://10.0.0.1:9468/": true, "https://[::1]:9468/": false,
		"javascript:alert(1)": false, "https://user:pw@h/": false, "https://h/<!channel>": false, "https://h/a b": false, "ftp://h/": false,
		"https://h/a|b": false, "https://h/a)b": false, "https:///path": false, "https://h/\u202e": false,
	} {
		if got := Link(s); (got == s) != ok || !ok && got != "" {
			t.Errorf("%q: %q", s, got)
		}
	}
	if got := incident.PageURL("https://h/oomwatch/", "a/b c"); got != "https://h/oomwatch/incident/a%2Fb%20c" {
		t.Error(got)
	}
}
