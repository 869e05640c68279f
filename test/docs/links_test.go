package docs

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	reLink    = regexp.MustCompile(`\[[^\]]*\]\(([^)\s]+)\)`)
	reQuoted  = regexp.MustCompile("`([^`\\s]+)`")
	reHeading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	reDropped = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// TestLinks follows every link between the documents, and every path in quotes.
func TestLinks(t *testing.T) {
	seen := 0
	for _, doc := range documents(t) {
		text := read(t, doc)
		for _, m := range reLink.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				t.Errorf("%s: %s leads outside: a document stands by itself", doc, m[1])
				continue
			}
			seen++
			to := doc
			if target != "" {
				to = path.Join(path.Dir(doc), target)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: the link %s leads nowhere: %v", doc, m[1], err)
				continue
			}
			if anchor != "" && !hasHeading(read(t, to), anchor) {
				t.Errorf("%s: %s has no heading %q", doc, to, anchor)
			}
		}
		for _, m := range reQuoted.FindAllStringSubmatch(text, -1) {
			top, _, below := strings.Cut(m[1], "/")
			if _, err := os.Stat(filepath.Join(root, top)); !below || err != nil || top == "" {
				continue // not a path from the root
			}
			seen++
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %s is not there", doc, m[1])
			}
		}
	}
	if seen < 20 {
		t.Errorf("only %d links and paths were looked at", seen)
	}
}

// hasHeading reports whether a document has a heading with this anchor, made as
// the usual renderers make it.
func hasHeading(text, anchor string) bool {
	for _, m := range reHeading.FindAllStringSubmatch(text, -1) {
		slug := strings.ReplaceAll(reDropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		if slug == anchor {
			return true
		}
	}
	return false
}

// TestEveryDocumentIsLinked keeps the manual reachable from the first page.
func TestEveryDocumentIsLinked(t *testing.T) {
	readme := read(t, "README.md")
	for _, doc := range documents(t) {
		if strings.HasPrefix(doc, "docs/") && !strings.Contains(readme, "("+doc+")") {
			t.Errorf("README.md does not link %s", doc)
		}
	}
}
