// Package makelog makes up kernel logs for tests and benchmarks.
package makelog

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"
)

// generator keeps the clock and the source of chance of one log.
type generator struct {
	w     *bufio.Writer
	rnd   *rand.Rand
	now   time.Time
	boot  time.Time
	wrote int64
	line  []byte
}

// Write writes about size bytes of a made-up kern.log of a container host with a
// number of OOM episodes, of the shapes that a 6.12 kernel prints, spread
// among ordinary noise. The same seed gives the same log.
func Write(w io.Writer, size int64, episodes int, seed uint64) error {
	g := &generator{w: bufio.NewWriterSize(w, 1<<20), rnd: rand.New(rand.NewPCG(seed, 7)), boot: time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)}
	g.now = g.boot
	step := 240 * 24 * time.Hour / time.Duration(size/120+1)
	gap := size / int64(max(episodes, 1))
	next := g.rnd.Int64N(gap/2 + 1)
	for done := 0; g.wrote < size; {
		g.now = g.now.Add(time.Duration(g.rnd.Int64N(int64(2*step) + 1)))
		if done < episodes && g.wrote >= next {
			g.episode(done)
			done++
			next = int64(done)*gap + g.rnd.Int64N(gap/2+1)
			continue
		}
		g.noise()
	}
	if err := g.w.Flush(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		return fmt.Errorf("write the log: %w", err)
	}
	return nil
}

// print writes one line with syslog's prefix and the kernel's stamp.
func (g *generator) print(format string, args ...any) {
	up := g.now.Sub(g.boot)
	b := g.now.AppendFormat(g.line[:0], "Jan _2 15:04:05")
	b = append(b, " node-7 kernel: ["...)
	b = fmt.Appendf(b, "%5d.%06d] ", up/time.Second, up%time.Second/time.Microsecond)
	b = fmt.Appendf(b, format, args...)
	b = append(b, '\n')
	n, _ := g.w.Write(b) // the writer keeps its error for Flush
	g.wrote += int64(n)
	g.line = b
	g.now = g.now.Add(time.Duration(g.rnd.IntN(9)+1) * time.Microsecond)
}

func (g *generator) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[g.rnd.IntN(16)]
	}
	return string(b)
}

// noise writes one of the lines that a container host's kernel log is full of.
func (g *generator) noise() {
	r := g.rnd
	switch r.IntN(16) {
	case 0, 1, 2, 3:
		g.print("[UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:%02x:%02x:%02x:52:54:00:aa:bb:cc:08:00 SRC=198.51.100.%d DST=203.0.113.7 LEN=%d TOS=0x00 PREC=0x00 TTL=%d ID=%d PROTO=TCP SPT=%d DPT=%d WINDOW=1024 RES=0x00 SYN URGP=0 ",
			r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(256), 40+r.IntN(1400), 30+r.IntN(200), r.IntN(65536), 1024+r.IntN(60000), r.IntN(1024))
	case 4, 5, 6:
		g.print("audit: type=1400 audit(%d.%03d:%d): apparmor=\"DENIED\" operation=\"open\" profile=\"docker-default\" name=\"/proc/%d/status\" pid=%d comm=\"%s\" requested_mask=\"r\" denied_mask=\"r\" fsuid=0 ouid=0",
			g.now.Unix(), r.IntN(1000), r.IntN(1e6), r.IntN(1e5), r.IntN(1e5), g.comm())
	case 7, 8, 9:
		g.print("docker0: port %d(veth%s) entered %s state", 1+r.IntN(60), g.hex(7), []string{"blocking", "disabled", "forwarding"}[r.IntN(3)])
	case 10:
		g.print("veth%s: renamed from eth0", g.hex(7))
	case 11:
		g.print("device veth%s %s promiscuous mode", g.hex(7), []string{"entered", "left"}[r.IntN(2)])
	case 12:
		g.print("IPv6: ADDRCONF(NETDEV_CHANGE): veth%s: link becomes ready", g.hex(7))
	case 13:
		g.print("TCP: request_sock_TCP: Possible SYN flooding on port %d. Sending cookies.  Check SNMP counters.", r.IntN(65536))
	case 14:
		g.print("nvme nvme0: I/O %d QID %d timeout, completion polled", r.IntN(1024), r.IntN(16))
	default:
		g.print("overlayfs: fs on '/var/lib/docker/overlay2/l/%s' does not support file handles, falling back to xino=off.", strings.ToUpper(g.hex(26)))
	}
}

var comms = []string{"java", "node", "python3", "postgres", "redis-server", "nginx", "php-fpm8.2", "ruby", "beam.smp", "gunicorn: worke", "CPU 3/KVM", "Isolated Web Co", "(sd-pam)", "runc:[2:INIT]", "pt_main_thread"}

func (g *generator) comm() string { return comms[g.rnd.IntN(len(comms))] }
