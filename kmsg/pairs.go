package kmsg

import "encoding/binary"

// pairs is the search for machines without the vectors that finder wants. It looks
// at a pair of bytes in every third place. Of an anchor's window, 7 bytes in a row,
// two such pairs are seen whatever the place that it begins at, and which of the three
// ways it lies they tell: both must tell the same. Anchors that are shorter have
// windows of 4 bytes, and one pair. A window is where its anchor is least like what
// logs are full of.
type pairs struct {
	// seen has, for a pair of bytes as a little-endian number, the ways in which it is
	// in a window: as the first of the two pairs in the low half, as the second one
	// in the high half. Half of the anchors have ways of their own.
	seen [1 << 16]uint16
	// index has, for a pair, where in places the anchors are that have it as the first
	// of their window's pairs.
	index  [1 << 16]uint8
	places [][]place
	// before is how far in front of the pair found an anchor can begin.
	before int
}

const (
	step       = 3 // from a pair that is looked at to the next
	longWindow = 2*step + 1
	// onePair is the way of an anchor whose window has one pair alone: every pair
	// is good as its second.
	onePair = 1 << (2 * step)
)

// place is an anchor, and where in it a pair stands.
type place struct {
	anchor string
	at     int
}

// ordinary are lines of the kinds that logs are full of.
const ordinary = `Mar  1 04:00:27 node-7 kernel: [   27.284910] docker0: port 2(veth53cd73a) entered blocking state
Dec 10 23:59:58 host kernel: [98765.432106] device vethf1a0e2b left promiscuous mode; link becomes ready, renamed from eth0
Feb 19 11:36:45 web kernel: [12345.678901] audit: type=1400 audit(1772337600.123:456): apparmor="DENIED" operation="open" profile="docker-default" name="/proc/1/status" pid=123 comm="python3" requested_mask="r" denied_mask="r" fsuid=0 ouid=0
2025-08-22T13:14:15.161718+00:00 [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00 SRC=198.51.100.7 DST=203.0.113.7 LEN=60 TOS=0x00 PREC=0x00 TTL=54 ID=0 DF PROTO=TCP SPT=443 DPT=8080 WINDOW=1024 RES=0x00 SYN URGP=0
IPv6: ADDRCONF(NETDEV_CHANGE): TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies. Check SNMP counters.
nvme nvme0: I/O 123 QID 4 timeout, completion polled; overlayfs: fs on '/var/lib/docker/overlay2/l/ABC' does not support file handles, falling back to xino=off.
usb 1-1: new high-speed USB device number 28 using xhci_hcd; EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: (null)
[   1284]     0  1284    29382     2183    28160        0         -1000 sshd; RIP: 0033:0x7f28d1c0 RSP: 002b:00007ffd8 EFLAGS: 00000246 ORIG_RAX: 0000000000000009
 do_user_addr_fault+0x21c/0x690 handle_mm_fault+0xf0/0x2f0 mem_cgroup_charge do_syscall_64 entry_SYSCALL_64_after_hwframe page_fault; task_memcg=/system.slice/docker-4f2b.scope,task=java,pid=28,uid=0
systemd[1]: Started session 12 of user root. sshd[123]: Failed password for invalid user admin from 10.0.0.1 port 22: Connection closed
`

func pairAt[T string | []byte](s T, i int) uint16 { return uint16(s[i]) | uint16(s[i+1])<<8 }

func newPairs(groups *[8][]string) *pairs {
	common := make(map[uint16]int)
	for i := range len(ordinary) - 1 {
		common[pairAt(ordinary, i)]++
	}
	p := &pairs{places: make([][]place, 1)}
	for i := range p.seen {
		p.seen[i] = onePair << 8
	}
	n := 0
	for _, g := range groups {
		for _, a := range g {
			p.add(a, n%2*step, common)
			n++
		}
	}
	return p
}

// add enters an anchor by its best window. ways is where its ways begin.
func (p *pairs) add(a string, ways int, common map[uint16]int) {
	size := longWindow
	if len(a) < size {
		size = fingerprint
	}
	window, least := 0, -1
	for w := range len(a) - size + 1 {
		cost := 0
		for i := w; i < w+step; i++ {
			n := 1 + common[pairAt(a, i)]
			if size == longWindow {
				n *= 1 + common[pairAt(a, i+step)]
			}
			cost += n
		}
		if least < 0 || cost < least {
			window, least = w, cost
		}
	}
	for way := range step {
		i := window + way
		first := pairAt(a, i)
		if p.index[first] == 0 {
			p.index[first] = uint8(len(p.places))
			p.places = append(p.places, nil)
		}
		p.places[p.index[first]] = append(p.places[p.index[first]], place{a, i})
		p.before = max(p.before, i)
		if size == longWindow {
			p.seen[first] |= 1 << (ways + way)
			p.seen[pairAt(a, i+step)] |= 1 << (ways + way) << 8
		} else {
			p.seen[first] |= onePair
		}
	}
}

// candidate returns the first of every third place in b, beginning at from, where an
// anchor's window may be; -1 when there is none.
func (p *pairs) candidate(b []byte, from int) int {
	i := from
	for ; len(b)-i >= 5*step+2; i += 5 * step {
		block := (*[5*step + 2]byte)(b[i:])
		v, w := binary.LittleEndian.Uint64(block[:8]), binary.LittleEndian.Uint64(block[8:])
		s0, s1, s2 := p.seen[uint16(v)], p.seen[uint16(v>>24)], p.seen[uint16(v>>48)]
		s3, s4, s5 := p.seen[uint16(w>>8)], p.seen[uint16(w>>32)], p.seen[binary.LittleEndian.Uint16(block[15:])]
		if s0&(s1>>8)|s1&(s2>>8)|s2&(s3>>8)|s3&(s4>>8)|s4&(s5>>8) != 0 {
			break
		}
	}
	for ; i+2 <= len(b); i += step {
		second := uint16(onePair)
		if i+step+2 <= len(b) {
			second = p.seen[pairAt(b, i+step)] >> 8
		}
		if p.seen[pairAt(b, i)]&second != 0 {
			return i
		}
	}
	return -1
}

// anchor returns where the first of the anchors that hold the pair at i begins, none
// of them before from; -1 when there is none.
func (p *pairs) anchor(b []byte, from, i int) int {
	first := -1
	for _, pl := range p.places[p.index[pairAt(b, i)]] {
		at := i - pl.at
		if at >= from && len(b)-at >= len(pl.anchor) && string(b[at:at+len(pl.anchor)]) == pl.anchor && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}
