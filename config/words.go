package config

import (
	"fmt"
	"slices"
	"strings"
)

// list writes accepted values for a person.
func List(words []string) string { return strings.Join(words, ", ") }

// nearest is the word of known that s was probably meant to be, or "".
func Nearest(s string, known []string) string {
	best, at := "", 1+len(s)/3
	for _, k := range known {
		if n := distance(strings.ToLower(s), k); n <= at {
			best, at = k, n-1
		}
	}
	return best
}

// distance counts the letters to add, drop or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diag, row[j+1] = row[j+1], min(diag+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// choice refuses what is not one of words.
func Choice(s string, words []string) error {
	if slices.Contains(words, s) {
		return nil
	}
	if near := Nearest(s, words); near != "" {
		return fmt.Errorf("%q is not known, did you mean %q? Known: %s", s, near, List(words))
	}
	return fmt.Errorf("%q is not known. Known: %s", s, List(words))
}
