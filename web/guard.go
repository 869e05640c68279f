package web

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard lets only reading requests through, and those that change something to posts
// where that is not nil; it marks every answer as nothing that a browser may embed, guess
// the type of, or keep.
func guard(next, posts http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		if r.Method == http.MethodPost && posts != nil {
			posts.ServeHTTP(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET is answered here", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostGuard refuses requests whose Host header is a name that a stranger's DNS
// could have pointed at this address (DNS rebinding: a page in a browser on this
// machine would otherwise read the answers). Addresses, localhost, names
// without a dot, and the allowed names pass.
func hostGuard(allowed []string, next http.Handler) http.Handler {
	names := make(map[string]bool, len(allowed))
	for _, n := range allowed {
		names[normalHost(n)] = true
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(r.Host, names) {
			http.Error(w, "the page does not answer to this host name; use the address, or add the name to allowed_hosts in the configuration", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hostAllowed(host string, names map[string]bool) bool {
	h := normalHost(host)
	if h == "" {
		return false
	}
	if _, err := netip.ParseAddr(h); err == nil {
		return true
	}
	return h == "localhost" || strings.HasSuffix(h, ".localhost") || names[h] || !strings.Contains(h, ".")
}

// normalHost is a Host header without port, brackets, final dot and case.
func normalHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
