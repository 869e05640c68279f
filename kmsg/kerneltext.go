package kmsg

import "strings"

// kernelTexts are the beginnings of messages that only the kernel's OOM killer
// (or its boot) prints: where one stands in a line, what is before it is prefix.
// Each is checked by what follows it.
var kernelTexts = []struct {
	start string
	class class
}{
	{"oom-kill:constraint=", classSummary},
	{"oom-kill: constraint=", classSummary},
	{"Memory cgroup out of memory", classKill},
	{"Out of memory", classKill},
	{"Killed process ", classKill},
	{"Kill process ", classKill},
	{"oom_reaper: reaped process ", classReaper},
	{"Memory cgroup stats for ", classStatsHead},
	{"memory: usage ", classUsage},
	{"memory+swap: usage ", classUsage},
	{"swap: usage ", classUsage},
	{"kmem: usage ", classUsage},
	{"Task in /", classTaskIn},
	{"Tasks in /", classGroup},
	{"Tasks state (memory", classTableHead},
	{"[ pid ]", classTableHead},
	{"[  pid  ]", classTableHead},
	{"CPU: ", classCPU},
	{"Pid: ", classCPU},
	{"Mem-Info:", classMemInfo},
	{"Linux version ", classBoot},
}

// kernelFinder searches a line for all of kernelTexts at once.
var kernelFinder = func() *finder {
	var groups [8][]string
	for i, k := range kernelTexts {
		groups[i%8] = append(groups[i%8], k.start)
	}
	return newFinder(&groups, bestForm())
}()

// kernelText finds where in a line the kernel's own text begins; -1 where none is.
func kernelText(s string) int {
	b := bytesOf(s)
	for from := 0; ; from++ {
		from = kernelFinder.next(b, from)
		if from < 0 {
			return -1
		}
		for _, k := range kernelTexts {
			if rest, ok := strings.CutPrefix(s[from:], k.start); ok && followsText(k.class, k.start, rest) {
				return from
			}
		}
	}
}

// followsText tells whether rest goes on as the kernel's message does.
func followsText(c class, start, rest string) bool {
	switch c {
	case classKill:
		if strings.HasSuffix(start, "memory") {
			near := rest[:min(len(rest), 64)]
			return strings.Contains(near, "ill process ") || strings.Contains(near, "illed process ") || strings.HasPrefix(rest, " and no killable")
		}
		_, after, ok := leadingInt(rest)
		return ok && (strings.HasPrefix(after, " (") || strings.HasPrefix(after, ", UID"))
	case classUsage, classReaper, classBoot:
		return rest != "" && rest[0]-'0' <= 9
	case classCPU:
		_, after, ok := leadingInt(rest)
		return ok && (strings.HasPrefix(after, " PID: ") || strings.HasPrefix(after, " UID: ") || strings.HasPrefix(after, ", comm: "))
	case classGroup:
		return strings.Contains(rest, "going to be killed")
	case classStatsHead:
		return strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, ":")
	}
	return true
}

// isDecisive tells the messages that alone tell a kill, or that one was at hand.
func isDecisive(c class) bool {
	switch c {
	case classKill, classSummary, classInvoked, classReaper, classTaskIn:
		return true
	}
	return false
}

// isWhole tells a message that has all the fields that the kernel gives it. A
// quotation by a person seldom has.
func isWhole(c class, t string) bool {
	switch c {
	case classKill:
		k, ok := parseKill(t, false)
		return ok && (k.fields > 0 || k.announce && strings.Contains(t, " score "))
	case classSummary:
		v, ok := parseSummary(t, false)
		return ok && v.pid > 0
	case classReaper:
		return strings.Contains(t, "now anon-rss:")
	case classNone, classSuspect:
		return false
	}
	return true
}
