package makelog

import "fmt"

// episode writes one report of the OOM killer: mostly a container's own limit,
// now and then the whole host's; of a new kernel or of an older one.
func (g *generator) episode(n int) {
	r := g.rnd
	id := g.hex(64)
	path := "/system.slice/docker-" + id + ".scope"
	if n%3 == 1 {
		path = fmt.Sprintf("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod%s_%s_%s_%s_%s.slice/cri-containerd-%s.scope", g.hex(8), g.hex(4), g.hex(4), g.hex(4), g.hex(12), id)
	}
	host := n%16 == 15
	comm, pid := g.comm(), 1000+r.IntN(4e6)
	limit := int64(32<<10) << r.IntN(9) // kB
	g.print("%s invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=%d", comm, r.IntN(1000))
	g.print("CPU: %d UID: 0 PID: %d Comm: %s Not tainted 6.12.48-amd64 #1 PREEMPT(lazy)  Debian 6.12.48-1 ", r.IntN(64), pid, comm)
	g.print("Hardware name: QEMU Standard PC (Q35 + ICH9, 2009), BIOS 1.16.2-debian-1.16.2-1 04/01/2014")
	g.print("Call Trace:")
	g.print(" <TASK>")
	for _, f := range []string{"dump_stack_lvl+0x5d/0x80", "dump_header+0x44/0x1a0", "oom_kill_process.cold+0x8/0x87", "out_of_memory+0x20d/0x550", "mem_cgroup_out_of_memory+0x133/0x150",
		"try_charge_memcg+0x6c5/0x7d0", "charge_memcg+0x37/0xa0", "__mem_cgroup_charge+0x2d/0xa0", "do_anonymous_page+0x2f8/0x8a0", "__handle_mm_fault+0xb3c/0x1010", "handle_mm_fault+0xf0/0x2f0",
		"do_user_addr_fault+0x21c/0x690", "exc_page_fault+0x7e/0x180", "asm_exc_page_fault+0x26/0x30"} {
		g.print(" %s", f)
	}
	g.print("RIP: 0033:0x7f%s", g.hex(10))
	g.print(" </TASK>")
	if host {
		g.memInfo()
	} else {
		g.print("memory: usage %dkB, limit %dkB, failcnt %d", limit, limit, r.IntN(1e6))
		g.print("swap: usage 0kB, limit 0kB, failcnt 0")
		g.print("Memory cgroup stats for %s:", path)
		for _, s := range []string{"anon", "file", "kernel", "kernel_stack", "pagetables", "sec_pagetables", "percpu", "sock", "vmalloc", "shmem", "file_mapped", "file_dirty", "file_writeback", "swapcached",
			"inactive_anon", "active_anon", "inactive_file", "active_file", "unevictable", "slab_reclaimable", "slab_unreclaimable", "slab", "workingset_refault_anon", "workingset_refault_file", "pgscan", "pgsteal", "pgfault", "pgmajfault"} {
			g.print("%s %d", s, r.Int64N(limit<<10))
		}
	}
	g.print("Tasks state (memory values in pages):")
	g.print("[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name")
	rows := 1 + r.IntN(8)
	if host {
		rows = 60 + r.IntN(120)
	}
	for range rows {
		p := 1000 + r.IntN(4e6)
		g.row(p, r.Int64N(limit), g.comm())
	}
	g.row(pid, limit/4, comm)
	scope := "oom_memcg=" + path
	constraint, prefix := "CONSTRAINT_MEMCG", "Memory cgroup out of memory"
	if host {
		scope, constraint, prefix = "global_oom", "CONSTRAINT_NONE", "Out of memory"
	}
	g.print("oom-kill:constraint=%s,nodemask=(null),cpuset=docker-%s.scope,mems_allowed=0,%s,task_memcg=%s,task=%s,pid=%d,uid=0", constraint, id, scope, path, comm, pid)
	g.print("%s: Killed process %d (%s) total-vm:%dkB, anon-rss:%dkB, file-rss:%dkB, shmem-rss:0kB, UID:0 pgtables:%dkB oom_score_adj:%d", prefix, pid, comm, limit, limit-limit/8, limit/16, limit/512, r.IntN(1000))
	if n%4 == 2 {
		g.print("Tasks in %s are going to be killed due to memory.oom.group set", path)
		g.print("%s: Killed process %d (%s) total-vm:%dkB, anon-rss:%dkB, file-rss:%dkB, shmem-rss:0kB, UID:0 pgtables:%dkB oom_score_adj:%d", prefix, pid, comm, limit, limit-limit/8, 44, limit/512, r.IntN(1000))
		g.print("%s: Killed process %d (sh) total-vm:2568kB, anon-rss:0kB, file-rss:1024kB, shmem-rss:0kB, UID:0 pgtables:48kB oom_score_adj:0", prefix, pid+1)
	}
}

func (g *generator) row(pid int, pages int64, comm string) {
	g.print("[%7d] %5d %5d %8d %8d %8d %8d %9d %8d %8d %13d %s", pid, 0, pid, pages, pages*7/8, pages*3/4, pages/8, 0, pages*8, 0, g.rnd.IntN(1000), comm)
}

func (g *generator) memInfo() {
	r := g.rnd
	g.print("Mem-Info:")
	g.print("active_anon:%d inactive_anon:%d isolated_anon:0#012 active_file:%d inactive_file:%d isolated_file:0#012 unevictable:0 dirty:0 writeback:0#012 slab_reclaimable:9955 slab_unreclaimable:17169#012 mapped:5675 shmem:613 pagetables:4321#012 sec_pagetables:0 bounce:0#012 kernel_misc_reclaimable:0#012 free:%d free_pcp:0 free_cma:0",
		r.IntN(1e6), r.IntN(1e6), r.IntN(1000), r.IntN(1000), r.IntN(1e5))
	for node := range 2 {
		g.print("Node %d active_anon:%dkB inactive_anon:%dkB active_file:24kB inactive_file:4kB unevictable:0kB isolated(anon):0kB isolated(file):0kB mapped:84kB dirty:0kB writeback:0kB shmem:16kB all_unreclaimable? yes", node, r.IntN(1e6), r.IntN(1e6))
		g.print("Node %d DMA free:15360kB min:34kB low:48kB high:62kB active_anon:0kB inactive_anon:0kB managed:15360kB mlocked:0kB bounce:0kB free_pcp:0kB local_pcp:0kB free_cma:0kB", node)
		g.print("lowmem_reserve[]: 0 1878 7811 7811 7811")
		g.print("Node %d DMA: 0*4kB 0*8kB 0*16kB 0*32kB 0*64kB 0*128kB 0*256kB 0*512kB 1*1024kB (U) 1*2048kB (M) 3*4096kB (M) = 15360kB", node)
	}
	g.print("%d total pagecache pages", r.IntN(1e5))
	g.print("Free swap  = %dkB", r.IntN(1e5))
	g.print("Total swap = 4149244kB")
	g.print("8248331 pages RAM")
	g.print("0 pages HighMem/MovableOnly")
	g.print("169427 pages reserved")
}
