package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/oomwatch/oomwatch/audit"
	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/recorder"
	"github.com/oomwatch/oomwatch/triage"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/web"
)

// evil is what a tenant may call a container, and write into its log.
const evil = `</title><script>alert(1)</script>"'><img src=x onerror=alert(2)> <!--{{.}} javascript:alert(3) ` + "\u202egnp.exe"

const mib = 1 << 20

// house is a daemon with much to show: the edge of the browser's tests.
type house struct {
	list   []*incident.Incident // newest first
	bodies [][]byte
	rows   []warn.Row
	now    time.Time
	status web.Status
}

func newHouse(incidents, containers int) *house {
	h := &house{now: time.Now().Truncate(time.Second)}
	for i := range incidents {
		inc := h.incident(i)
		body, err := json.Marshal(inc)
		if err != nil {
			panic(err)
		}
		h.list, h.bodies = append(h.list, inc), append(h.bodies, body)
	}
	for i := range containers {
		name := fmt.Sprintf("shop-web-%04d", i)
		if i == 1 {
			name = evil
		}
		held, limit := int64(20+i%60)*mib, int64(80*mib)
		var recent []int64
		for n := range int64(12) {
			recent = append(recent, held-12*mib+n*mib+int64(i)%3*((n*5)%7)*mib)
		}
		r := warn.Row{Recent: recent, Time: h.now, ID: fmt.Sprintf("%012x%052x", i+1, 0), Name: name, Memory: held + 4*mib, Held: &held, Limit: &limit, Headroom: new(limit - held),
			Trend: []string{"flat", "leak", "sawtooth", "spike"}[i%4], PIDs: new(int64(12)), PIDsLimit: new(int64(100)), Danger: float64(held) / float64(limit)}
		if i%9 == 0 {
			r.TimeToLimit, r.Warnings, r.StalledFull = new(240.0), []string{"forecast"}, new(12.5)
		}
		if i%5 == 1 {
			r.Restarts, r.Zombies, r.LimitOf = new(int64(i)), new(int64(3)), "/batch.slice/"+evil
		}
		if i%7 == 3 {
			r.Limit, r.Headroom = nil, nil
		}
		h.rows = append(h.rows, r)
	}
	h.status = web.Status{Version: "test", PID: 1, StartedAt: h.now.Add(-time.Hour), Ready: true, Alive: true,
		Sources:    []web.SourceStatus{{Name: "docker", Up: true}, {Name: "kmsg", Up: true, Read: 19656}, {Name: "trace", Up: false, Reason: "tracefs cannot be read: " + evil, Fix: "mount it: " + evil}},
		Deliveries: []web.DeliveryStatus{{Receiver: "team", Generated: 40, Delivered: 38, Pending: 2, Configured: true, Down: "post to https://hooks.example.org/[redacted]: 502 " + evil}, {Receiver: "out", Generated: 9, Delivered: 9, Configured: true}}}
	return h
}

func (h *house) incident(i int) *incident.Incident {
	at := h.now.Add(-time.Duration(i) * 7 * time.Minute)
	name := fmt.Sprintf("shop-web-%04d", i%5)
	inc := &incident.Incident{Schema: incident.Schema, ID: fmt.Sprintf("id%06d", i), Kind: incident.KindDeath, Time: at, Severity: incident.Critical, Cause: incident.OOMContainer,
		Confidence: incident.Certain, Count: 1, SeenLive: new(true), Summary: name + " was OOM-killed at its own 80 MiB limit: report-builder held 76.2 MiB of anonymous memory",
		Host: &incident.Host{Name: "node-7", Kernel: "6.12.107", Cgroup: "v2", Engine: "docker 26.1.5"},
		Container: &incident.Container{ID: fmt.Sprintf("%012x%052x", i%5+1, 0), Name: name, Image: "shop/web:1.4", Runtime: "docker", Compose: &incident.Compose{Project: "shop", Service: fmt.Sprintf("web%d", i%5)},
			StartedAt: at.Add(-time.Hour), FinishedAt: at, ExitCode: new(137), Signal: "SIGKILL", RestartCount: new(1), MemoryLimit: new(int64(80 * mib))},
		Victim:  &incident.Process{PID: 4711, Comm: "report-builder", Main: new(true), AnonRSS: new(int64(76 * mib)), RSS: new(int64(78 * mib))},
		Killer:  &incident.Killer{Kind: "kernel", Name: "OOM killer"},
		OOM:     &incident.OOM{Constraint: "memcg", OOMMemcg: "/docker/x", Usage: new(int64(80 * mib)), Limit: new(int64(80 * mib)), Complete: true, Kills: 1, Failcnt: new(int64(1))},
		Memory:  &incident.Memory{Anon: new(int64(76 * mib)), Kernel: new(int64(mib))},
		Hog:     &incident.Hog{Container: name, Comm: "report-builder", PID: 4711, RSS: new(int64(78 * mib))},
		Advice:  []string{"If that is what it needs, try a limit of 120 MiB (80 MiB × 1.5, rounded up): set mem_limit: 120m for service web in the compose file, then docker compose up -d."},
		LogTail: []string{"report 2026-11: 90 parts", "part 4 of 90: reading"},
		Evidence: []incident.Evidence{{Source: "kmsg", Time: at, Text: "Memory cgroup out of memory: Killed process 4711 (report-builder) total-vm:1291800kB, anon-rss:77824kB", Means: "the kernel killed pid 4711, the container's main process"},
			{Source: "docker", Time: at, Text: "event die exitCode=137", Means: "128+9: the exit code after SIGKILL, whoever sent it"}},
		Related: []string{fmt.Sprintf("id%06d", i+5)}, History: &incident.History{Trend: "leak", Class: "leak", Reason: "it grew by 1.1 MiB/min over 60 min", Limit: new(int64(80 * mib)), Kills: []float64{-900}}}
	for n := range 60 {
		b := int64(20*mib + n*mib)
		inc.History.Points = append(inc.History.Points, incident.Point{T: float64(n-59) * 60, Bytes: b})
		inc.History.Breakdown = append(inc.History.Breakdown, incident.Parts{T: float64(n-59) * 60, Anon: new(b - 3*mib), File: new(int64(2 * mib)), Kernel: new(int64(mib))})
	}
	for n := range 6 {
		inc.Processes = append(inc.Processes, incident.Process{PID: 4711 + n, Comm: []string{"report-builder", "sh", "nginx"}[n%3], RSS: new(int64(78*mib) / int64(n+1)), Swap: new(int64(0)), Container: name})
	}
	switch i % 6 {
	case 1:
		h.warning(inc, name)
	case 2: // everything that is foreign is hostile
		inc.Summary, inc.Container.Name, inc.Container.Image, inc.Victim.Comm = evil, evil, evil, evil
		inc.LogTail, inc.Advice, inc.Silenced, inc.Host.Name = []string{evil, evil}, []string{evil}, evil, evil
		inc.Gaps = []incident.Gap{{Source: "docker", From: at.Add(-time.Minute), To: at, Reason: evil, Lost: 3}}
		for n := range inc.Processes {
			inc.Processes[n].Comm, inc.Processes[n].Container = evil, evil
		}
		inc.Evidence[0].Text, inc.Evidence[0].Means = evil, evil
	case 3:
		inc.Cause, inc.Summary, inc.Severity = incident.KillStopTimeout, name+" was asked to stop, had not stopped after 10 s, and was killed with SIGKILL (not OOM)", incident.Warning
	}
	return inc
}

func (h *house) warning(inc *incident.Incident, name string) {
	inc.Kind, inc.Severity, inc.Summary = incident.KindWarning, incident.Warning, name+" reaches its 80 MiB limit in about 4 min (± 30 s): it holds 64 MiB and grows 4 MiB/s"
	inc.Warning = &incident.WarningFacts{What: "forecast", Signs: []string{"forecast", "headroom"}, Since: inc.Time, TimeToLimit: new(240.0)}
	if inc.Time.Before(h.now.Add(-time.Hour)) {
		inc.ResolvedAt = inc.Time.Add(10 * time.Minute)
	}
}

func (h *house) Incidents(_ context.Context, q web.Query, each func(web.Found) error) error {
	n := 0
	for i, inc := range h.list { // the pages ask for the newest first only
		if q.Kind != "" && inc.Kind != q.Kind || q.Open && !inc.Open() || q.Cause != "" && inc.Cause != q.Cause || inc.Time.Before(q.Since) || q.Container != "" && inc.Container.Name != q.Container {
			continue
		}
		if n++; q.Limit > 0 && n > q.Limit {
			break
		}
		if err := each(web.Found{Place: fmt.Sprintf("%d.%d", inc.Time.UnixNano(), i), Body: h.bodies[i]}); err != nil {
			return err
		}
	}
	return nil
}

func (h *house) Explain(_ context.Context, what string, _ bool, each func(web.Found) error) error {
	for _, inc := range h.list {
		if inc.ID == what {
			body, err := json.Marshal(inc)
			if err != nil {
				return err
			}
			return each(web.Found{Body: body})
		}
	}
	return nil
}

func (h *house) Alive() bool                       { return true }
func (h *house) Status(context.Context) web.Status { return h.status }
func (h *house) Top(context.Context) (out []warn.Row) {
	out = slices.Clone(h.rows)
	for i := range out { // some move between two looks
		if s := time.Now().Unix() / 2; i%4 == int(s%4) {
			out[i].Held = new(*out[i].Held + (s%50)*mib/10)
		}
	}
	return out
}

func (h *house) Memory(_ context.Context, what string, from, to time.Time) (recorder.Series, error) {
	s := recorder.Series{Service: what, Step: recorder.StepRead}
	for n := range 900 {
		r := recorder.Unknown()
		r.At = to.Add(time.Duration(n-900) * to.Sub(from) / 900)
		up := n % 300
		r.Start = up == 0 && n > 0
		r.Used = int64(20*mib) + int64(up)*mib/6 + int64(3*mib*math.Sin(float64(n)/9))
		r.Anon, r.File, r.Kernel, r.Shmem, r.Limit = r.Used-6*mib, 5*mib, mib, 0, 80*mib
		r.OOMKill = int64(up / 200)
		s.Readings = append(s.Readings, r)
	}
	return s, nil
}

func (h *house) Leaks(context.Context) ([]triage.Service, error) {
	return []triage.Service{
		{Service: "shop-web-0001", Class: triage.Leak, Confidence: incident.Likely, Rate: new(18_000.0), Limit: new(int64(80 * mib)), Reasons: []string{"it grew in each of its 6 runs by 1.1 MiB/min and never gave any back"}, Advice: []string{"Take a heap profile while it lives."}},
		{Service: evil, Class: triage.Sawtooth, Confidence: incident.Possible, Reasons: []string{evil}},
		{Service: "shop-db", Class: triage.NotEnoughData, Reasons: []string{"one run of 4 min only: too little to judge"}},
	}, nil
}

func (h *house) Audit(context.Context) (*audit.Report, error) {
	sub := &audit.Subject{ID: "1", Name: evil}
	return &audit.Report{Containers: []audit.Subject{*sub}, Notes: []string{"the engine was asked"}, Findings: []audit.Finding{
		{Rule: "memory-limit", Severity: incident.Critical, CIS: "5.11", Container: sub, Evidence: "no memory limit", LeadsTo: "it can take all of the host's memory", Fix: "set mem_limit"},
		{Rule: "restart", Severity: incident.Warning, Container: &audit.Subject{Name: "shop-web-0001"}, Evidence: "no restart policy", LeadsTo: "a crash ends it for good", Fix: "restart: unless-stopped"}}}, nil
}

// LastAudit implements web.Audited.
func (h *house) LastAudit() *audit.Report {
	report, _ := h.Audit(context.Background()) // it makes no error
	return report
}

// Silences implements web.Control; the rest of it changes things, which no page does.
func (h *house) Silences(context.Context) ([]incident.Silence, error) {
	return []incident.Silence{{ID: "s1", Until: h.now.Add(time.Hour), By: "root", Reason: evil}}, nil
}
func (h *house) AddSilence(_ context.Context, x incident.Silence) (incident.Silence, error) {
	return x, nil
}
func (h *house) ExpireSilence(context.Context, string) (incident.Silence, error) {
	return incident.Silence{}, nil
}
func (h *house) Retry(context.Context, string) (int, error) { return 0, nil }
func (h *house) Test(context.Context, string) error         { return nil }
