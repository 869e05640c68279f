package audit

import (
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/internal/lazyre"
)

// HeapSetting is one setting of a runtime's heap, as its command or environment has it.
type HeapSetting struct {
	// Where is "the command" or the name of a variable.
	Where string
	Text  string // such as -Xmx512m
	// Bytes is the size that it allows; 0 where it is a share of the limit.
	Bytes int64
	// Percent is the share of the container's memory that it allows, else 0.
	Percent float64
}

// heapFlags are the flags that set a heap. The first group is the value.
var heapFlags = []struct {
	re   *lazyre.Regexp
	size func(string) (bytes int64, percent float64)
}{
	{lazyre.New(`^-Xmx([0-9]+[kKmMgGtT]?)$`), jvmSize},
	{lazyre.New(`^-XX:MaxHeapSize=([0-9]+[kKmMgGtT]?)$`), jvmSize},
	{lazyre.New(`^-XX:MaxRAMPercentage=([0-9]+(?:\.[0-9]+)?)$`), share},
	{lazyre.New(`^--max[-_]old[-_]space[-_]size=([0-9]+)$`), mebibytes},
}

// heapVariables are the variables whose values hold such flags.
var heapVariables = map[string]bool{"JAVA_OPTS": true, "JAVA_TOOL_OPTIONS": true, "_JAVA_OPTIONS": true, "JDK_JAVA_OPTIONS": true, "CATALINA_OPTS": true,
	"ES_JAVA_OPTS": true, "KAFKA_HEAP_OPTS": true, "JVM_OPTS": true, "MAVEN_OPTS": true, "GRADLE_OPTS": true, "LS_JAVA_OPTS": true, "SBT_OPTS": true,
	"NODE_OPTIONS": true, "GOMEMLIMIT": true}

// HeapInCommand are the settings in a command line; a word of it may itself be a line for
// a shell.
func HeapInCommand(args []string) []HeapSetting {
	return heapIn(strings.Join(args, " "), "the command")
}

// HeapInVariable are the settings in one variable of an environment. Of all others it
// reads nothing.
func HeapInVariable(name, value string) []HeapSetting {
	switch {
	case !heapVariables[name]:
		return nil
	case name == "GOMEMLIMIT":
		if n := goSize(value); n > 0 {
			return []HeapSetting{{Where: name, Text: name + "=" + value, Bytes: n}}
		}
		return nil
	}
	return heapIn(value, name)
}

func heapIn(line, where string) (out []HeapSetting) {
	words := strings.Fields(line)
	for i, w := range words {
		// Node takes its value as a word of its own, too.
		if i+1 < len(words) && (w == "--max-old-space-size" || w == "--max_old_space_size") {
			w += "=" + words[i+1]
		}
		w = strings.Trim(w, `"'`)
		for _, f := range heapFlags {
			if m := f.re.FindStringSubmatch(w); m != nil {
				s := HeapSetting{Where: where, Text: w}
				s.Bytes, s.Percent = f.size(m[1])
				out = append(out, s)
			}
		}
	}
	return out
}

func jvmSize(s string) (int64, float64) {
	return sized(s, map[byte]int{'k': 10, 'm': 20, 'g': 30, 't': 40}), 0
}

func mebibytes(s string) (int64, float64) { return sized(s+"m", map[byte]int{'m': 20}), 0 }

func share(s string) (int64, float64) {
	p, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, 0
	}
	return 0, p
}

// goSize reads GOMEMLIMIT: bytes, or with one of Go's suffixes.
func goSize(s string) int64 {
	for suffix, shift := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			return sized(digits+"x", map[byte]int{'x': shift})
		}
	}
	return sized(strings.TrimSuffix(s, "B"), nil)
}

// sized reads a number with at most one letter behind it; 0 for what is none.
func sized(s string, shifts map[byte]int) int64 {
	shift := 0
	if n := len(s); n > 0 {
		if by, ok := shifts[s[n-1]|0x20]; ok {
			shift, s = by, s[:n-1]
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<62>>shift {
		return 0
	}
	return n << shift
}
