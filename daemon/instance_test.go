package daemon

import (
	"path/filepath"
	"testing"
)

func TestInstanceIsOfTheStore(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	a := openTestStore(t, filepath.Join(dir, "a.db"))
	first, err := instanceOf(ctx, a)
	if err != nil || len(first) != 8 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := instanceOf(ctx, a); err != nil || again != first {
		t.Errorf("the next run is %q, %v; the first was %q", again, err, first)
	}
	if other, err := instanceOf(ctx, openTestStore(t, filepath.Join(dir, "b.db"))); err != nil || other == first {
		t.Errorf("the daemon of another store is %q, too (%v)", other, err)
	}
}
