package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// insideWarning warns of a URL that leads into the own network by a literal address:
// whoever may write the configuration, and not reach that network, could have alerts
// posted there. It says nothing of this machine, where an Alertmanager may well be,
// and asks no DNS. what names the URL; "" is returned where there is nothing to say.
func InsideWarning(what, raw string) string {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return ""
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return ""
	}
	kind := ""
	switch ip = ip.Unmap().WithZone(""); {
	case ip.IsLinkLocalUnicast():
		kind = "a link-local address, where a cloud answers with the machine's own credentials"
	case ip.IsPrivate(), sharedSpace.Contains(ip):
		kind = "an address of a private network"
	case ip.IsUnspecified(), ip.IsMulticast():
		kind = "no address of one machine"
	default:
		return ""
	}
	return fmt.Sprintf("%s leads to %s, %s: make sure that it is meant, or write the receiver's name", what, ip, kind)
}

// sharedSpace is what providers use for their own networks (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")
