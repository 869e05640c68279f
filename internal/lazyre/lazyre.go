// Package lazyre compiles regular expressions when they are first used. A command that
// looks at no message of a runtime does not pay for the hundred that would tell one.
package lazyre

import (
	"regexp"
	"sync"
	"testing"
)

// Regexp is a regular expression that is compiled once, by whoever uses it first.
type Regexp struct {
	get func() *regexp.Regexp
}

// New returns the expression, which must be right. In a test it is compiled at once, so
// that a wrong one ends the test and not a user's command.
func New(expr string) *Regexp {
	re := &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })}
	if testing.Testing() {
		re.get()
	}
	return re
}

// These do what those of the same name do in package regexp.

func (r *Regexp) MatchString(s string) bool                  { return r.get().MatchString(s) }
func (r *Regexp) Match(b []byte) bool                        { return r.get().Match(b) }
func (r *Regexp) FindString(s string) string                 { return r.get().FindString(s) }
func (r *Regexp) FindStringIndex(s string) []int             { return r.get().FindStringIndex(s) }
func (r *Regexp) FindStringSubmatch(s string) []string       { return r.get().FindStringSubmatch(s) }
func (r *Regexp) FindStringSubmatchIndex(s string) []int     { return r.get().FindStringSubmatchIndex(s) }
func (r *Regexp) FindAllStringIndex(s string, n int) [][]int { return r.get().FindAllStringIndex(s, n) }
func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.get().FindAllStringSubmatch(s, n)
}
func (r *Regexp) FindAllStringSubmatchIndex(s string, n int) [][]int {
	return r.get().FindAllStringSubmatchIndex(s, n)
}
func (r *Regexp) ReplaceAllString(s, with string) string { return r.get().ReplaceAllString(s, with) }
func (r *Regexp) SubexpIndex(name string) int            { return r.get().SubexpIndex(name) }
func (r *Regexp) SubexpNames() []string                  { return r.get().SubexpNames() }
