package incident

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"testing"
)

// TestHashIDIsBase32 holds the short ids against the standard library's base 32.
func TestHashIDIsBase32(t *testing.T) {
	sum := sha256.Sum256([]byte("death\x00c1\x00" + "ab12"))
	want := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10]))
	if got := hashID([]byte("death\x00c1\x00ab12")); got != want {
		t.Errorf("id %q, want %q", got, want)
	}
}
