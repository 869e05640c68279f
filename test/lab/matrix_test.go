package lab

import (
	"strings"
	"testing"
)

func TestMatrix(t *testing.T) {
	file := t.TempDir() + "/matrix"
	t.Setenv(MatrixEnv, file)
	in := []Told{
		{Platform: "6.12-v2-docker-26.1.5", Cause: "oom.container", Death: "oom", Right: true},
		{Platform: "6.18-v1-docker-20.10.24", Cause: "oom.container", Death: "oom", Right: true},
		{Platform: "6.18-v1-docker-20.10.24", Cause: "oom.container", Death: "oom", Word: "told 2 times"},
		{Platform: "6.12-v2-docker-26.1.5", Cause: "-", Death: "exit0", Right: true},
	}
	text := "=== RUN TestX\n"
	for _, x := range in {
		if err := x.Keep(); err != nil {
			t.Fatal(err)
		}
		text += "    e2e_test.go:7: " + x.String() + "\n"
	}
	all, err := ReadMatrix(strings.NewReader(text))
	if err != nil || len(all) != len(in) {
		t.Fatalf("read %v, %v", all, err)
	}
	for i := range all {
		if all[i] != in[i] {
			t.Errorf("read %+v, want %+v", all[i], in[i])
		}
	}
	var out strings.Builder
	if wrong := WriteMatrix(&out, all); wrong != 1 {
		t.Errorf("%d wrong, want 1", wrong)
	}
	want := `cause          death  6.12-v2-docker-26.1.5  6.18-v1-docker-20.10.24
-              exit0  1/1
oom.container  oom    1/1                    1/2 WRONG
wrong: oom.container oom on 6.18-v1-docker-20.10.24 told 2 times
4 deaths, 3 told right
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
