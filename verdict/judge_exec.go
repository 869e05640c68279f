package verdict

import (
	"fmt"
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"
	"time"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/redact"
)

// staleStart is how long a run lasts at least for a start error to be of another start.
const staleStart = 10 * time.Second

// staleError is true where the engine's start error cannot be of this run: it ran.
func staleError(f *Facts) bool {
	code := f.Exit.ExitCode
	return f.Container != nil && !f.Container.StartedAt.IsZero() && endTime(f).Sub(f.Container.StartedAt) > staleStart && (code < 125 || code > 128)
}

// notStarted is what a log says of a command that could not be executed.
type notStarted struct {
	path string // the command
	why  string // as the system said it
	// shebang is true where the interpreter that is missing ends in a carriage return.
	carriage bool
	line     string
}

// reExecs are how runc's init, shells and small init programs say that the command
// could not be executed. Group 1 is the command, group 2 the system's reason.
var reExecs = []*lazyre.Regexp{
	lazyre.New(`^(?:\S{1,64}: )?exec:? "?([^":]{1,300})"?: ?(?:exec: )?((?:exec|Exec) format error|no such file or directory|permission denied|not a directory|is a directory|invalid argument|text file busy)$`),
	lazyre.New(`^standard_init_linux\.go:\d{1,5}: exec user process caused:? "?()((?:exec|Exec) format error|no such file or directory|permission denied)"?$`),
	lazyre.New(`(?i)^\[FATAL tini \(\d{1,7}\)\] exec (\S{1,300}) failed: (exec format error|no such file or directory|permission denied)$`),
	lazyre.New(`(?i)^\[dumb-init\] (\S{1,300}): (exec format error|no such file or directory|permission denied)$`),
	lazyre.New(`(?i)^(?:\S{1,80}: )?(?:line \d{1,6}: )?(\S{1,300}): (cannot execute: required file not found|cannot execute binary file: exec format error|bad interpreter: no such file or directory)$`),
	lazyre.New(`(?i)^(?:/usr/bin/)?env: (?:[‘'"]?)([^’'":]{1,200})(?:[’'"]?): (no such file or directory)$`),
}

// findNotStarted looks for it in a log of which it is the only word.
func findNotStarted(tail []string) *notStarted {
	lines, first := plainLines(tail)
	said := 0
	var found *notStarted
	for i, l := range lines {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "/usr/bin/env: use -[v]S") || strings.HasPrefix(l, "env: use -[v]S") {
			continue
		}
		if said++; said > 2 {
			return nil // it ran, and had more to say
		}
		for _, re := range reExecs {
			if g := re.FindStringSubmatch(l); g != nil {
				found = &notStarted{path: g[1], why: strings.ToLower(g[2]), line: tail[first+i]}
				break
			}
		}
	}
	if found != nil {
		for _, end := range []string{"\r", `\r`, "^M", `\x0d`, "$'\\r'"} {
			if p, ok := strings.CutSuffix(found.path, end); ok {
				found.path, found.carriage = p, true
			}
		}
	}
	return found
}

// judgeExec finds a command that runc's init, or a shell in its place, could not
// execute: the exit code alone looks like the program's own.
func judgeExec(f *Facts) (judgement, bool) {
	switch f.Exit.ExitCode {
	case 1, 2, 126, 127, 128, 255:
	default:
		return judgement{}, false
	}
	n := findNotStarted(f.tail())
	if n == nil {
		return judgement{}, false
	}
	return judgement{cause: incident.ExecFailed, confidence: incident.Likely, why: n.reason(), exec: n}, true
}

// reason says in words what the system's error means for this command.
func (n *notStarted) reason() string {
	what := "its command"
	if n.path != "" {
		what = redact.Sanitize(redact.Line(n.path))
	}
	switch {
	case n.carriage:
		return fmt.Sprintf("%s: the name ends with a carriage return, so the script has Windows line endings (CRLF)", what)
	case strings.Contains(n.why, "format error"):
		return what + ": exec format error: it is built for another CPU architecture, or is a script without a #! line"
	case strings.Contains(n.why, "bad interpreter"), strings.Contains(n.why, "required file not found"):
		return what + ": the interpreter of its #! line, or its loader, is not in the image"
	case strings.Contains(n.why, "no such file"):
		return what + ": no such file: it, the interpreter of its #! line, or its loader (musl against glibc) is not in the image"
	}
	return what + ": " + n.why
}

// tail is what of the log is judged.
func (f *Facts) tail() []string {
	if f.RawTail != nil {
		return f.RawTail
	}
	return f.LogTail
}

// startLayers are what engine, shim and runtime each put before a start error: by whose
// hands it came, which the evidence keeps.
var startLayers = lazyre.New(`^(?:failed to create (?:shim task|task for container)|failed to start shim|OCI runtime create failed|(?:runc|crun|youki) (?:create|run) failed|` +
	`unable to start container process|error during container init|(?:container|process|standard_init|rootfs)_linux\.go:\d+|starting container process caused|container init caused): *`)

// startReason is a start error without the layers that it came through.
func startReason(said string) string {
	reason := strings.TrimSuffix(said, ": unknown")
	for {
		inner := startLayers.ReplaceAllString(reason, "")
		if inner == reason || inner == "" {
			return reason
		}
		reason = inner
	}
}

// startTrouble is one kind of the engine's start errors: how it reads, and what to do.
type startTrouble struct {
	shape  *lazyre.Regexp
	advice string
	pod    string // the same for a pod's container; "" where advice holds for both
}

// startTroubles are looked through in order; the first that fits is taken.
var startTroubles = []startTrouble{
	{lazyre.New(`(?i)exec format error`), "Build or pull the image for this machine's architecture (docker image inspect -f '{{.Architecture}}' IMAGE against uname -m; docker pull --platform), or give the script a #! line.",
		"Build the image for the node's architecture (kubectl get node -o wide; nodeSelector kubernetes.io/arch), or give the script a #! line."},
	{lazyre.New(`(?i)could not select device driver|nvidia|libcuda|--gpus|\bgpu\b`), "Install the NVIDIA container toolkit on this host and restart the engine (nvidia-ctk runtime configure --runtime=docker), or start it without --gpus.",
		"Install the NVIDIA container toolkit on the node (nvidia-ctk runtime configure --runtime=containerd), and ask for the card by resources.limits.nvidia.com/gpu."},
	{lazyre.New(`(?i)gathering device information|/dev/\S+.{0,40}no such file|device cgroup|error adding device`), "The device that was asked for (--device, devices:) is not on this host: ls -l it, load its driver, or take it out.", "The device that was asked for is not on the node: look at its driver and its device plugin."},
	{lazyre.New(`(?i)bind source path does not exist|invalid mount|error mounting|mounts? denied|not a directory.{0,80}mount|mount.{0,200}(?:not a directory|no such file|permission denied|read-only)|failed to mount`), "A mount cannot be made: look whether the source exists on this host and is of the right sort, a file on a file or a directory on a directory (docker inspect -f '{{json .Mounts}}' CONTAINER).",
		"A mount failed: check that the source exists on the node and is of the same kind as its target, a file or a directory (hostPath's type, subPath)."},
	{lazyre.New(`(?i)rlimit|ulimit|too many open files`), "A ulimit that was asked for is above what this host allows: lower it (--ulimit, ulimits:), or raise the engine's own (LimitNOFILE of its unit, /proc/sys/fs/nr_open).",
		"A ulimit is above what the node allows: raise the runtime's own (LimitNOFILE of containerd's unit, /proc/sys/fs/nr_open)."},
	{lazyre.New(`(?i)port is already allocated|address already in use|bind for`), "Another program holds the published port: ss -ltnp names it; stop that, or publish another port.", "Another program on the node holds the hostPort: ss -ltnp names it; stop that, or take another."},
	{lazyre.New(`(?i)bridge|iptables|network \S+ not found|endpoint|veth|failed to set up container networking|failed programming external connectivity`), "The network could not be set up: docker network ls, and restart the engine if something flushed iptables (systemctl restart docker).",
		"The pod's network could not be set up: look at the network plugin's pod on the node and at the kubelet's log."},
	{lazyre.New(`(?i)seccomp|apparmor|selinux|capabilit|operation not permitted`), "A security profile or capability refused the start: compare --security-opt and --cap-add with what this host's kernel has (dmesg, journalctl -t audit).",
		"A security profile or capability refused the start: compare the securityContext with what the node's kernel has (dmesg, journalctl -t audit)."},
	{lazyre.New(`(?i)memory limit|minimum memory|oom_score_adj|cgroup|swap limit`), "The resource settings cannot be applied on this host: compare --memory, --cpus and the cgroup version (docker info) with what was asked for.",
		"The resource settings cannot be applied on the node: compare resources.limits and the kubelet's cgroupDriver with the runtime's."},
	{lazyre.New(`(?i)no space left|disk quota`), "The engine's disk is full: docker system df names what fills it, docker system prune frees it.",
		"The node's disk is full: df -h there; crictl rmi --prune removes the images that no container uses."},
	{lazyre.New(`(?i)permission denied`), "Make the command executable in the image (chmod +x; COPY --chmod=755), and look that its file system is not mounted noexec.", ""},
	{lazyre.New(`(?i)executable file not found|no such file or directory|bad interpreter`), "Check whether the command is in the image, and the interpreter of its #! line or its loader (musl against glibc): " + engineWords.image + ".",
		"Check whether the command is in the image, and the interpreter of its #! line or its loader (musl against glibc): " + podWords.image + "."},
}

// adviceExec is what to do about a container that did not start.
func adviceExec(inc *incident.Incident, v judgement) string {
	if v.exec != nil && v.exec.carriage {
		return "Save the script with Unix line endings (dos2unix, or * text eol=lf in .gitattributes) and build the image again."
	}
	for i := range startTroubles {
		if t := &startTroubles[i]; t.shape.MatchString(v.why) {
			if t.pod != "" && isPod(inc) {
				return t.pod
			}
			return byCommand(inc, t.advice)
		}
	}
	return "Check the command and entrypoint against the image: " + wordsOf(inc).sh + ", then check that the file exists, is executable and is built for this machine."
}
