package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/internal/words"
)

// List writes accepted values for a person.
func List(known []string) string { return strings.Join(known, ", ") }

// Nearest is the word of known that s was probably meant to be, or "".
func Nearest(s string, known []string) string {
	best, at := "", 1+len(s)/3
	for _, k := range known {
		if n := words.Distance(strings.ToLower(s), k); n <= at {
			best, at = k, n-1
		}
	}
	return best
}

// Choice refuses what is not one of known.
func Choice(s string, known []string) error {
	if slices.Contains(known, s) {
		return nil
	}
	if near := Nearest(s, known); near != "" {
		return fmt.Errorf("%q is not known, did you mean %q? Known: %s", s, near, List(known))
	}
	return fmt.Errorf("%q is not known. Known: %s", s, List(known))
}
