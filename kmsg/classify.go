package kmsg

import (
	"strings"
	"unsafe"
)

// Interesting tells whether a record of the kernel's can matter to the
// Assembler. It is a cheap filter that errs on the side of true, for readers
// that must not pay for the records that nobody needs. Fragments
// (Record.Continuation) are to be passed on unasked: they cannot be told by
// their text. text is not kept.
func Interesting(text []byte) bool {
	return classify(stringOf(text)) != classNone
}

// stringOf looks at bytes as a string without a copy. The string must not
// outlive the bytes.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf looks at a string as bytes, which must not be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// class says what a message is, by its text alone.
type class uint8

const (
	classNone       class = iota
	classInvoked          // X invoked oom-killer: ...
	classCPU              // CPU: 0 PID: ... / Pid: 9, comm: ...
	classCpusetLine       // X cpuset=/ mems_allowed=0
	classTaskIn           // Task in A killed as a result of limit of B, and its pieces
	classUsage            // memory: usage ..., memory+swap:, swap:, kmem:
	classStatsHead        // Memory cgroup stats for ...
	classStat             // anon 4096
	classMemInfo          // Mem-Info and its lines
	classTableHead        // Tasks state, [ pid ] uid tgid ...
	classRow              // [  123]     0   123 ...
	classSummary          // oom-kill:constraint=...
	classKill             // Kill(ed) process in all its forms
	classGroup            // Tasks in P are going to be killed due to memory.oom.group set
	classReaper           // oom_reaper: ...
	classNoKill           // no killable process, panic
	classSysRq            // Manual OOM execution
	classSuppressed       // oom_kill_process: N callbacks suppressed
	classFault            // a Fault
	classKiller           // a user-space OOM killer's line
	classBoot             // Linux version ...
	classSuspect          // talks of OOM in an unknown form
)

// startClasses are the messages told by how they begin. Sorted by first byte.
var startClasses = [256][]startClass{
	'C': {{"CPU: ", classCPU}, {"Code: ", classNone}},
	'F': {{"Free swap ", classMemInfo}},
	'f': {{"free:", classMemInfo}},
	'K': {{"Killed process ", classKill}, {"Kill process ", classKill}, {"Kernel panic - not syncing: ", classNoKill}},
	'L': {{"Linux version ", classBoot}},
	'M': {{"Memory cgroup out of memory", classKill}, {"Memory cgroup stats for ", classStatsHead}, {"Mem-Info:", classMemInfo}, {"Mem-info:", classMemInfo}},
	'N': {{"Node ", classMemInfo}},
	'O': {{"Out of memory and no killable", classNoKill}, {"Out of memory", classKill}},
	'P': {{"Pid: ", classCPU}},
	'T': {{"Tasks in ", classGroup}, {"Task in ", classTaskIn}, {"Tasks state (memory", classTableHead}, {"Total swap ", classMemInfo}},
	'a': {{"active_anon:", classMemInfo}},
	'k': {{"killed as a result of limit of", classTaskIn}, {"kmem: usage ", classUsage}},
	'm': {{"memory: usage ", classUsage}, {"memory+swap: usage ", classUsage}, {"memory ", classUsage}},
	'o': {{"oom-kill:", classSummary}, {"oom_reaper: ", classReaper}, {"oom_kill_process: ", classSuppressed}},
	's': {{"swap: usage ", classUsage}, {"sysrq: ", classSysRq}},
	'S': {{"SysRq : ", classSysRq}},
}

type startClass struct {
	start string
	class class
}

// inner are the texts that tell a message by what stands inside it.
var inner = []startClass{
	{"invoked oom-kil", classInvoked},
	{" cpuset=", classCpusetLine},
	{"segfault at ", classFault},
	{"general protection", classFault},
	{" trap ", classFault},
	{"traps: ", classFault},
	{"fork rejected by pids", classFault},
	{"page allocation failure", classFault},
	{" blocked for more than ", classFault},
	{"soft lockup", classFault},
	{"out-of-data-space", classFault},
	{"I/O error", classFault},
	{"error 28", classFault},
	{"error -5", classFault},
	{"emounting filesystem read-only", classFault},
	{"ilesystem has been shut down", classFault},
	{"read-only mode", classFault},
	{"Detected aborted journal", classFault},
	{"sharing same memory", classKill},
	{"pages RAM", classMemInfo},
	{" pagecache pages", classMemInfo},
	{"OOM ", classSuspect},
	{"OOM:", classSuspect},
	{"oom-", classSuspect},
	{"oom_", classSuspect},
	{" oom ", classSuspect},
	{"ut of memory", classSuspect},
	{"illed process", classSuspect},
}

// innerFinder searches a text for all of inner at once.
var innerFinder = func() *finder {
	var groups [8][]string
	for i := range inner {
		g := int(inner[i].start[0]) % 8
		groups[g] = append(groups[g], inner[i].start)
	}
	return newFinder(&groups, bestForm())
}()

// classify tells what a message is. t begins with the message's first byte
// that is not blank.
func classify(t string) class {
	if t == "" {
		return classNone
	}
	for _, s := range startClasses[t[0]] {
		if strings.HasPrefix(t, s.start) {
			return s.class
		}
	}
	if t[0] == '[' {
		if isRow(t) {
			return classRow
		}
		if in := trimBlanks(t[1:]); strings.HasPrefix(in, "pid") && strings.HasPrefix(trimBlanks(in[3:]), "]") {
			return classTableHead
		}
	}
	if 'a' <= t[0] && t[0] <= 'z' && isStat(t) {
		return classStat
	}
	if len(t) < 8 || innerFinder.next(bytesOf(t), 0) < 0 {
		return classNone
	}
	for _, s := range inner {
		if strings.Contains(t, s.start) {
			return s.class
		}
	}
	return classNone
}

// trimBlanks takes off the blanks that a message begins with.
func trimBlanks(s string) string {
	i := 0
	for i < len(s) && (s[i] == ' ' || s[i] == '\t') {
		i++
	}
	return s[i:]
}

// isRow tells a row of the task table: a pid in brackets, then a number that stands alone.
func isRow(t string) bool {
	i := 1
	for i < len(t) && t[i] == ' ' {
		i++
	}
	digits := i
	for i < len(t) && t[i]-'0' <= 9 {
		i++
	}
	if i == digits || i == len(t) || t[i] != ']' {
		return false
	}
	for i++; i < len(t) && (t[i] == ' ' || t[i] == '-'); {
		i++
	}
	digits = i
	for i < len(t) && t[i]-'0' <= 9 {
		i++
	}
	if i == digits || i == len(t) || t[i] != ' ' {
		return i > digits && i == len(t)
	}
	// Another number, unless the row is cut: [123] 03 May is a program's line.
	for i < len(t) && t[i] == ' ' {
		i++
	}
	return i == len(t) || t[i]-'0' <= 9 || t[i] == '-'
}

// isStat tells a counter of a memory cgroup: a word of the kernel's and a number.
func isStat(t string) bool {
	i := 0
	for i < len(t) && ('a' <= t[i] && t[i] <= 'z' || t[i] == '_' || t[i]-'0' <= 9) {
		i++
	}
	if i == 0 || i+1 >= len(t) || t[i] != ' ' {
		return false
	}
	i++
	digits := i
	for i < len(t) && t[i]-'0' <= 9 {
		i++
	}
	// The one-record form holds all counters: a line end (escaped by /dev/kmsg) follows.
	return i > digits && (i == len(t) || t[i] == '\n' || t[i] == '\\' || t[i] == '#')
}

// startsKnown tells a message by how it begins, without looking inside it.
func startsKnown(t string) bool {
	t = strings.TrimLeft(t, " ")
	if t == "" {
		return false
	}
	for _, s := range startClasses[t[0]] {
		if strings.HasPrefix(t, s.start) {
			return true
		}
	}
	return strings.HasPrefix(t, "kill process ") || strings.HasPrefix(t, "INFO: task ") || strings.HasPrefix(t, "invoked oom-killer") || strings.HasPrefix(t, "cgroup: fork")
}
