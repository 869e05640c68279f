package incident

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/cgroup"
	"github.com/oomwatch/oomwatch/kmsg"
)

// FromLog turns kill i of an episode into the facts that a kernel log alone can
// give: the container's id and pod from the cgroup path, nothing of its name or
// end. boot is the boot id the log belongs to, "" where it is not known.
func FromLog(e *kmsg.Episode, i int, boot string) *Facts {
	k := e.Kills[i]
	f := &Facts{Kind: KindHost, Time: k.Time, Offline: true, ID: KillID(boot, e, &k)}
	path := VictimPath(e)
	c, unit := OwnerOf(path)
	by := ByNone
	if path != "" {
		by = ByPath
	}
	if c != nil {
		f.Kind, f.Container = KindKill, c
	}
	f.Unit = unit
	f.Kills = []KernelKill{{Episode: e, Kill: k, By: by}}
	return f
}

// VictimPath is the cgroup the victims of an episode were in, as printed: the
// path of a memory.oom.group kill where the summary gave none.
func VictimPath(e *kmsg.Episode) string {
	if e.TaskMemcg != "" {
		return e.TaskMemcg
	}
	return e.GroupMemcg
}

// OwnerOf says what a cgroup path tells of its owner: a container, or nil and
// the systemd unit ("" when there is none either).
func OwnerOf(path string) (*Container, string) {
	if path == "" {
		return nil, ""
	}
	id := cgroup.ParsePath(path)
	if !id.InContainer() {
		return nil, id.Unit
	}
	c := &Container{ID: id.ContainerID, Name: id.Name, Runtime: id.Runtime, OuterID: id.OuterID}
	if id.PodUID != "" {
		c.Pod = &Pod{UID: id.PodUID}
	}
	return c, ""
}

// KillID is the stable id of one kill: the same kernel record gives the same id
// however often it is read.
func KillID(boot string, e *kmsg.Episode, k *kmsg.Kill) string {
	seq, up := k.Seq, k.Uptime
	if seq == 0 && up == 0 {
		seq, up = e.Seq, e.Uptime
	}
	at := ""
	if boot == "" && !k.Time.IsZero() {
		at = strconv.FormatInt(k.Time.UnixMicro(), 36)
	}
	return hashID("kill", boot, strconv.FormatUint(seq, 36), strconv.FormatInt(int64(up/time.Microsecond), 36), at, strconv.Itoa(k.PID), k.Comm)
}

// DeathID is the stable id of one end of one container: started is when that
// run of it began.
func DeathID(container string, started time.Time) string {
	return hashID("death", container, strconv.FormatInt(started.UnixNano(), 36))
}

// CounterID is the stable id of kills that only the cgroup's counter told: n is
// the counter's value.
func CounterID(container string, started time.Time, n int64) string {
	return hashID("counter", container, strconv.FormatInt(started.UnixNano(), 36), strconv.FormatInt(n, 36))
}

// hashID makes a short id that a person can type: 16 letters and digits.
func hashID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
}
