package verdict

import (
	"fmt"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/units"
)

// Advice gives one thing to do about it, with its numbers and how they come
// about. containerLimit is the container's memory limit in bytes, nil where it
// has none or it is not known. No limit that is advised is above the container's.
func (r *RuntimeOOM) Advice(containerLimit *int64, pod bool) string {
	c := room{}
	// Below 8 MiB no share of a limit is a number that a runtime could work with.
	if containerLimit != nil && *containerLimit >= 8<<20 && *containerLimit < units.NoLimit {
		c.limit = *containerLimit
	}
	switch r.Runtime + " " + r.What {
	case "jvm native_thread", "go native_thread":
		if pod {
			return "Count its threads (ls /proc/PID/task | wc -l) against the pod's pids limit (the kubelet's podPidsLimit) and ulimit -u, and bound its thread pools; more heap does not help."
		}
		return "Count its threads (ls /proc/PID/task | wc -l) against the pids limit (docker inspect -f '{{.HostConfig.PidsLimit}}') and ulimit -u, and bound its thread pools; more heap does not help."
	case "jvm array_size":
		return "Find the array in the stack trace and build it in pieces: no heap size allows an array of 2^31 - 1 elements."
	case "jvm map":
		return "Count its mappings (wc -l /proc/PID/maps) against vm.max_map_count (65530 by default), and look at ulimit -v; the Java heap has room."
	case "cuda gpu_memory":
		return "Lower the batch size or give it a larger card: the container's memory limit does not count the card's memory."
	case "tensorflow tensor":
		return "Lower the batch size, or give it a larger card (nvidia-smi shows who holds it): a card's memory does not count against the container's limit."
	case "spark heap":
		return "Cut the work into more, smaller partitions (spark.sql.shuffle.partitions), or give the executor more heap (spark.executor.memory): " + c.share("-Xmx%dm at most", 75)
	case "redis maxmemory":
		return "Look at the Redis server, not at this container: redis-cli info memory shows used_memory against maxmemory; set a maxmemory-policy such as allkeys-lru if it is a cache, or raise maxmemory up to 75 % of that server's own limit."
	case "memcached limit":
		return "Look at the memcached server, not at this container: raise its -m up to 75 % of that server's own limit, or let it evict (no -M)."
	case "mysql query":
		if r.Elsewhere {
			return "Look at the MySQL server, not at this container: lower its per-connection buffers (sort_buffer_size, join_buffer_size, tmp_table_size), or give it more memory."
		}
	case "spark executor_lost":
		return "Look at the executor, not at this container: raise spark.executor.memoryOverhead (by default 10 % of spark.executor.memory), or give an executor fewer cores."
	case "redis fork", "postgresql fork":
		return "Set vm.overcommit_memory=1 on the host (sysctl): a fork shares its memory and is refused only because the host counts it twice."
	case "jvm metaspace":
		return "Look for a class loader leak (jcmd PID VM.classloader_stats); if it needs them all: " + c.split("-XX:MaxMetaspaceSize=%dm", 25, "-XX:MaxRAMPercentage=50")
	case "jvm class_space":
		return "Look for a class loader leak (jcmd PID VM.classloader_stats); if it needs them all: " + c.split("-XX:CompressedClassSpaceSize=%dm", 10, "-XX:MaxRAMPercentage=50")
	case "jvm direct":
		return r.direct(c)
	case "jvm heap", "jvm gc_overhead":
		set := setting{name: "-Xmx%dm", percent: 75, leak: "take a heap dump (-XX:+HeapDumpOnOutOfMemoryError) and see what fills it"}
		if c.limit >= 256<<20 {
			set.name, set.note = "-XX:MaxRAMPercentage=75", "in place of any -Xmx; without either Java takes 25 %"
		}
		return r.size(c, set)
	case "jvm native", "jvm reserve":
		return r.refused(c, "leave room beside the Java heap: "+c.share("-Xmx%dm", 75))
	case "node old_space":
		return r.size(c, setting{name: "NODE_OPTIONS=--max-old-space-size=%d", percent: 75, leak: "take a snapshot (--heapsnapshot-near-heap-limit=1) and see what fills it"})
	case "node worker_heap":
		return r.size(c, setting{name: "resourceLimits.maxOldGenerationSizeMb=%d", percent: 75, note: "the sum of all workers and the main thread", leak: "take a snapshot and see what fills it"})
	case "go heap", "go reserve", "go fork":
		return r.refused(c, "make the collector work before the limit: "+c.share("GOMEMLIMIT=%dMiB", 90))
	case "dotnet heap", "dotnet reserve":
		return "Take a dump (dotnet-gcdump collect) and see what fills the heap; " + c.share("check that DOTNET_GCHeapHardLimit is not set below %d MiB, the default", 75)
	case "php memory_limit":
		return r.php(c)
	case "redis enomem":
		return r.refused(c, "let Redis refuse writes before that, with room for a fork: "+c.share("maxmemory %dmb", 75))
	case "postgresql query":
		return "Lower work_mem for this query or bound max_connections: " + c.split("shared_buffers = %dMB", 25, "work_mem × max_connections at most 50 %")
	case "postgresql shared_memory":
		return r.refused(c, c.share("shared_buffers = %dMB", 25))
	case "mysql buffer_pool":
		return r.refused(c, c.share("innodb_buffer_pool_size = %dM", 50))
	case "clickhouse memory_limit":
		return r.size(c, setting{name: "max_server_memory_usage of %d MiB", percent: 90, leak: "bound the query (max_memory_usage, max_bytes_before_external_group_by)"})
	case "erlang max_heap_size":
		return "Look at what that Erlang process holds (its message queue first: process_info(Pid, message_queue_len)); raise its max_heap_size only if that is meant to be there."
	case "sbcl heap":
		return r.size(c, setting{name: "--dynamic-space-size %d", percent: 75, leak: "see what fills it (room)"})
	case "haskell heap":
		return r.size(c, setting{name: "+RTS -M%dm", percent: 75, leak: "take a heap profile (+RTS -hy)"})
	}
	return r.refused(c, c.share("keep what it holds below %d MiB", 90))
}

// room is the container's limit, 0 where it is not known, and its shares.
type room struct{ limit int64 }

func (c room) of(percent int64) int64 { return c.limit/100*percent + c.limit%100*percent/100 }

// formula shows how a share comes about: "75 % of 512 MiB = 384 MiB".
func (c room) formula(percent int64) string {
	if c.limit == 0 {
		return fmt.Sprintf("%d %% of the container's memory limit; no limit is known, so set one first", percent)
	}
	return fmt.Sprintf("%d %% of the container's %s = %s", percent, incident.FormatBytes(c.limit), incident.FormatBytes(c.of(percent)))
}

// share fills a setting with a share in MiB, and shows how it comes about.
func (c room) share(name string, percent int64) string {
	if strings.Contains(name, "%d") {
		if c.limit == 0 {
			name = strings.NewReplacer("%d MiB", "N", "%dMiB", "N", "%dMB", "N", "%dmb", "N", "%dm", "N", "%dM", "N", "%d", "N").Replace(name)
			return fmt.Sprintf("%s, with N about %s.", name, c.formula(percent))
		}
		name = fmt.Sprintf(name, c.of(percent)>>20)
	}
	return fmt.Sprintf("%s (%s).", name, c.formula(percent))
}

// split is share with what must go along so that the sum fits.
func (c room) split(name string, percent int64, with string) string {
	return strings.TrimSuffix(c.share(name, percent), ".") + ", together with " + with + ", so that the rest of the process has room."
}

// setting is a limit of a runtime that can be set.
type setting struct {
	name    string // with %d for MiB
	percent int64  // of the container's limit
	note    string
	leak    string // what to do when there is no more to give
}

// size compares the limit that was reached with the container's.
func (r *RuntimeOOM) size(c room, s setting) string {
	set := strings.TrimSuffix(c.share(s.name, s.percent), ".")
	if s.note != "" {
		set += ", " + s.note
	}
	if r.Limit == nil {
		return fmt.Sprintf("Set %s. Already set? %s.", set, sentence(s.leak))
	}
	own := incident.FormatBytes(*r.Limit)
	if r.About {
		own = "about " + own
	}
	switch {
	case c.limit == 0:
		return fmt.Sprintf("Its own limit was %s: %s. If it needs more, set %s.", own, s.leak, set)
	case *r.Limit > c.limit:
		return fmt.Sprintf("Its own limit of %s is above the container's %s, where the kernel kills: lower it to %s.", own, incident.FormatBytes(c.limit), set)
	case *r.Limit < c.of(s.percent-5):
		return fmt.Sprintf("Its own limit of %s is below what the container's %s allows: set %s. The container's need not be raised.", own, incident.FormatBytes(c.limit), set)
	}
	return fmt.Sprintf("Its own limit of %s leaves little of the container's %s: %s. If it needs more than that, raise the container's limit first, and keep this one at %d %% of it.",
		own, incident.FormatBytes(c.limit), s.leak, s.percent)
}

// refused is for memory that the system did not give: at its own limit a
// container is killed, so something else refused.
func (r *RuntimeOOM) refused(c room, then string) string {
	if q := r.Requested; q != nil && c.limit > 0 && *q > c.limit {
		return fmt.Sprintf("It asked for %s at once, more than the container's %s: lower what it asks for; %s", incident.FormatBytes(*q), incident.FormatBytes(c.limit), then)
	}
	return "At a container's limit the kernel kills and does not refuse: look at ulimit -v and at vm.overcommit_memory on the host for what refused it, then " + then
}

// direct is for Java's buffers outside the heap.
func (r *RuntimeOOM) direct(c room) string {
	const look = "look for buffers that are not released"
	if r.Limit != nil && c.limit > 0 && *r.Limit >= c.of(20) {
		return fmt.Sprintf("%s of direct buffers were in use, of the container's %s: %s before giving more; -XX:MaxDirectMemorySize=%dm (%s) with -XX:MaxRAMPercentage=50 leaves the rest room.",
			incident.FormatBytes(*r.Limit), incident.FormatBytes(c.limit), look, c.of(25)>>20, c.formula(25))
	}
	return "Set " + c.split("-XX:MaxDirectMemorySize=%dm", 25, "-XX:MaxRAMPercentage=50") + " Already set? " + sentence(look) + "."
}

// sentence begins with a capital letter.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// php is for memory_limit, which counts for each worker.
func (r *RuntimeOOM) php(c room) string {
	if r.Limit == nil {
		return "Set " + c.share("memory_limit=%dM", 75)
	}
	own := *r.Limit
	switch {
	case c.limit == 0:
		return fmt.Sprintf("Find what the script keeps; if it needs it, raise memory_limit above %s for this script alone, and give the container a limit of workers × memory_limit / 0.9.", incident.FormatBytes(own))
	case own > c.limit:
		return fmt.Sprintf("memory_limit is %s, above the container's %s, where the kernel kills: set %s", incident.FormatBytes(own), incident.FormatBytes(c.limit), c.share("memory_limit=%dM", 75))
	case own >= c.of(70):
		return fmt.Sprintf("memory_limit is %s of the container's %s already: make the script work in pieces (it asked for %s more).", incident.FormatBytes(own), incident.FormatBytes(c.limit), requested(r))
	}
	next := min(2*own, c.of(75))
	return fmt.Sprintf("Find what the script keeps; if it needs it, set memory_limit=%dM (2 × %s, at most 75 %% of the container's %s) and pm.max_children to at most %d (90 %% of %s / %s), as the limit counts for each worker.",
		next>>20, incident.FormatBytes(own), incident.FormatBytes(c.limit), max(1, c.of(90)/next), incident.FormatBytes(c.limit), incident.FormatBytes(next))
}

func requested(r *RuntimeOOM) string {
	if r.Requested == nil {
		return "some"
	}
	return incident.FormatBytes(*r.Requested)
}
