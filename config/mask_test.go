package config

import (
	"slices"
	"testing"
)

func TestMaskCommand(t *testing.T) {
	const hidden = "[redacted]"
	for _, tt := range []struct{ in, want []string }{
		{[]string{"/bin/page"}, []string{"/bin/page"}},
		{nil, []string{}},
		{[]string{"/bin/page", "--to", "ops", "-p", "3306"}, []string{"/bin/page", "--to", "ops", "-p", "3306"}},
		{[]string{"/bin/page", "--token", "CANARY", "--to", "ops"}, []string{"/bin/page", "--token", hidden, "--to", "ops"}},
		{[]string{"/bin/page", "--password", "-CANARY word"}, []string{"/bin/page", "--password", hidden}},
		{[]string{"/bin/page", "--api_key", "CANARY"}, []string{"/bin/page", "--api_key", hidden}},
		{[]string{"/bin/page", "--token=CANARY", "--to=ops"}, []string{"/bin/page", "--token=" + hidden, "--to=ops"}},
		{[]string{"/bin/env", "DB_PASSWORD=CANARY", "/bin/page"}, []string{"/bin/env", "DB_PASSWORD=" + hidden, "/bin/page"}},
		{[]string{"/usr/bin/curl", "-u", "bob:CANARY", "https://example.org"}, []string{"/usr/bin/curl", "-u", hidden, "https://example.org"}},
		{[]string{"/usr/bin/curl", "-H", "Authorization: Bearer CANARY"}, []string{"/usr/bin/curl", "-H", "Authorization: Bearer " + hidden}},
		{[]string{"/bin/sh", "-c", "mysql -u root -pCANARY shop"}, []string{"/bin/sh", "-c", "mysql -u root -p" + hidden + " shop"}},
		{[]string{"/bin/page", "--token", "CANARY token=CANARY"}, []string{"/bin/page", "--token", hidden}},
	} {
		if got := maskCommand(tt.in); !slices.Equal(got, tt.want) {
			t.Errorf("maskCommand(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
