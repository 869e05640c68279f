package redact

import (
	"slices"
	"strings"
	"sync"
)

// Most lines hold no secret. Hints are words of which a line must hold one before a
// rule looks at it; one pass over the line finds all that it holds.

// A hintSet is a set of hints by their number.
type hintSet [hintBits / 64]uint64

// hintBits is how many hints there may be.
const hintBits = 640

func (h *hintSet) add(i int)     { h[i/64] |= 1 << (i % 64) }
func (h hintSet) has(i int) bool { return h[i/64]&(1<<(i%64)) != 0 }

func (h hintSet) meets(o hintSet) bool {
	for i := range h {
		if h[i]&o[i] != 0 {
			return true
		}
	}
	return false
}

// A hint is met where one of its sets is: each word of "a&b" must be in the line.
type hint struct {
	any  hintSet
	both [][2]int
}

func (h *hint) met(found hintSet) bool {
	if h.any.meets(found) {
		return true
	}
	for _, b := range h.both {
		if found.has(b[0]) && found.has(b[1]) {
			return true
		}
	}
	return false
}

var (
	hintNumbers = map[string]int{}
	hintWords   []string
)

func hintNumber(w string) int {
	n, ok := hintNumbers[w]
	if !ok {
		n = len(hintWords)
		hintNumbers[w] = n
		hintWords = append(hintWords, w)
	}
	return n
}

// hinting registers hints, in lower case, while the package is initialised.
func hinting(words ...string) hint {
	var h hint
	for _, w := range words {
		if a, b, two := strings.Cut(w, "&"); two && a != "" && b != "" {
			h.both = append(h.both, [2]int{hintNumber(a), hintNumber(b)})
			continue
		}
		h.any.add(hintNumber(w))
	}
	return h
}

// A finder is the automaton of Aho and Corasick over all hints, without regard to the
// case of ASCII letters.
type finder struct {
	class   [256]uint8 // of a byte; 0 is in no hint
	classes int
	next    []uint16 // by state and class
	found   []uint16 // by state: which of sets; 0 is the empty one
	sets    []hintSet
}

// hintFinder is made when the first line is looked at: about 400 KB.
var hintFinder = sync.OnceValue(func() *finder {
	f := &finder{classes: 1, sets: make([]hintSet, 1)}
	for _, w := range hintWords {
		for i := range len(w) {
			if f.class[w[i]] == 0 {
				f.class[w[i]] = uint8(f.classes)
				f.classes++
			}
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		f.class[c] = f.class[c+'a'-'A']
	}
	grow := func() int {
		f.next = append(f.next, make([]uint16, f.classes)...)
		f.found = append(f.found, 0)
		return len(f.found) - 1
	}
	grow()
	for n, w := range hintWords {
		state := 0
		for i := range len(w) {
			at := state*f.classes + int(f.class[w[i]])
			if f.next[at] == 0 {
				f.next[at] = uint16(grow())
			}
			state = int(f.next[at])
		}
		f.sets = append(f.sets, hintSet{})
		f.sets[len(f.sets)-1].add(n)
		f.found[state] = uint16(len(f.sets) - 1)
	}
	f.link()
	f.next = slices.Clip(slices.Clone(f.next))
	return f
})

// link completes the trie: where a state has no next one, that of its longest proper
// suffix is it.
func (f *finder) link() {
	fail := make([]uint16, len(f.found))
	queue := []uint16{}
	for c := range f.classes {
		if n := f.next[c]; n != 0 {
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		state := queue[0]
		queue = queue[1:]
		suffix := fail[state]
		f.found[state] = f.union(f.found[state], f.found[suffix])
		for c := range f.classes {
			at := int(state)*f.classes + c
			back := f.next[int(suffix)*f.classes+c]
			if f.next[at] == 0 {
				f.next[at] = back
				continue
			}
			fail[f.next[at]] = back
			queue = append(queue, f.next[at])
		}
	}
}

// union returns the number of the set that holds what two others do.
func (f *finder) union(a, b uint16) uint16 {
	switch {
	case b == 0:
		return a
	case a == 0:
		return b
	}
	for i, bits := range f.sets[b] {
		f.sets[a][i] |= bits // a is of one state alone
	}
	return a
}

// find returns the hints that s holds.
func (f *finder) find(s string) (set hintSet) {
	state := 0
	for i := range len(s) {
		state = int(f.next[state*f.classes+int(f.class[s[i]])])
		if n := f.found[state]; n != 0 {
			for k, bits := range f.sets[n] {
				set[k] |= bits
			}
		}
	}
	return set
}
