package incident

import "strconv"

// The fields of each type stand in the order of its struct, under its tags.

func (w *jsonWriter) incident(i *Incident) {
	w.open()
	w.text(`"schema":`, i.Schema)
	w.text(`"id":`, i.ID)
	w.text(`"kind":`, string(i.Kind))
	w.optTime(`"time":`, i.Time)
	w.optFloat(`"uptime_seconds":`, i.UptimeSeconds)
	w.text(`"severity":`, string(i.Severity))
	w.text(`"summary":`, i.Summary)
	w.text(`"cause":`, string(i.Cause))
	w.text(`"confidence":`, string(i.Confidence))
	if i.Unverified {
		w.bool(`"unverified":`, true)
	}
	w.optBool(`"seen_live":`, i.SeenLive)
	if i.Historic {
		w.bool(`"historic":`, true)
	}
	w.optTime(`"resolved_at":`, i.ResolvedAt)
	w.optTime(`"first_time":`, i.FirstTime)
	w.optText(`"silenced":`, i.Silenced)
	w.optText(`"url":`, i.URL)
	w.optText(`"not_stored":`, i.NotStored)
	if i.Host != nil {
		w.key(`"host":`)
		w.host(i.Host)
	}
	if i.Container != nil {
		w.key(`"container":`)
		w.container(i.Container)
	}
	w.optText(`"unit":`, i.Unit)
	if i.Victim != nil {
		w.key(`"victim":`)
		w.process(i.Victim)
	}
	if i.Trigger != nil {
		w.key(`"trigger":`)
		w.process(i.Trigger)
	}
	if i.Killer != nil {
		w.key(`"killer":`)
		w.killer(i.Killer)
	}
	if i.OOM != nil {
		w.key(`"oom":`)
		w.oom(i.OOM)
	}
	if i.Memory != nil {
		w.key(`"memory":`)
		w.memory(i.Memory)
	}
	if i.Hog != nil {
		w.key(`"hog":`)
		w.hog(i.Hog)
	}
	optList(w, `"processes":`, i.Processes, (*jsonWriter).process)
	if i.History != nil {
		w.key(`"history":`)
		w.history(i.History)
	}
	if i.Pressure != nil {
		w.key(`"pressure":`)
		w.pressure(i.Pressure)
	}
	optList(w, `"filesystems":`, i.Filesystems, (*jsonWriter).filesystem)
	optList(w, `"evidence":`, i.Evidence, (*jsonWriter).evidence)
	w.optTexts(`"advice":`, i.Advice)
	w.optTexts(`"log_tail":`, i.LogTail)
	optList(w, `"gaps":`, i.Gaps, (*jsonWriter).gap)
	w.optTexts(`"related":`, i.Related)
	if i.Warning != nil {
		w.key(`"warning":`)
		w.warning(i.Warning)
	}
	w.number(`"count":`, int64(i.Count))
	w.close()
}

// optList writes a list of objects, each by write.
func optList[T any](w *jsonWriter, name string, list []T, write func(*jsonWriter, *T)) {
	if len(list) == 0 {
		return
	}
	w.key(name)
	w.b = append(w.b, '[')
	for i := range list {
		if i > 0 {
			w.b = append(w.b, ',')
		}
		write(w, &list[i])
	}
	w.b = append(w.b, ']')
}

func (w *jsonWriter) host(h *Host) {
	w.open()
	w.optText(`"name":`, h.Name)
	w.optText(`"boot_id":`, h.BootID)
	w.optText(`"kernel":`, h.Kernel)
	w.optText(`"cgroup":`, h.Cgroup)
	w.optText(`"engine":`, h.Engine)
	w.optText(`"instance":`, h.Instance)
	w.close()
}

func (w *jsonWriter) container(c *Container) {
	w.open()
	w.optText(`"id":`, c.ID)
	w.optText(`"name":`, c.Name)
	w.optText(`"image":`, c.Image)
	w.optText(`"runtime":`, c.Runtime)
	if len(c.Labels) > 0 {
		w.key(`"labels":`)
		w.open()
		for _, k := range sortedKeysOf(c.Labels) {
			w.member(k)
			w.b = appendJSONString(w.b, c.Labels[k])
		}
		w.close()
	}
	if c.Compose != nil {
		w.key(`"compose":`)
		w.open()
		w.optText(`"project":`, c.Compose.Project)
		w.optText(`"service":`, c.Compose.Service)
		w.close()
	}
	if c.Pod != nil {
		w.key(`"pod":`)
		w.open()
		w.optText(`"uid":`, c.Pod.UID)
		w.optText(`"namespace":`, c.Pod.Namespace)
		w.optText(`"name":`, c.Pod.Name)
		w.close()
	}
	w.optTime(`"started_at":`, c.StartedAt)
	w.optTime(`"finished_at":`, c.FinishedAt)
	w.optInt(`"exit_code":`, c.ExitCode)
	w.optText(`"signal":`, c.Signal)
	w.optBool(`"oom_killed_flag":`, c.OOMKilledFlag)
	w.optInt(`"restart_count":`, c.RestartCount)
	w.optText(`"restart_policy":`, c.RestartPolicy)
	w.optBool(`"running":`, c.Running)
	w.optInt64(`"memory_limit_bytes":`, c.MemoryLimit)
	w.optInt64(`"swap_limit_bytes":`, c.SwapLimit)
	w.optText(`"outer_id":`, c.OuterID)
	w.optText(`"stop_signal":`, c.StopSignal)
	w.optFloat(`"stop_grace_seconds":`, c.StopGraceSecond)
	if c.Health != nil {
		w.key(`"health":`)
		w.health(c.Health)
	}
	w.close()
}

func (w *jsonWriter) filesystem(d *Filesystem) {
	w.open()
	w.text(`"mount":`, d.Mount)
	w.text(`"kind":`, d.Kind)
	w.optText(`"source":`, d.Source)
	w.optInt64(`"size_bytes":`, d.Size)
	w.optInt64(`"free_bytes":`, d.Free)
	w.optInt64(`"inodes":`, d.Inodes)
	w.optInt64(`"inodes_free":`, d.InodesFree)
	w.close()
}

func (w *jsonWriter) health(h *Health) {
	w.open()
	w.text(`"status":`, h.Status)
	w.optTime(`"since":`, h.Since)
	if h.Earlier {
		w.bool(`"earlier":`, true)
	}
	w.optNumber(`"failing_streak":`, int64(h.FailingStreak))
	w.optText(`"output":`, h.Output)
	w.close()
}

// member begins a member of a map, whose key may hold anything.
func (w *jsonWriter) member(key string) {
	w.key("")
	w.b = append(appendJSONString(w.b, key), ':')
}

func (w *jsonWriter) process(p *Process) {
	w.open()
	w.optNumber(`"pid":`, int64(p.PID))
	w.text(`"comm":`, p.Comm)
	w.optInt(`"uid":`, p.UID)
	w.optBool(`"main":`, p.Main)
	w.optInt64(`"total_vm_bytes":`, p.TotalVM)
	w.optInt64(`"rss_bytes":`, p.RSS)
	w.optInt64(`"anon_rss_bytes":`, p.AnonRSS)
	w.optInt64(`"file_rss_bytes":`, p.FileRSS)
	w.optInt64(`"shmem_rss_bytes":`, p.ShmemRSS)
	w.optInt64(`"page_tables_bytes":`, p.PageTables)
	w.optInt64(`"swap_bytes":`, p.Swap)
	w.optInt(`"oom_score_adj":`, p.OOMScoreAdj)
	w.optText(`"container":`, p.Container)
	w.close()
}

func (w *jsonWriter) killer(k *Killer) {
	w.open()
	w.text(`"kind":`, k.Kind)
	w.optNumber(`"pid":`, int64(k.PID))
	w.optText(`"comm":`, k.Comm)
	w.optText(`"name":`, k.Name)
	w.optInt(`"uid":`, k.UID)
	w.optText(`"user":`, k.User)
	w.optText(`"command":`, k.Command)
	w.close()
}

func (w *jsonWriter) oom(o *OOM) {
	w.open()
	w.optText(`"constraint":`, o.Constraint)
	w.optText(`"oom_memcg":`, o.OOMMemcg)
	w.optText(`"task_memcg":`, o.TaskMemcg)
	w.optInt64(`"usage_bytes":`, o.Usage)
	w.optInt64(`"limit_bytes":`, o.Limit)
	w.optInt64(`"failcnt":`, o.Failcnt)
	w.optInt64(`"host_total_bytes":`, o.HostTotal)
	w.bool(`"group":`, o.Group)
	w.bool(`"complete":`, o.Complete)
	w.optNumber(`"kills":`, int64(o.Kills))
	optList(w, `"members":`, o.Members, (*jsonWriter).sharer)
	w.close()
}

func (w *jsonWriter) sharer(m *Member) {
	w.open()
	w.optText(`"container":`, m.Container)
	w.text(`"path":`, m.Path)
	w.optInt64(`"usage_bytes":`, m.Usage)
	w.optInt64(`"limit_bytes":`, m.Limit)
	w.close()
}

func (w *jsonWriter) memory(m *Memory) {
	w.open()
	w.optInt64(`"anon_bytes":`, m.Anon)
	w.optInt64(`"file_bytes":`, m.File)
	w.optInt64(`"shmem_bytes":`, m.Shmem)
	w.optInt64(`"kernel_bytes":`, m.Kernel)
	w.optInt64(`"slab_bytes":`, m.Slab)
	w.optInt64(`"swap_bytes":`, m.Swap)
	w.close()
}

func (w *jsonWriter) hog(h *Hog) {
	w.open()
	w.optText(`"container":`, h.Container)
	w.optText(`"comm":`, h.Comm)
	w.optNumber(`"pid":`, int64(h.PID))
	w.optInt64(`"rss_bytes":`, h.RSS)
	w.close()
}

func (w *jsonWriter) history(h *History) {
	w.open()
	optList(w, `"points":`, h.Points, (*jsonWriter).point)
	optList(w, `"breakdown":`, h.Breakdown, (*jsonWriter).parts)
	optList(w, `"kills":`, h.Kills, func(w *jsonWriter, t *float64) { w.b = appendJSONFloat(w.b, *t) })
	w.optInt64(`"limit_bytes":`, h.Limit)
	called, growth := h.Trend, h.Growth
	if called == ClassLeak && h.Class != ClassLeak { // an older incident, without triage
		called, growth = TrendUnknown, true
	}
	w.text(`"trend":`, called)
	if growth {
		w.bool(`"growth":`, true)
	}
	w.optFloat(`"slope_bytes_per_second":`, h.Slope)
	w.optText(`"reason":`, h.Reason)
	w.optText(`"class":`, h.Class)
	w.optText(`"class_confidence":`, string(h.ClassConfidence))
	w.optTexts(`"class_reasons":`, h.ClassReasons)
	w.close()
}

func (w *jsonWriter) parts(p *Parts) {
	w.open()
	w.float(`"t":`, p.T)
	w.optInt64(`"anon_bytes":`, p.Anon)
	w.optInt64(`"file_bytes":`, p.File)
	w.optInt64(`"shmem_bytes":`, p.Shmem)
	w.optInt64(`"kernel_bytes":`, p.Kernel)
	w.close()
}

func (w *jsonWriter) warning(f *WarningFacts) {
	w.open()
	w.text(`"what":`, f.What)
	if f.Self {
		w.bool(`"self":`, true)
	}
	w.optText(`"subject":`, f.Subject)
	w.optTexts(`"signs":`, f.Signs)
	w.optTime(`"since":`, f.Since)
	w.optFloat(`"time_to_limit_seconds":`, f.TimeToLimit)
	w.optFloat(`"time_to_limit_error_seconds":`, f.TimeToLimitError)
	w.optFloat(`"rate_bytes_per_second":`, f.Rate)
	w.close()
}

func (w *jsonWriter) point(p *Point) {
	w.open()
	w.float(`"t":`, p.T)
	w.number(`"bytes":`, p.Bytes)
	w.close()
}

func (w *jsonWriter) pressure(p *Pressure) {
	w.open()
	w.optFloat(`"some_avg10":`, p.SomeAvg10)
	w.optFloat(`"full_avg10":`, p.FullAvg10)
	w.optFloat(`"some_total_seconds":`, p.SomeTotal)
	w.optText(`"scope":`, p.Scope)
	if len(p.Levels) > 0 {
		w.key(`"levels":`)
		w.open()
		for _, k := range sortedKeysOf(p.Levels) {
			w.member(k)
			w.b = strconv.AppendInt(w.b, p.Levels[k], 10)
		}
		w.close()
	}
	w.close()
}

func (w *jsonWriter) evidence(e *Evidence) {
	w.open()
	w.text(`"source":`, e.Source)
	w.optTime(`"time":`, e.Time)
	w.text(`"text":`, e.Text)
	w.text(`"means":`, e.Means)
	w.close()
}

func (w *jsonWriter) gap(g *Gap) {
	w.open()
	w.text(`"source":`, g.Source)
	w.optTime(`"from":`, g.From)
	w.optTime(`"to":`, g.To)
	w.optNumber(`"lost":`, g.Lost)
	w.optText(`"reason":`, g.Reason)
	w.close()
}
