package pods

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"runtime"

	"github.com/oomwatch/oomwatch/test/lab"
)

// Image is what the test image is called; a sandbox runs in it too.
const Image = "docker.io/library/oomwatch-lab:pods"

// load makes the test image out of what is on this machine and imports it.
func (r *Runtime) load(ctx context.Context) error {
	rootfs, err := lab.Rootfs(ctx, r.Dir)
	if err != nil {
		return err
	}
	layer, err := io.ReadAll(rootfs)
	if err != nil {
		return err
	}
	return r.Import(ctx, Image, layer, "/bin/sleep", "1000000")
}

// Unused adds an image that no container is of, with a file of so many bytes.
func (r *Runtime) Unused(ctx context.Context, name string, size int) error {
	content := make([]byte, size)
	rand.Read(content) // so that it is no smaller packed
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "content", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(size)}); err != nil {
		return err
	}
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return r.Import(ctx, "docker.io/library/"+name, layer.Bytes())
}

// Import imports an image of one layer, which is a tar archive.
func (r *Runtime) Import(ctx context.Context, name string, layer []byte, entrypoint ...string) error {
	archive, err := dockerArchive(name, layer, entrypoint)
	if err != nil {
		return err
	}
	if err := r.kind.imports(ctx, r, name, archive); err != nil {
		return fmt.Errorf("import %s: %w", name, err)
	}
	return nil
}

// dockerArchive is an image of one layer as docker save writes it.
func dockerArchive(name string, layer []byte, entrypoint []string) (io.Reader, error) {
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Env": []string{"PATH=/bin"}, "Entrypoint": entrypoint},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range []struct {
		name string
		body []byte
	}{{"manifest.json", manifest}, {"config.json", config}, {"layer.tar", layer}} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(f.body))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.body); err != nil {
			return nil, err
		}
	}
	return &buf, w.Close()
}
