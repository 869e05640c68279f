package explain

import (
	"cmp"
	"encoding/json"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strconv"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

var (
	// reField is one field of a State object, as JSON, as YAML or as Go prints a map;
	// reNumbers is a State as docker inspect -f '{{.State}}' prints it.
	reField   = lazyre.New(`["']?\b(Id|ID|Name|Image|Status|Running|OOMKilled|ExitCode|Error|StartedAt|FinishedAt|Memory|MemorySwap|RestartCount)["']?\s*[:=]\s*("(?:[^"\\]|\\.)*"|'[^'\n]{0,512}'|[^\s,}\]]{1,256})`)
	reNumbers = lazyre.New(`\{(exited|dead|running|restarting|created|paused|removing) (true|false) (?:true|false) (?:true|false) (true|false) (?:true|false) \d{1,10} (\d{1,3}) (.*?) ?(\d{4}-\d\d-\d\dT\S{1,40}) (\d{4}-\d\d-\d\dT\S{1,40})`)
	reNoError = lazyre.New(`\bError:\s+([A-Z]\w{1,32}:)`)
	reHexID   = lazyre.New(`^[0-9a-f]{12,64}$`)
)

// readFragment reads a State object, or a piece of an inspect output that was cut
// where somebody's selection ended.
func readFragment(in []byte) []saved {
	text := string(in[:min(len(in), 1<<20)])
	text = reNoError.ReplaceAllString(text, "$1") // Go prints an empty Error as nothing
	if g := reNumbers.FindStringSubmatch(text); g != nil {
		return fromFields(map[string]string{"Status": g[1], "Running": g[2], "OOMKilled": g[3], "ExitCode": g[4], "Error": g[5], "StartedAt": g[6], "FinishedAt": g[7]})
	}
	fields := map[string]string{}
	for _, g := range reField.FindAllStringSubmatch(text, -1) {
		v := g[2]
		if strings.HasPrefix(v, "'") { // as Python prints it, or YAML
			v = strings.Trim(v, "'")
		} else if strings.HasPrefix(v, `"`) {
			var s string
			if json.Unmarshal([]byte(v), &s) == nil {
				v = s
			} else {
				v = strings.Trim(v, `"`)
			}
		}
		if _, again := fields[g[1]]; !again {
			fields[g[1]] = strings.TrimSuffix(v, "]")
		}
	}
	return fromFields(fields)
}

// fromFields makes an end of a State's fields; nil where the one that decides is missing.
func fromFields(fields map[string]string) []saved {
	code, err := strconv.Atoi(fields["ExitCode"])
	_, flag := fields["OOMKilled"]
	if err != nil || !flag && fields["Status"] == "" && fields["FinishedAt"] == "" && fields["Error"] == "" {
		return nil
	}
	s := saved{subject: "the container", Container: incident.Container{Runtime: "docker", StartedAt: parseTime(fields["StartedAt"]), Name: strings.TrimPrefix(fields["Name"], "/")}}
	for _, k := range []string{"Id", "ID"} {
		if reHexID.MatchString(fields[k]) {
			s.ID = fields[k]
		}
	}
	if n, err := strconv.ParseInt(fields["Memory"], 10, 64); err == nil && n > 0 {
		s.MemoryLimit = &n
	}
	if n, err := strconv.ParseInt(fields["MemorySwap"], 10, 64); err == nil && n != 0 {
		s.SwapLimit = &n
	}
	if strings.EqualFold(fields["Running"], "true") && fields["Status"] != "restarting" {
		return nil
	}
	at := parseTime(fields["FinishedAt"])
	s.exit = &incident.Exit{At: at, FinishedAt: at, ExitCode: code, OOMKilled: strings.EqualFold(fields["OOMKilled"], "true"), Inspected: flag, Error: redact.Line(fields["Error"])}
	return []saved{s}
}

// reTerminated is one field of a container's state as Kubernetes writes it.
var reTerminated = lazyre.New(`["']?\b(containerID|exitCode|finishedAt|message|reason|startedAt)["']?\s*:\s*("(?:[^"\\]|\\.)*"|'[^'\n]{0,512}'|[^\n,}]{1,512})`)

// readTerminated reads a piece of a pod's status: the state, or lastState, of a container
// that has ended, as JSON or YAML.
func readTerminated(in []byte) []saved {
	text := string(in[:min(len(in), 1<<20)])
	at := strings.Index(text, "terminated")
	if at < 0 && !strings.Contains(text, "exitCode") {
		return nil
	}
	fields := map[string]string{}
	for _, g := range reTerminated.FindAllStringSubmatch(text[max(at, 0):], -1) {
		v := strings.TrimSpace(g[2])
		if s, err := strconv.Unquote(v); err == nil && v[0] == '"' {
			v = s
		}
		if _, again := fields[g[1]]; again {
			break // another container's begins
		}
		fields[g[1]] = strings.Trim(v, `"'`)
	}
	code, err := strconv.Atoi(fields["exitCode"])
	if err != nil || fields["reason"] == "" && fields["finishedAt"] == "" {
		return nil
	}
	runtime, id, _ := strings.Cut(fields["containerID"], "://")
	return []saved{{subject: "the container",
		Container: incident.Container{ID: id, Runtime: cmp.Or(runtime, "kubernetes"), StartedAt: parseTime(fields["startedAt"])},
		exit:      exitOf(code, fields["reason"], fields["message"], parseTime(fields["finishedAt"]))}}
}

// reTable is a line of docker ps -a: the container's id, its image, and how it ended.
var reTable = lazyre.New(`^([0-9a-f]{12,64})\s+(\S+)\s.*?\b(?:Exited|Restarting) \((\d{1,3})\)\s.*?(?:ago|second|seconds|minutes?|hours?|days?|weeks?|months?)\b.*?\s(\S+)\s*$`)

// readTable reads lines of docker ps -a. Its times are relative to when it was run, so
// none is taken from it.
func readTable(in []byte) []saved {
	var out []saved
	for line := range strings.Lines(string(in[:min(len(in), 4<<20)])) {
		g := reTable.FindStringSubmatch(strings.TrimSpace(line))
		if g == nil {
			continue
		}
		code, err := strconv.Atoi(g[3])
		if err != nil {
			continue
		}
		out = append(out, saved{Container: incident.Container{ID: g[1], Name: g[4], Image: g[2], Runtime: "docker"}, exit: &incident.Exit{ExitCode: code}})
	}
	return out
}
