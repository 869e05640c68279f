package kmsg

import "strings"

// column is a column of the task table.
type column uint8

const (
	colOther column = iota
	colUID
	colTGID
	colTotalVM
	colRSS
	colAnon
	colFile
	colShmem
	colPTEs // page table pages; nr_ptes and nr_pmds add up
	colPageTables
	colSwap
	colScoreAdj
)

// tableHead is the layout of a task table: its columns behind the pid and
// before the name. The array keeps it free of allocations.
type tableHead struct {
	cols [16]column
	n    int
}

// defaultPage is the page size assumed until a kill line, which is in kB,
// shows another.
const defaultPage = 4096

// maxTasks bounds the rows kept of one table.
const maxTasks = 1 << 15

// parseTableHead reads "[ pid ]   uid  tgid total_vm      rss ... name". A
// head that was cut gives no layout.
func parseTableHead(t string) (h tableHead, ok bool) {
	end := strings.IndexByte(t, ']')
	if end < 0 || strings.TrimSpace(strings.TrimPrefix(t[:end], "[")) != "pid" {
		return h, false
	}
	s := t[end+1:]
	for {
		s = strings.TrimLeft(s, " ")
		if s == "" {
			return h, false // no "name": cut
		}
		sp := strings.IndexByte(s, ' ')
		word := s
		if sp >= 0 {
			word, s = s[:sp], s[sp:]
		} else {
			s = ""
		}
		var c column
		switch word {
		case "name":
			return h, h.n >= 3
		case "uid":
			c = colUID
		case "tgid":
			c = colTGID
		case "total_vm":
			c = colTotalVM
		case "rss":
			c = colRSS
		case "rss_anon":
			c = colAnon
		case "rss_file":
			c = colFile
		case "rss_shmem":
			c = colShmem
		case "nr_ptes", "nr_pmds", "nr_puds":
			c = colPTEs
		case "pgtables_bytes":
			c = colPageTables
		case "swapents":
			c = colSwap
		case "oom_score_adj":
			c = colScoreAdj
		}
		if h.n == len(h.cols) {
			return h, false
		}
		h.cols[h.n] = c
		h.n++
	}
}

// parseRow reads a row into t. Sizes in pages are taken as defaultPage each.
func (h *tableHead) parseRow(s string, escaped bool, t *Task) bool {
	i := 1
	for i < len(s) && s[i] == ' ' {
		i++
	}
	pid := 0
	start := i
	for i < len(s) && s[i]-'0' <= 9 && i-start < 10 {
		pid = pid*10 + int(s[i]-'0')
		i++
	}
	if i == start || i >= len(s) || s[i] != ']' {
		return false
	}
	i++
	*t = Task{PID: pid, UID: -1}
	var ptes int64
	for c := range h.n {
		for i < len(s) && s[i] == ' ' {
			i++
		}
		neg := i < len(s) && s[i] == '-'
		if neg {
			i++
		}
		start := i
		var n int64
		for i < len(s) && s[i]-'0' <= 9 && i-start < 18 {
			n = n*10 + int64(s[i]-'0')
			i++
		}
		if i == start || i < len(s) && s[i] != ' ' || i == len(s) && c < h.n-1 {
			return false
		}
		if neg {
			n = -n
		}
		switch h.cols[c] {
		case colUID:
			t.UID = int(n)
		case colTGID:
			t.TGID = int(n)
		case colTotalVM:
			t.TotalVM = pages(n)
		case colRSS:
			t.RSS = pages(n)
		case colAnon:
			t.RSSAnon = pages(n)
		case colFile:
			t.RSSFile = pages(n)
		case colShmem:
			t.RSSShmem = pages(n)
		case colPTEs:
			ptes += n
			t.PageTables = pages(ptes)
		case colPageTables:
			t.PageTables = Bytes(n)
		case colSwap:
			t.Swap = pages(n)
		case colScoreAdj:
			t.OOMScoreAdj = int(n)
		}
	}
	if i < len(s) && s[i] == ' ' {
		i++
	}
	t.Comm = decode(s[i:], escaped)
	return true
}

func pages(n int64) Size {
	if n < 0 || n > 1<<50 {
		return Size{}
	}
	return Bytes(n * defaultPage)
}

// rescale corrects sizes that were taken for pages of defaultPage.
func (t *Task) rescale(page int64, pageTables bool) {
	for _, s := range []*Size{&t.TotalVM, &t.RSS, &t.RSSAnon, &t.RSSFile, &t.RSSShmem, &t.Swap} {
		s.Bytes = s.Bytes / defaultPage * page
	}
	if pageTables {
		t.PageTables.Bytes = t.PageTables.Bytes / defaultPage * page
	}
}

// statNames are the counters of a memory cgroup that are sizes. Page faults,
// scans and the like are not in it.
var statNames = func() map[string]string {
	m := make(map[string]string)
	for _, n := range strings.Fields(`anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem
		zswap zswapped file_mapped file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon
		inactive_file active_file unevictable slab_reclaimable slab_unreclaimable slab hugetlb
		cache rss rss_huge mapped_file dirty writeback swap swap_cached
		hierarchical_memory_limit hierarchical_memsw_limit`) {
		m[n] = n
		m["total_"+n] = "total_" + n
	}
	return m
}()

// addStats reads counters "name value", one or many with line ends between
// them, into m. It tells whether there was one.
func addStats(m *map[string]int64, t string) bool {
	if name, n, ok := plainStat(t); ok {
		if name != "" {
			setStat(m, name, n)
		}
		return true
	}
	found := false
	for t != "" {
		field := t
		if i := statEnd(t); i >= 0 {
			field = t[:i]
			switch {
			case t[i] == '\n':
				t = t[i+1:]
			case strings.HasPrefix(t[i:], `\x0a`), strings.HasPrefix(t[i:], "#012"):
				t = t[i+4:]
			default:
				t = ""
			}
		} else {
			t = ""
		}
		field = trimBlanks(field)
		sp := strings.IndexByte(field, ' ')
		if sp <= 0 {
			continue
		}
		n, rest, ok := leadingInt(field[sp+1:])
		if !ok || rest != "" || n < 0 {
			continue
		}
		found = true
		if name, ok := statNames[field[:sp]]; ok {
			setStat(m, name, n)
		}
	}
	return found
}

func setStat(m *map[string]int64, name string, n int64) {
	if *m == nil {
		*m = make(map[string]int64, 40)
	}
	(*m)[name] = n
}

// plainStat reads a line that is one counter and nothing else. The name is "" for one
// that is no size.
func plainStat(t string) (name string, n int64, ok bool) {
	i := len(t)
	for i > 0 && t[i-1]-'0' <= 9 {
		i--
	}
	if i < 2 || len(t)-i > 17 || i == len(t) || t[i-1] != ' ' || !isFieldName(t[:i-1]) {
		return "", 0, false
	}
	for _, c := range []byte(t[i:]) {
		n = n*10 + int64(c-'0')
	}
	return statNames[t[:i-1]], n, true
}

// statEnd finds what ends a counter, -1 if nothing does.
func statEnd(t string) int {
	for i := range len(t) {
		if c := t[i]; c == '\n' || c == '\\' || c == '#' {
			return i
		}
	}
	return -1
}

// addOldStats reads the one-line form "cache:0KB rss:1043868KB ...".
func addOldStats(m *map[string]int64, t string) {
	for _, f := range strings.Fields(t) {
		colon := strings.IndexByte(f, ':')
		if colon <= 0 {
			continue
		}
		n, rest, ok := leadingInt(f[colon+1:])
		if !ok || rest != "KB" || n < 0 || n > 1<<53 {
			continue
		}
		if name, ok := statNames[f[:colon]]; ok {
			if *m == nil {
				*m = make(map[string]int64, 16)
			}
			(*m)[name] = n << 10
		}
	}
}
