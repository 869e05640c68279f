package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/test/real"
	"github.com/oomwatch/oomwatch/warn"
	"github.com/oomwatch/oomwatch/web"
)

// crowded is a daemon with containers that run and containers that died.
type crowded struct {
	web.Backend
	runs, died []string
}

func (n *crowded) Top(context.Context) (rows []warn.Row) {
	rows = []warn.Row{{Name: "(host)"}}
	for _, name := range n.runs {
		rows = append(rows, warn.Row{ID: "1", Name: name, Memory: 1 << 20})
	}
	return rows
}

func (n *crowded) Incidents(_ context.Context, q web.Query, each func(web.Found) error) error {
	for i, name := range n.died {
		body, err := json.Marshal(&incident.Incident{Schema: incident.Schema, ID: "id" + string(rune('a'+i)), Kind: incident.KindDeath, Cause: incident.ExitError,
			Confidence: incident.Certain, Summary: name + " exited:\n\x1b[31mred\t\u202etxt", Container: &incident.Container{Name: name}, Count: 1})
		if err != nil {
			return err
		}
		if err := each(web.Found{Body: body}); err != nil {
			return err
		}
	}
	return nil
}

// hostileNames are such that a shell or a terminal would read more than a word in them.
var hostileNames = []string{"two words", "it's", `a"b`, "$(touch pwned)", "`touch pwned`", "a;touch pwned", "a|b", "a&b", "a>pwned", "a\\b", "a*", "a?", "[ab]", "{a,b}",
	"~root", "!!", "#no", "a\tb", "a\nb", "\x1b[2Jclear", "a\u202eb", "a\u200bb", "a\u00a0b", "-rf", "--socket=/tmp/x", "_activeHelp_ hi", "", "\xff\xfe", "a<b", "(a)", "a\rb", "a\x00b", "\U0001f480"}

// goodNames are those that engines give, and letters of every script.
var goodNames = []string{"web", "shop-web-1", "ns/pod/main", "k8s_app_pod.x_y", "größe", "データ", "имя", "stack_api.1.k2j"}

// TestCompletionWords: what runs comes first, then what died, each once, hostile names never,
// and nothing beside a word that a terminal obeys.
func TestCompletionWords(t *testing.T) {
	socket := serve(t, &crowded{runs: append(slices.Clone(hostileNames), goodNames[:4]...), died: append(append([]string{"web"}, goodNames[3:]...), hostileNames...)})
	for _, args := range [][]string{{"explain", "--socket", socket, ""}, {"history", "--socket", socket, "--container", ""}, {"silence", "add", "--socket", socket, "--container", ""}} {
		out, err := exec.Command("oomwatch", append([]string{"__complete"}, args...)...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		var words []string
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		for _, line := range lines[:len(lines)-1] {
			word, about, _ := strings.Cut(line, "\t")
			if strings.ContainsAny(about, "\x1b\t\u202e") {
				t.Errorf("%v: %q is not safe to print", args, line)
			}
			if !strings.HasPrefix(word, "id") {
				words = append(words, word)
			}
		}
		if diff := cmp.Diff(goodNames, words); diff != "" {
			t.Errorf("%v: -want +offered:\n%s", args, diff)
		}
		if last := lines[len(lines)-1]; last != ":4" {
			t.Errorf("%v: the directive is %q, want that no files are offered", args, last)
		}
	}
}

// TestCompletionOfAudit: it takes what runs, each once on a line.
func TestCompletionOfAudit(t *testing.T) {
	socket := serve(t, &crowded{runs: append(slices.Clone(hostileNames), "web", "db", "cache"), died: []string{"gone"}})
	out, err := exec.Command("oomwatch", "__complete", "audit", "--socket", socket, "db", "").Output()
	if want := "web\t1 MiB in use\ncache\t1 MiB in use\n:4\n"; err != nil || string(out) != want {
		t.Errorf("offered %q, %v; want %q", out, err, want)
	}
}

// TestCompletionInBash has bash complete by the script that the program prints, in each of
// its modes, where each hostile name would leave a file behind if bash ran it.
func TestCompletionInBash(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		real.Missing(t, "no bash here")
	}
	socket := serve(t, &crowded{runs: append(slices.Clone(hostileNames), goodNames...)})
	dir := t.TempDir()
	script, err := exec.Command("oomwatch", "completion", "bash").Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "oomwatch.bash"), script, 0o600); err != nil {
		t.Fatal(err)
	}
	// What the package bash-completion would do with the words of the line.
	const run = `_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=${words[cword]}; prev=${words[cword-1]}; }
. ./oomwatch.bash
COMP_TYPE=$1; COMP_WORDS=(oomwatch explain --socket "$2" "$3"); COMP_CWORD=4; COMP_LINE="${COMP_WORDS[*]}"
__start_oomwatch 2>/dev/null
printf '%s\n' "${COMPREPLY[@]%% *}"`
	for _, c := range []struct {
		mode, typed string
		want        []string
	}{
		{"9", "", goodNames}, {"63", "", goodNames}, {"37", "", goodNames}, {"42", "", goodNames},
		{"9", "we", []string{"web"}}, {"9", "s", []string{"shop-web-1", "stack_api.1.k2j"}}, {"9", "ns/", []string{"ns/pod/main"}}, {"9", "gr", []string{"größe"}},
		{"9", "nothing", nil},
	} {
		cmd := exec.Command("bash", "--norc", "-c", run, "bash", c.mode, socket, c.typed)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LC_ALL=C.UTF-8", "COLUMNS=200")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%q: %v", c.typed, err)
		}
		got := strings.Fields(string(out))
		slices.Sort(got)
		want := slices.Sorted(slices.Values(c.want))
		if !slices.Equal(got, want) {
			t.Errorf("mode %s, typed %q: offered %q, want %q", c.mode, c.typed, got, want)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("a name was run: %v %v", left, err)
	}
}

// serve answers on a socket of its own until the test ends.
func serve(t *testing.T, b web.Backend) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "o.sock")
	s := web.New(web.Options{Socket: socket, Backend: b, Metrics: prometheus.NewRegistry(), Log: zap.NewNop()})
	if err := s.ListenUnix(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return socket
}
