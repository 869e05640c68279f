package explain

import (
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
	reField   = lazyre.New(`"?\b(Id|ID|Name|Image|Status|Running|OOMKilled|ExitCode|Error|StartedAt|FinishedAt|Memory|MemorySwap|RestartCount)"?\s*[:=]\s*("(?:[^"\\]|\\.)*"|[^\s,}\]]{1,256})`)
	reNumbers = lazyre.New(`\{(exited|dead|running|restarting|created|paused|removing) (true|false) (?:true|false) (?:true|false) (true|false) (?:true|false) \d{1,10} (\d{1,3}) (.*?) ?(\d{4}-\d\d-\d\dT\S{1,40}) (\d{4}-\d\d-\d\dT\S{1,40})`)
	reHexID   = lazyre.New(`^[0-9a-f]{12,64}$`)
)

// readFragment reads a State object, or a piece of an inspect output that was cut
// where somebody's selection ended.
func readFragment(in []byte) []saved {
	text := string(in[:min(len(in), 1<<20)])
	text = strings.ReplaceAll(text, "Error: ExitCode:", "ExitCode:") // a Go map with an empty Error
	if g := reNumbers.FindStringSubmatch(text); g != nil {
		return fromFields(map[string]string{"Status": g[1], "Running": g[2], "OOMKilled": g[3], "ExitCode": g[4], "Error": g[5], "StartedAt": g[6], "FinishedAt": g[7]})
	}
	fields := map[string]string{}
	for _, g := range reField.FindAllStringSubmatch(text, -1) {
		v := g[2]
		if strings.HasPrefix(v, `"`) {
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
	if fields["Running"] == "true" && fields["Status"] != "restarting" {
		return nil
	}
	at := parseTime(fields["FinishedAt"])
	s.exit = &incident.Exit{At: at, FinishedAt: at, ExitCode: code, OOMKilled: fields["OOMKilled"] == "true", Inspected: flag, Error: redact.Line(fields["Error"])}
	return []saved{s}
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
