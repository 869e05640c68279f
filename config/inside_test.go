package config

import (
	"strings"
	"testing"
)

func TestConfigWarnsOfInsideAddresses(t *testing.T) {
	for host, want := range map[string]string{
		"169.254.169.254": "link-local", "[fe80::1%25eth0]": "link-local", "[::ffff:169.254.169.254]:80": "link-local",
		"10.0.0.7:9093": "private", "172.16.0.1": "private", "192.168.1.1": "private", "[fd00:ec2::254]": "private", "100.64.0.1": "private",
		"0.0.0.0": "no address of one machine", "[ff02::1]": "no address of one machine",
		"127.0.0.1:9093": "", "[::1]:9093": "", "localhost": "", "alerts.example.org": "", "192.0.2.1": "", "[2001:db8::1]": "",
	} {
		src := "receivers: [{name: a, type: webhook, url: 'https://" + host + "/CANARY'}]\nalerts: {heartbeat_url: 'https://" + host + "/CANARY'}\n"
		_, warnings, err := Load(writeFile(t, "c.yaml", src, 0o600))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if want == "" {
			if len(warnings) != 0 {
				t.Errorf("%s: warned of: %q", host, warnings)
			}
			continue
		}
		if len(warnings) != 2 || !strings.Contains(warnings[0], `receiver "a"`) || !strings.Contains(warnings[1], "alerts.heartbeat_url") {
			t.Errorf("%s: warnings: %q", host, warnings)
			continue
		}
		for _, w := range warnings {
			if !strings.Contains(w, want) || strings.Contains(w, "CANARY") {
				t.Errorf("%s: %q, want %q in it", host, w, want)
			}
		}
	}
}
