package redact

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// canary stands for the secret in each line; no part of it may be left.
const canary = "Zx9kQ4vT7pLm2Rb8"

func TestRedactHidesSecrets(t *testing.T) {
	lines := []string{
		"password=" + canary,
		"DB_PASSWORD=" + canary + " DB_HOST=db",
		"PGPASSWORD='" + canary + "' psql",
		"\"password\": \"" + canary + "\"",
		`{"user":"bob","password":"` + canary + `","n":1}`,
		`msg="{\"api_key\":\"` + canary + `\"}" level=info`,
		`password: abc ` + canary + ` xyz, user: bob`,
		`{User:bob Password:` + canary + ` Host:db}`,
		`secret => ` + canary,
		`client_secret=` + canary + `&grant_type=x`,
		`GET /cb?access_token=` + canary + `&state=1 HTTP/1.1`,
		`GET /blob?sv=2020&sig=` + canary + `&x=1`,
		`Authorization: Bearer ` + canary,
		`authorization: Basic ` + canary + `==`,
		`"Authorization": "Bearer ` + canary + `", "Accept": "*/*"`,
		`Authorization: AWS4-HMAC-SHA256 Credential=AK/2026, SignedHeaders=host, Signature=` + canary,
		`Cookie: a=b; session=` + canary + `; c=d`,
		`Set-Cookie: sid=` + canary + `; Path=/`,
		`X-Auth-Token: ` + canary,
		`X-Api-Key: ` + canary,
		`sent with bearer ` + canary,
		`connecting to postgres://app:` + canary + `@db:5432/shop`,
		`connecting to postgres://app:p/` + canary + `@db:5432/shop`,
		`clone https://` + canary + `@github.com/o/r.git`,
		`amqp://u:p@` + canary + `@mq/`,
		`mysqld --password ` + canary + ` --port 3306`,
		`mysqld --password=` + canary,
		`A temporary password is generated for root@localhost: ` + canary,
		`Generated root password: ` + canary,
		"\x1b[36mpassword\x1b[0m=" + canary,
		"\x1b]0;title\x07token\x1b[2m:\x1b[0m " + canary,
		"ghp_" + canary + canary,
		"github_pat_" + canary + "_" + canary,
		"glpat-" + canary,
		"xoxb-123456789012-" + canary,
		"https://hooks.slack.com/services/T000/B000/" + canary,
		"https://discord.com/api/webhooks/123/" + canary,
		"sk_live_" + canary,
		"sk-ant-" + canary,
		"whsec_" + canary,
		"AIza" + canary + canary,
		"key is AKIA" + "ABCDEFGH23456789",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0." + canary,
		"-----BEGIN RSA PRIVATE KEY-----\n" + canary + "\n-----END RSA PRIVATE KEY-----",
		"-----BEGIN OPENSSH PRIVATE KEY-----" + canary,
		"value " + canary + "dQw4w9WgXcQ",
		"hash $2b$12$" + canary + "abc",
		"AccountKey=" + canary + "==;EndpointSuffix=x",
		"dsn=user:" + canary + "@tcp(db)/x",
		"key 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
	}
	for _, l := range lines {
		got := Line(l)
		for _, bad := range []string{canary, "9f86d081884c7d65", "AKIAABCD"} {
			if strings.Contains(got, bad) {
				t.Errorf("Line(%q) = %q: %q is still there", l, got, bad)
			}
		}
		if !strings.Contains(got, Redacted) {
			t.Errorf("Line(%q) = %q: nothing says that something was hidden", l, got)
		}
		if again := Line(got); strings.Contains(again, canary) || len(again) > len(got)+2*len(Redacted) {
			t.Errorf("Redact twice of %q = %q", l, again)
		}
	}
}

func TestRedactKeepsWhatHelps(t *testing.T) {
	for _, l := range []string{
		"java.lang.OutOfMemoryError: Java heap space",
		"\tat org.apache.tomcat.util.threads.TaskThread$WrappingRunnable.run(TaskThread.java:61)",
		"2026-11-21T07:56:40.848Z INFO listening on 0.0.0.0:8080",
		"max_tokens=4096 total_tokens: 120 token_count=7",
		"GET /usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so 200",
		"pod payment-service-7d4b9c6f5d-x2x9k on node-7",
		"image sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span done",
		"request 550e8400-e29b-41d4-a716-446655440000 took 3ms",
		"bearer authentication failed",
		"author=bob keyboard=us passenger=3",
		"http://localhost:9090/path?x=1 answered 200",
		"user alice@example.com logged in",
		"fatal error: runtime: out of memory goroutine 1 [running]:",
		"HikariPool-1 - Connection is not available, request timed out after 30000ms.",
		"unicode: grüße 你好 ✓",
	} {
		if got := Line(l); got != l {
			t.Errorf("Line(%q) = %q, want it untouched", l, got)
		}
	}
}

// redactLines are the lines of a file of testdata.
func redactLines(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), func(l string) bool { return strings.HasPrefix(l, "#") })
}

// TestRedactTable: secrets that no chance would find, for they are words, in the
// ways in which programs write them; and what must stay.
func TestRedactTable(t *testing.T) {
	for _, secret := range []string{canary, "swordfish", "p4ss!w0rd"} {
		for _, l := range redactLines(t, "secrets.txt") {
			if strings.Contains(l, "auth\":\"Ym9i") && strings.Contains(secret, "!") {
				continue // no base64
			}
			line := strings.ReplaceAll(l, "CANARY", secret)
			if got := Line(line); strings.Contains(got, secret) || !strings.Contains(got, Redacted) {
				t.Errorf("Line(%q) = %q", line, got)
			}
		}
	}
	for _, l := range redactLines(t, "shapes.txt") {
		if got := Line("found " + l + " here"); got != "found "+Redacted+" here" {
			t.Errorf("Line(%q) = %q", l, got)
		}
	}
	for _, l := range redactLines(t, "harmless.txt") {
		if got := Line(l); got != l {
			t.Errorf("Line(%q) = %q, want it untouched", l, got)
		}
	}
}

func TestRedactLinesHidesPEM(t *testing.T) {
	for _, lines := range [][]string{
		{"before", "-----BEGIN PRIVATE KEY-----", "abc", "def", "-----END PRIVATE KEY-----", "after"},
		{"abc", "def", "-----END PRIVATE KEY-----", "after"},
		{"before", "key: -----BEGIN PRIVATE KEY-----", "abc", "def"},
	} {
		got := strings.Join(Lines(lines), "\n")
		if strings.Contains(got, "abc") || strings.Contains(got, "def") || !strings.Contains(got, Redacted) {
			t.Errorf("Lines(%q) = %q", lines, got)
		}
	}
}

func TestRedactURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://hooks.slack.com/services/T/B/" + canary: "https://hooks.slack.com/" + Redacted,
		"https://u:" + canary + "@example.com":           "https://example.com/" + Redacted,
		"http://127.0.0.1:8080/?key=" + canary:           "http://127.0.0.1:8080/" + Redacted,
		"http://127.0.0.1:8080":                          "http://127.0.0.1:8080",
		canary:                                           Redacted,
		"http://[::1/" + canary:                          Redacted,
	} {
		if got := URL(in); got != want {
			t.Errorf("URL(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSanitize(t *testing.T) {
	for in, want := range map[string]string{
		"plain":               "plain",
		"a\nb\tc\r":           `a\nb\tc\r`,
		"\x1b[31mred\x00\x7f": `\x1b[31mred\x00\x7f`,
		"evil\u202etxt":       `evil\u202etxt`,
		"zero\u200bwidth":     `zero\u200bwidth`,
		"bad\xff\xfe":         `bad\xff\xfe`,
		"grüße 你好 ✓ 😀":        "grüße 你好 ✓ 😀",
		"tag\U000e0041":       `tag\U000e0041`,
		"line\u2028sep":       `line\u2028sep`,
		`already \x0a`:        `already \x0a`,
		"c1\u009b31m":         `c1\u009b31m`,
	} {
		got := Sanitize(in)
		if got != want {
			t.Errorf("Sanitize(%q) = %q, want %q", in, got, want)
		}
		if Sanitize(got) != got {
			t.Errorf("Sanitize is not idempotent on %q", in)
		}
	}
}

// TestJSON: what turns text around is escaped, and means the same.
func TestJSON(t *testing.T) {
	for _, s := range []string{"plain", "a\u202eb\u2066c", "zero\u200bwidth", "tag\U000e0041", "grüße 你好 😀", "c1\u009b"} {
		b, err := json.Marshal(map[string]string{"x": s})
		if err != nil {
			t.Fatal(err)
		}
		got := JSON(b)
		var back map[string]string
		if err := json.Unmarshal(got, &back); err != nil || back["x"] != s {
			t.Errorf("%q became %s: %q, %v", s, got, back["x"], err)
		}
		if i := strings.IndexFunc(string(got), func(r rune) bool { return !visible(r) }); i >= 0 {
			t.Errorf("%q became %q", s, got)
		}
	}
}

// BenchmarkRedact shows the time per byte, which must not grow with the length.
func BenchmarkRedact(b *testing.B) {
	for _, unit := range []string{"a", "password", "a://b@", "\x1b[", "pass ", "pass=1,", "<password>", "token: ", "INFO took 3ms; "} {
		for _, n := range []int{1_000, 10_000, 100_000} {
			s := strings.Repeat(unit, n/len(unit))
			b.Run(fmt.Sprintf("%q/%d", unit, n), func(b *testing.B) {
				b.SetBytes(int64(len(s)))
				for b.Loop() {
					Line(s)
				}
			})
		}
	}
}

// TestRulePanics: what a rule cannot look at is hidden, and counted.
func TestRulePanics(t *testing.T) {
	before := Faults()
	t.Cleanup(func() { faults.Store(before) })
	got := repeated("password="+canary, func(s string) string { return s[len(s)+1:] })
	if got != Redacted || Faults() != before+1 {
		t.Errorf("got %q with %d faults, want %q and %d", got, Faults(), Redacted, before+1)
	}
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{"", "password=x", `{"token":"a\"b"}`, "a://b:c@d", "\x1b[0m", "Authorization: Basic x", "\xff\xfe", "..password...x"} {
		f.Add(s)
	}
	for _, half := range corpusSets {
		for _, s := range corpus(f, half+"/secrets.txt") {
			f.Add(s.line)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		// Without what Line does where a rule panics: that is to be seen here.
		pass(s)
		out := Line(s)
		if len(out) > maxGrowth*len(s)+maxExtra {
			t.Fatalf("%d bytes became %d", len(s), len(out))
		}
		if again := Line(out); again != out {
			t.Fatalf("Line(%q) = %q, and once more %q", s, out, again)
		}
		if p := strings.Map(alnum, s); len(p) < 40 {
			// A secret behind a plain key goes, whatever stands in front.
			line := strings.ReplaceAll(p, "\x1b", "") + " password=" + canary
			if strings.Contains(Line(line), canary) {
				t.Fatalf("Line(%q) kept the secret", line)
			}
		}
		safe := Sanitize(s)
		if Sanitize(safe) != safe || !utf8.ValidString(safe) || strings.ContainsAny(safe, "\n\r\x1b\u202e") {
			t.Fatalf("Sanitize(%q) = %q", s, safe)
		}
	})
}

func alnum(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == ' ' {
		return r
	}
	return -1
}
