package incident

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"
	"time"
)

// hashID makes a short id that a person can type, 16 letters and digits (80 bits
// in base 32), of parts that are joined by NULs.
func hashID(parts []byte) string {
	const letters = "abcdefghijklmnopqrstuvwxyz234567"
	sum := sha256.Sum256(parts)
	var id [16]byte
	for half := range 2 {
		var five [8]byte // 5 bytes are 8 letters
		copy(five[3:], sum[5*half:5*half+5])
		bits := binary.BigEndian.Uint64(five[:])
		for i := range 8 {
			id[8*half+i] = letters[bits>>(35-5*i)&31]
		}
	}
	return string(id[:])
}

// WarningID derives a warning's id from the container ("" is the host), what it
// warns of, and when it began.
func WarningID(containerID, of string, began time.Time) string {
	return hashID([]byte("warning\x00" + containerID + "\x00" + of + "\x00" + strconv.FormatInt(began.UnixNano(), 36)))
}

// DeathID is the stable id of one end of one container: started is when that
// run of it began.
func DeathID(container string, started time.Time) string {
	return hashID([]byte("death\x00" + container + "\x00" + strconv.FormatInt(started.UnixNano(), 36)))
}

// CounterID is the stable id of kills that only the cgroup's counter told: n is
// the counter's value.
func CounterID(container string, started time.Time, n int64) string {
	return hashID([]byte("counter\x00" + container + "\x00" + strconv.FormatInt(started.UnixNano(), 36) + "\x00" + strconv.FormatInt(n, 36)))
}

// SentID is the stable id of SIGKILLs to children that somebody sent: first is when the
// first of them was, sender its pid, and comm the children's name.
func SentID(container string, first time.Time, sender int, comm string) string {
	return hashID([]byte("sent\x00" + container + "\x00" + strconv.FormatInt(first.UnixNano(), 36) + "\x00" + strconv.Itoa(sender) + "\x00" + comm))
}

// RecordID is the stable id of one kill by what the kernel's record of it says:
// the boot, the record's number and uptime, and the victim. at counts only where
// the boot is not known.
func RecordID(boot string, seq uint64, uptime time.Duration, at time.Time, pid int, comm string) string {
	var room [192]byte
	b := append(room[:0], "kill\x00"...)
	b = append(append(b, boot...), 0)
	b = append(strconv.AppendUint(b, seq, 36), 0)
	b = append(strconv.AppendInt(b, int64(uptime/time.Microsecond), 36), 0)
	if boot == "" && !at.IsZero() {
		b = strconv.AppendInt(b, at.UnixMicro(), 36)
	}
	b = append(b, 0)
	b = append(strconv.AppendInt(b, int64(pid), 10), 0)
	return hashID(append(b, comm...))
}

// ShortID shortens what looks like a container's id to what engines print of it.
func ShortID(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
