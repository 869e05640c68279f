package trace

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func fixture(tb testing.TB, kernel, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", kernel, name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func mustFormat(tb testing.TB, text string) format {
	tb.Helper()
	f, err := parseFormat(text)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// packed lays numbers and text out as a C struct without holes.
func packed(order binary.ByteOrder, parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		default:
			var err error
			if b, err = binary.Append(b, order, p); err != nil {
				panic(err)
			}
		}
	}
	return b
}

func name16(s string) string { return (s + strings.Repeat("\x00", 16))[:16] }

func TestSignalsOfEveryKernel(t *testing.T) {
	const hostile = "x) sig=9 pid=1\n"
	for kernel, id := range map[string]uint16{"5.10": 190, "6.1": 203, "6.12": 245, "6.18": 261} {
		f := mustFormat(t, fixture(t, kernel, "signal_generate"))
		if err := f.need(signalFields...); err != nil || f.id != int(id) {
			t.Fatalf("%s: id %d, %v", kernel, f.id, err)
		}
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			data := packed(order, id, uint8(1), uint8(0), int32(4711),
				int32(9), int32(0), int32(-6), name16(hostile), int32(815), int32(1), int32(2))
			r := record{format: f, order: order, data: data, ok: true}
			got, ok := readSignal(&r)
			want := signalHead{sig: 9, code: -6, result: 2, group: true, current: 4711, target: 815}
			if !ok || got.head != want || got.comm != hostile {
				t.Errorf("%s, %v: %+v, %v", kernel, order, got, ok)
			}
			for n := range data {
				r := record{format: f, order: order, data: data[:n], ok: true}
				if got, ok := readSignal(&r); ok {
					t.Errorf("%s: %d of %d bytes read as %+v", kernel, n, len(data), got)
				}
			}
		}
	}
}

func TestVictimsOfEveryKernel(t *testing.T) {
	order := binary.LittleEndian
	old := `{"total_vm":null}`
	full := `{"total_vm":35356672,"anon_rss":33161216,"file_rss":1327104,"shmem_rss":0,"page_tables":110592,"uid":1000,"oom_score_adj":-998}`
	for kernel, want := range map[string]string{"5.10": old, "6.1": old, "6.12": full, "6.18": full} {
		f := mustFormat(t, fixture(t, kernel, "mark_victim"))
		if err := f.need(victimFields...); err != nil {
			t.Fatalf("%s: %v", kernel, err)
		}
		data := packed(order, uint16(f.id), uint16(0), int32(4711), int32(815))
		name := ""
		if want == full {
			name = "a\xffb"
			data = packed(order, string(data), uint16(66), uint16(4), // comm: 4 bytes at 66
				uint64(34528), uint64(32384), uint64(1296), uint64(0), uint32(1000), uint32(0), uint64(108), int16(-998), name, uint16(0))
			name = `a\xffb`
		}
		r := record{format: f, order: order, data: data, ok: true}
		got, ok := readVictim(&r)
		if !ok || got.tid != 815 || got.now != 4711 || got.comm != name {
			t.Errorf("%s: %+v, %v", kernel, got, ok)
		}
		text, err := json.Marshal(got.victim)
		if err != nil {
			t.Fatal(err)
		}
		if want == old {
			for _, absent := range []string{"total_vm", "uid", "oom_score_adj"} {
				if strings.Contains(string(text), absent) {
					t.Errorf("%s has %s, which this kernel does not say: %s", kernel, absent, text)
				}
			}
		} else if !strings.Contains(string(text), strings.Trim(want, "{}")) {
			t.Errorf("%s: %s; want %s", kernel, text, want)
		}
	}
}

func TestTextFieldsByReference(t *testing.T) {
	f := mustFormat(t, "ID: 7\n\tfield:__rel_loc char[] comm;\toffset:8;\tsize:4;\tsigned:0;\n")
	data := packed(binary.LittleEndian, uint64(7), uint16(2), uint16(3), "..abc")
	r := record{format: f, order: binary.LittleEndian, data: data, ok: true}
	if got := r.str("comm"); got != "abc" || !r.ok {
		t.Errorf("relative: %q, %v", got, r.ok)
	}
	r.data = packed(binary.LittleEndian, uint64(7), uint16(2), uint16(300), "..abc")
	if got := r.str("comm"); got != "" || r.ok {
		t.Errorf("beyond the event: %q, %v", got, r.ok)
	}
}

func TestFormatsThatAreRefused(t *testing.T) {
	if _, err := parseFormat("name: x\n"); err == nil {
		t.Error("no ID: no error")
	}
	if _, err := parseFormat("ID: x\n"); err == nil {
		t.Error("bad ID: no error")
	}
	f := mustFormat(t, fixture(t, "6.18", "signal_generate"))
	if err := f.need("sender"); err == nil || !strings.Contains(err.Error(), `"sender"`) {
		t.Errorf("missing field: %v", err)
	}
	if err := f.need("comm"); err == nil {
		t.Error("a name is no number: no error")
	}
}

func TestPageLayout(t *testing.T) {
	for _, kernel := range []string{"5.10", "6.1", "6.12", "6.18"} {
		p, err := parsePageLayout(fixture(t, kernel, "header_page"))
		if err != nil || p.commit != 8 || p.commitSize != 8 || p.data != 16 || p.size != 4096 {
			t.Errorf("%s: %+v, %v", kernel, p, err)
		}
	}
	for _, bad := range []string{"", "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n",
		strings.Replace(fixture(t, "6.18", "header_page"), "size:4080", "size:8", 1)} {
		if p, err := parsePageLayout(bad); err == nil {
			t.Errorf("%q: %+v", bad, p)
		}
	}
}

func FuzzFormat(f *testing.F) {
	for _, kernel := range []string{"5.10", "6.1", "6.12", "6.18"} {
		f.Add(fixture(f, kernel, "signal_generate"), []byte(strings.Repeat("\x01\x02", 24)))
		f.Add(fixture(f, kernel, "mark_victim"), []byte(strings.Repeat("\x01\x02", 40)))
	}
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		ft, err := parseFormat(text)
		if err != nil {
			return
		}
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			if ft.need(signalFields...) == nil {
				readSignal(&record{format: ft, order: order, data: data, ok: true})
			}
			r := record{format: ft, order: order, data: data, ok: true}
			if v, ok := readVictim(&r); ok && len(v.comm) > 4*len(data) {
				t.Errorf("name of %d bytes from an event of %d", len(v.comm), len(data))
			}
		}
	})
}
