package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Storm makes n containers with a 16 MiB limit, lets all of them outgrow it at
// once, and waits until every one is dead. Their names are prefix-0, prefix-1...
func (e *Engine) Storm(ctx context.Context, prefix string, n int) ([]string, error) {
	var ids []string
	for i := range n {
		id, err := e.Docker(ctx, "create", "--network", "none", "--name", fmt.Sprintf("%s-%d", prefix, i), "-m", "16m", Image, "tail", "/dev/zero")
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	if _, err := e.Docker(ctx, append([]string{"start"}, ids...)...); err != nil {
		return ids, err
	}
	out, err := e.Docker(ctx, append([]string{"wait"}, ids...)...)
	if err != nil {
		return ids, err
	}
	for i, code := range strings.Fields(out) {
		if code != "137" {
			return ids, errors.Join(err, fmt.Errorf("container %s-%d ended with %s, not 137", prefix, i, code))
		}
	}
	return ids, nil
}
