package verdict

import "testing"

func TestStartReason(t *testing.T) {
	for said, want := range map[string]string{
		`failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nope": stat /nope: no such file or directory: unknown`:                                           `exec: "/nope": stat /nope: no such file or directory`,
		`failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: exec: "x": permission denied: unknown`: `exec: "x": permission denied`,
		`OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "x": executable file not found in $PATH: unknown`:                                                                          `exec: "x": executable file not found in $PATH`,
		`driver failed programming external connectivity on endpoint web: port is already allocated`:                                                                                                                            `driver failed programming external connectivity on endpoint web: port is already allocated`,
		`runc create failed: `: `runc create failed: `,
		``:                     ``,
	} {
		if got := startReason(said); got != want {
			t.Errorf("%q\nis %q\nwant %q", said, got, want)
		}
	}
}
