package kmsg

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// Records as JSON: what journalctl and dmesg print, what log shippers and clouds
// make of a kernel's line. The kernel's text is looked for in the fields that
// usually hold it, then in all; the fields around it say who wrote it.

// maxNested is how deep objects in objects are looked into.
const maxNested = 6

// textKeys are the fields that hold a record's text, best first.
var textKeys = []string{"message", "msg", "textpayload", "log", "line", "text", "body", "event", "original", "_raw", "raw", "full_message", "short_message", "content", "syslogmessage", "@message"}

// fields takes all fields of an object, of nested ones too. Lists come last: what stands
// around one is true of all that is in it.
func (e *entry) fields(parent string, m map[string]json.RawMessage, depth int) {
	names := slices.Sorted(maps.Keys(m))
	for _, k := range names {
		if v := m[k]; !isList(k, v) {
			e.field(parent, k, v, depth)
		}
	}
	for _, k := range names {
		if v := m[k]; isList(k, v) {
			e.container = e.container || isContainerKey(strings.ToLower(k))
			e.listed(v, depth, kernelText(stringOf(v)) >= 0)
		}
	}
}

// object takes the fields of an object that is called parent.
func (e *entry) object(parent string, v json.RawMessage, depth int) {
	var m map[string]json.RawMessage
	if json.Unmarshal(v, &m) == nil {
		e.fields(parent, m, depth)
	}
}

// isList tells a list of values from the bytes of a text.
func isList(key string, v json.RawMessage) bool {
	return len(v) > 0 && v[0] == '[' && key != "MESSAGE"
}

// listed takes a list: names with values are fields like any other; objects, and texts of
// a list in which the kernel's words stand, are records of their own.
func (e *entry) listed(v json.RawMessage, depth int, kernels bool) {
	var items []json.RawMessage
	if depth >= maxNested || json.Unmarshal(v, &items) != nil {
		return
	}
	around := *e
	around.more = nil
	for _, item := range items {
		switch item[0] {
		case '[':
			e.listed(item, depth+1, kernels)
		case '{':
			var m map[string]json.RawMessage
			if json.Unmarshal(item, &m) != nil {
				continue
			}
			if name, value, ok := attribute(m); ok {
				e.foreignField("", name, value)
				continue
			}
			inner := around
			inner.fields("", m, depth+1)
			e.adopt(inner)
		case '"':
			text := jsonText(item)
			if isContainerTag(text) {
				e.container = true
			} else if kernels {
				inner := around
				inner.offer(1, text)
				e.adopt(inner)
			}
		}
	}
}

// adopt keeps a record that stands inside of another, and those inside of it.
func (e *entry) adopt(inner entry) {
	more := inner.more
	inner.more = nil
	e.more = append(append(e.more, inner), more...)
}

// attribute reads {"key":K,"value":V}, as OpenTelemetry writes a field.
func attribute(m map[string]json.RawMessage) (name, value string, ok bool) {
	k, v := m["key"], m["value"]
	if len(m) != 2 || len(k) == 0 || k[0] != '"' || v == nil {
		return "", "", false
	}
	var typed map[string]json.RawMessage
	if json.Unmarshal(v, &typed) == nil {
		for _, inner := range typed {
			v = inner
		}
	}
	return jsonText(k), jsonText(v), true
}

func (e *entry) field(parent, key string, v json.RawMessage, depth int) {
	if len(v) > 0 && v[0] == '{' {
		if depth < maxNested {
			e.container = e.container || isContainerKey(strings.ToLower(key))
			e.object(strings.ToLower(key), v, depth+1)
		}
		return
	}
	if isList(key, v) {
		return
	}
	e.foreignField(parent, key, jsonText(v))
}

// directRank is the rank of a field that holds nothing but the kernel's message.
const directRank = 99

// foreignField notes a field under the name that somebody gave it.
func (e *entry) foreignField(parent, key, v string) {
	switch key { // the journal's own, and dmesg -J's
	case "MESSAGE", "_TRANSPORT", "_HOSTNAME", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY", "PRIORITY", "__REALTIME_TIMESTAMP", "_SOURCE_MONOTONIC_TIMESTAMP":
		e.set(key, v)
		return
	}
	low := strings.ToLower(key)
	if low == "stringvalue" {
		low, parent = parent, ""
	}
	name := strings.TrimLeft(low, "_")
	if i := strings.LastIndexByte(name, '.'); i >= 0 && parent == "" {
		parent, name = name[:i], name[i+1:]
	}
	for i, k := range textKeys {
		if low == k || name == k {
			e.offer(len(textKeys)-i+1, v)
			return
		}
	}
	if isUnitKey(name) || name == "unit" && (parent == "systemd" || strings.HasSuffix(v, ".service") || strings.HasSuffix(v, ".scope")) || (parent == "process" || parent == "journald") && name == "pid" {
		e.unit = true
		return
	}
	if isContainerKey(low) || strings.HasPrefix(strings.ReplaceAll(name, "_", ""), "logstream") && isStream(v) || (name == "stream" || name == "source" || name == "iostream") && (v == "stdout" || v == "stderr") || name == "type" && v == "k8s_container" ||
		(name == "path" || name == "file" || name == "filename" || name == "logname") && isContainerLog(v) {
		e.container = true
		return
	}
	switch name {
	case "fac", "pri": // dmesg -J
		e.set(name, v)
		e.record = true
	case "transport":
		e.transport = v
	case "syslog_identifier", "ident", "identifier", "program", "programname", "appname", "app_name", "app-name", "application_name", "processname", "syslogtag", "logger", "logger_name", "component", "thread_name":
		e.setIdent(v)
	case "name":
		switch parent {
		case "process":
			e.setIdent(v)
		case "host":
			e.rec.Host = v
		}
	case "caller":
		if len(v) < 2 || v[0] != 'T' && v[0] != 'C' || !digitsOnly(v[1:]) {
			e.setIdent(v)
		} else {
			e.rec.Caller = v
		}
	case "func", "function", "funcname":
		e.setIdent(v)
	case "facility", "syslog_facility":
		e.set("SYSLOG_FACILITY", v)
	case "level", "severity", "priority", "syslog_severity":
		if n, ok := levelOf(v); ok {
			e.rec.Level = n
			e.leveled = e.leveled || name == "level"
		} else if n, ok := atoi(v); ok && n < 8 {
			e.rec.Level = int8(n)
		}
	case "hostname", "host", "computer", "node", "nodename", "node_name":
		e.rec.Host = v
	case "time", "timestamp", "@timestamp", "ts", "date", "sec", "usec":
		e.moment(name, v)
	default:
		if at := kernelText(v); at >= 0 && at <= maxPrefix {
			e.offer(1, v)
		}
	}
}

// offer keeps v as the record's text if it is the best so far.
func (e *entry) offer(rank int, v string) {
	if rank > e.rank {
		e.rank, e.text, e.hasText = rank, v, true
	}
}

func (e *entry) setIdent(v string) {
	v = strings.TrimRight(v, ": ")
	if name, ok := cutPID(v); ok {
		v = name
	}
	if v != "" && v != "-" {
		e.ident = v
	}
}

// isUnitKey tells the journal's fields that only a process's record has, as it
// and its shippers name them.
func isUnitKey(name string) bool {
	switch name {
	case "systemd_unit", "systemd_user_unit", "systemd_cgroup", "pid", "comm", "exe", "cmdline", "procid":
		return true
	}
	return false
}

// isContainerKey tells a field that only a container's output has. Any part of a name
// like k8s.container.name may say so.
func isContainerKey(name string) bool {
	for part := range strings.SplitSeq(strings.TrimLeft(name, "_"), ".") {
		switch part {
		case "kubernetes", "docker", "container", "container_id", "container_name", "container_tag", "containerid", "containername", "logtag",
			"containerstatuses", "health", "pod", "pod_name", "podname", "alloc_id":
			return true
		}
	}
	return false
}

// isContainerTag tells the like of container_name:web.
func isContainerTag(s string) bool {
	name, _, ok := strings.Cut(s, ":")
	return ok && isContainerKey(strings.ToLower(name))
}

func isContainerLog(path string) bool {
	return strings.Contains(path, "/containers/") || strings.Contains(path, "/pods/") || strings.Contains(path[strings.LastIndexByte(path, '/')+1:], "stdout") ||
		strings.Contains(path[strings.LastIndexByte(path, '/')+1:], "stderr")
}

// moment reads a time of whatever unit: since boot as dmesg -J and the kernel log
// reader of a shipper give it, else since 1970 or as a date.
func (e *entry) moment(name, v string) {
	if name == "usec" {
		if n, ok := atoi(v); ok {
			e.rec.Uptime += time.Duration(n) * time.Microsecond
		}
		return
	}
	if n, ok := atoi(v); ok && name == "sec" {
		e.rec.Uptime += time.Duration(n) * time.Second
		e.rec.HasUptime = true
		return
	}
	if up, ok := parseUptime(v); ok && up < 1e9*time.Second && name == "time" {
		e.rec.Uptime, e.rec.HasUptime = up, true
	} else if t, _, ok := parseEpoch(v + " "); ok {
		e.rec.Time = t
	} else if t, _, _, ok := parseISO(v, time.UTC); ok {
		e.rec.Time = t
	} else if t, _, hasYear, ok := anyDate(v, time.UTC); ok && hasYear {
		e.rec.Time = t
	}
}

// jsonLine takes an object on a line.
func (f *feeder) jsonLine(s string) (done, matters bool) {
	v := json.RawMessage(s)
	if len(s) > maxJSON || !json.Valid(v) {
		return false, false
	}
	f.endEntry()
	f.flushRecord()
	e := entry{active: true, facility: FacilityUnknown, container: f.around.container}
	if v[0] == '[' {
		e.listed(v, 0, kernelText(s) >= 0)
	} else {
		e.object("", v, 0)
	}
	f.entry = e
	return true, f.endEntry()
}

// wrapped takes the text of an entry that may have a prefix of its own, or be
// several lines of a log.
func (f *feeder) wrapped(e *entry) (matters bool) {
	base := e.rec
	base.Facility = e.facility
	f.base = &base
	for s := range strings.Lines(e.text) {
		if s = strings.TrimRight(s, "\r\n"); s != "" {
			if strings.IndexByte(s, 0x1b) >= 0 && isColoured(s) {
				s = stripColour(s)
			}
			matters = f.textLine(s) || matters
		}
	}
	f.base = nil
	return matters
}

// fill gives l what the entry around it says and it does not itself.
func (l *line) fill(base *Record) {
	r := &l.rec
	if r.Time.IsZero() || l.noYear && !base.Time.IsZero() {
		r.Time = base.Time
	}
	if !r.HasUptime {
		r.Uptime, r.HasUptime = base.Uptime, base.HasUptime
	}
	if r.Facility == FacilityUnknown {
		r.Facility = base.Facility
	}
	if r.Level < 0 {
		r.Level = base.Level
	}
	if r.Host == "" {
		r.Host = base.Host
	}
	if r.Caller == "" {
		r.Caller = base.Caller
	}
	l.stamped = true
}

// jsonText reads a JSON value as journald writes fields: a string, a number,
// or the bytes of a text that is not UTF-8 or not printable.
func jsonText(v json.RawMessage) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	var b []uint8
	var n []int
	if json.Unmarshal(v, &n) == nil && n != nil {
		for _, c := range n {
			if c < 0 || c > 255 {
				return ""
			}
			b = append(b, uint8(c))
		}
		return string(b)
	}
	return strings.TrimSpace(string(v))
}

// prettyLine takes a line of an object that is spread over lines: dmesg -J,
// journalctl -o json-pretty, what the clouds' tools print.
// indent is how far t stands in the line.
func (f *feeder) prettyLine(t string, indent int) (done, matters bool) {
	e := &f.entry
	if t == "" {
		return false, false
	}
	switch {
	case e.active && e.list && t[0] == '{' && !e.numbers: // of records
		f.endEntry()
		return true, true
	case e.active && e.list:
		if t[0] == ']' {
			e.list = false
			if e.numbers {
				e.offer(directRank, string(e.data))
			}
			e.numbers = false
		} else if e.numbers {
			e.bytes(t)
		} else if isContainerTag(strings.TrimLeft(t, `"`)) {
			e.container = true
		}
		return true, true
	case e.active && t[0] == '}' && e.nested > 0:
		e.nested--
		return true, true
	case t[0] == '}' || t[0] == '{' && len(t) <= 2:
		if !e.active && t[0] == '}' {
			return false, false
		}
		f.endEntry()
		return true, true
	case t[0] != '"':
		return false, false
	}
	end := strings.IndexByte(t[1:], '"')
	if end < 1 || end > 40 {
		return false, false
	}
	key := t[1 : 1+end]
	v, ok := strings.CutPrefix(trimBlanks(t[2+end:]), ":")
	if !ok {
		return false, false
	}
	v = strings.TrimSuffix(strings.TrimSpace(v), ",")
	if !e.active {
		f.flushRecord()
		*e = entry{active: true, facility: FacilityUnknown, container: f.around.container}
	}
	switch v {
	case "[":
		if e.container = e.container || isContainerKey(strings.ToLower(key)); e.container && !f.around.container {
			f.around = around{true, indent}
		}
		if e.rank == 0 && e.nested == 0 && key != "MESSAGE" {
			f.entry = entry{} // the list of the entries
			return true, true
		}
		e.list, e.numbers, e.data = true, key == "MESSAGE", nil
	case "{":
		if e.nested < maxNested {
			e.parents[e.nested] = strings.ToLower(key)
		}
		e.nested++
		e.container = e.container || isContainerKey(strings.ToLower(key))
	default:
		parent := ""
		if e.nested > 0 && e.nested <= maxNested {
			parent = e.parents[e.nested-1]
		}
		e.field(parent, key, json.RawMessage(v), 0)
		if key == "key" && isContainerKey(strings.ToLower(strings.Trim(v, `"`))) { // OpenTelemetry's name of a field of what is around
			f.around = around{container: true}
		}
	}
	return true, true
}

// bytes takes a line of the numbers that a text is written as.
func (e *entry) bytes(t string) {
	for _, w := range strings.Split(t, ",") {
		if n, ok := atoi(strings.TrimSpace(w)); ok && n < 256 && len(e.data) < maxRecord {
			e.data = append(e.data, byte(n))
		}
	}
}
