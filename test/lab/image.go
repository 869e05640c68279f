package lab

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// progPackage is the import path of the program that dies.
const progPackage = "github.com/oomwatch/oomwatch/test/lab/prog"

// ProgEnv names the variable with the path of that program, built before: for
// machines without Go.
const ProgEnv = "OOMWATCH_LAB_PROG"

// loadImage makes the test image out of what is on this machine; no registry is asked.
func (e *Engine) loadImage(ctx context.Context) error {
	image, err := Rootfs(ctx, e.Dir)
	if err != nil {
		return err
	}
	if _, err := e.docker(ctx, image, "import", "-c", "ENV PATH=/bin", "-", Image); err != nil {
		return fmt.Errorf("load the test image: %w", err)
	}
	return nil
}

// Rootfs is the test image's files as a tar archive; the program that dies is built in dir.
func Rootfs(ctx context.Context, dir string) (io.Reader, error) {
	prog := os.Getenv(ProgEnv)
	if prog == "" {
		prog = filepath.Join(dir, "prog")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", prog, progPackage)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the lab's program (from inside the module's tree): %w: %s", err, bytes.TrimSpace(out))
		}
	}
	busybox, err := staticBusybox()
	if err != nil {
		return nil, err
	}
	applets, err := exec.CommandContext(ctx, busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list busybox applets: %w", err)
	}
	image, err := tarball(busybox, prog, strings.Fields(string(applets)))
	if err != nil {
		return nil, fmt.Errorf("pack the test image: %w", err)
	}
	return image, nil
}

// staticBusybox finds a busybox that runs without any library.
func staticBusybox() (string, error) {
	path, err := lookPath("busybox")
	if err != nil {
		return "", err
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is not static: install busybox-static", path)
		}
	}
	return path, nil
}

func tarball(busybox, prog string, applets []string) (io.Reader, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, dir := range []string{"bin/", "tmp/", "etc/", "proc/", "sys/", "dev/"} {
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		if err := w.WriteHeader(&tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: mode}); err != nil {
			return nil, err
		}
	}
	for name, path := range map[string]string{"bin/busybox": busybox, "bin/prog": prog} {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(b))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
	}
	for _, a := range applets {
		if a == "busybox" {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	return &buf, w.Close()
}
