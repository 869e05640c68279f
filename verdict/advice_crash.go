package verdict

import (
	"github.com/oomwatch/oomwatch/internal/lazyre"
	"strings"

	"github.com/oomwatch/oomwatch/incident"
	"github.com/oomwatch/oomwatch/kmsg"
	"github.com/oomwatch/oomwatch/redact"
)

// reVsyscall is a fault in the page of the old system call entry, which newer kernels
// leave out, or the kernel's own word on it.
var reVsyscall = lazyre.New(`vsyscall attempted with vsyscall=none|segfault at ffffffffff60[0-9a-f]{4}\b`)

// reCPU is how programs say which CPU feature they need. Group 1 names it.
var reCPU = lazyre.New(`(?i)CPU does not support (x86-64-v[2-4])|requires? (?:a )?CPU with (\w+) support|(?:without|no|lacks?|missing) (AVX2?|AVX-?512\w*|SSE4[._]2|SSSE3|POPCNT|BMI2?)\b|compiled (?:to use|with) (AVX2?|AVX-?512\w*|SSE4[._]2|FMA)\b`)

// vsyscall is the kernel's record that the program used the old entry; nil where there
// is none.
func vsyscall(f *Facts) *kmsg.Fault {
	for i := range f.Faults {
		if reVsyscall.MatchString(f.Faults[i].Line) {
			return &f.Faults[i]
		}
	}
	if x := looseFault(f); x != nil && reVsyscall.MatchString(x.Line) {
		return x
	}
	return nil
}

// cpuFeature is the CPU feature that the log says is missing; "" where it says none.
func cpuFeature(f *Facts) string {
	for _, l := range f.tail() {
		if g := reCPU.FindStringSubmatch(l); g != nil {
			return redact.Sanitize(strings.Join(g[1:], ""))
		}
	}
	return ""
}

// adviceCrash is what to do about a crash by the signal that ended it.
func adviceCrash(inc *incident.Incident, f *Facts, v judgement) string {
	const core = "keep a core dump with --ulimit core=-1 and a kernel.core_pattern that leads out of the container"
	switch {
	case vsyscall(f) != nil:
		return "The image is older than this host's kernel allows: its C library uses the vsyscall page (CentOS 6, Debian 7 and the like). Use a newer base image, or boot the host with vsyscall=emulate."
	case v.signal == 4:
		if feature := cpuFeature(f); feature != "" {
			return "This host's CPU lacks " + feature + ", which the program was built for: use an image built for an older CPU, or a host that has it (grep flags /proc/cpuinfo)."
		}
		return "Most often the program was built for a CPU feature that this host lacks (AVX, AVX2, x86-64-v2 or v3; in a virtual machine the CPU model may hide it): compare grep flags /proc/cpuinfo with what the image needs, or use a build for older CPUs. Some runtimes also stop themselves with an illegal instruction on purpose: read the last log lines."
	case v.signal == 7:
		return adviceBus(inc, f)
	case v.signal == 31:
		return "A seccomp profile refused a system call: journalctl -k or ausearch -m SECCOMP names it (syscall=N); update the engine and libseccomp, or allow it with --security-opt seccomp=PROFILE."
	case v.signal == 8:
		return "An integer was divided by zero, or a division overflowed: " + core + ", and look at the instruction with a debugger and the same image."
	case v.signal == 5:
		return "The program stopped itself with a trap, as Chromium, V8 and Go's debuggers do on a failed check: read the last log lines; " + core + "."
	case v.signal == 24 || v.signal == 25:
		return "A limit of the process was reached (RLIMIT_CPU or RLIMIT_FSIZE): look at --ulimit, ulimits: or prlimit --pid, and raise the one that the program needs."
	case v.signal == 6:
		return "Read the last log lines for the assertion or abort message; " + core + "."
	}
	return "For a bad memory access " + core + ", then look at the fault address with a debugger and the same image."
}

// adviceBus is for SIGBUS, which is mostly shared memory that could not be backed.
func adviceBus(inc *incident.Incident, f *Facts) string {
	size := "by default 64 MiB"
	for i := range f.Filesystems {
		if d := &f.Filesystems[i]; d.Mount == "/dev/shm" && d.Size != nil {
			size = incident.FormatBytes(*d.Size)
			if d.Full() {
				size += ", and full"
			}
		}
	}
	key := "--shm-size"
	switch c := inc.Container; {
	case c != nil && c.Pod != nil:
		key = "an emptyDir with medium: Memory mounted on /dev/shm"
	case c != nil && c.Labels[labelSwarmService] != "":
		key = "a tmpfs mount on /dev/shm in the stack's file"
	case c != nil && c.Compose != nil:
		key = "shm_size: in the compose file"
	}
	return "Look at /dev/shm first (" + size + "; df -h /dev/shm in the container): a program that writes shared memory there when it is full gets SIGBUS. Give it more (" + key +
		"). Else a mapped file was cut short, or its disk is full or failing (journalctl -k)."
}
