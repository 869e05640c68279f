package incident

import (
	"net/url"
	"strings"
)

// PageURL is the address of an incident's page below the configuration's external_url;
// "" without one, and for an incident without an id.
func PageURL(external, id string) string {
	if external == "" || id == "" {
		return ""
	}
	return strings.TrimRight(external, "/") + "/incident/" + url.PathEscape(id)
}

// Linked sets the addresses of the pages that a digest is about.
func (d *Digest) Linked(external string) *Digest {
	if external == "" {
		return d
	}
	d.URL = strings.TrimRight(external, "/") + "/"
	for i := range d.Incidents {
		d.Incidents[i].URL = PageURL(external, d.Incidents[i].ID)
	}
	return d
}
