package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/oomwatch/oomwatch/notify/receiver"
)

// source is one of the ways in which a value can be given: by itself, in a file,
// or in the environment.
type source struct {
	key       string
	value     *Secret
	file, env string
}

func (r *Receiver) sources() []source {
	return []source{{"url", &r.URL, r.URLFile, r.URLEnv}, {"secret", &r.Secret, r.SecretFile, r.SecretEnv}, {"token", &r.Token, r.TokenFile, r.TokenEnv},
		{"password", &r.Password, r.PasswordFile, r.PasswordEnv}}
}

// by is the key that the value was given by, "" for none.
func (s source) by() string {
	switch {
	case s.file != "":
		return s.key + "_file"
	case s.env != "":
		return s.key + "_env"
	case *s.value != "":
		return s.key
	}
	return ""
}

// given are the keys of a receiver that have a value, each with its base: url_env's
// is url.
func (r *Receiver) given() (keys, bases []string) {
	v := reflect.ValueOf(*r)
	for i := range v.NumField() {
		if !v.Field(i).IsZero() {
			key := keyOf(v.Type().Field(i))
			base := key
			for _, way := range []string{"_file", "_env"} {
				if b, ok := strings.CutSuffix(key, way); ok && key != "ca_file" {
					base = b
				}
			}
			keys, bases = append(keys, key), append(bases, base)
		}
	}
	return keys, bases
}

// checkReceiver judges a receiver's keys together, reads what stands in files and
// in the environment, and makes it once.
func (d *document) checkReceiver(at string, r *Receiver) (warnings []string) {
	k := r.kind()
	keys, bases := r.given()
	good := true
	bad := func(at, text string) { good = false; d.problem(at, text) }
	mine := append(slices.Clone(k.needs), k.takes...)
	for i, key := range keys {
		if takenBySome(bases[i]) && !slices.Contains(mine, bases[i]) {
			bad(at+"."+key, fmt.Sprintf("a receiver of type %s takes no %s; of its own it takes %s", k.name, bases[i], orNothing(mine)))
		}
	}
	for _, s := range r.sources() {
		n := 0
		for _, b := range bases {
			if b == s.key {
				n++
			}
		}
		ways := fmt.Sprintf("%s, %s_file and %s_env", s.key, s.key, s.key)
		switch needed := slices.Contains(k.needs, s.key); {
		case needed && n != 1:
			bad(at, "give exactly one of "+ways)
		case n > 1:
			bad(at, "give at most one of "+ways)
		}
	}
	for _, need := range k.needs {
		if !slices.Contains(bases, need) && !slices.Contains([]string{"url", "secret", "token", "password"}, need) {
			bad(at, fmt.Sprintf("a receiver of type %s needs a %s", k.name, need))
		}
	}
	if r.Template != "" && r.TemplateFile != "" {
		bad(at, "give at most one of template and template_file")
	}
	if !good {
		return nil
	}
	for _, s := range r.sources() {
		v, warning, err := readSecret(*s.value, s.file, s.env)
		if err != nil {
			bad(at+"."+s.by(), err.Error())
			continue
		}
		*s.value = v
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	if r.TemplateFile != "" {
		b, err := readFile(r.TemplateFile, maxTemplate)
		if err != nil {
			bad(at+".template_file", err.Error())
		}
		r.Template = string(b)
	}
	if !good {
		return warnings
	}
	if _, err := newReceiver(r, io.Discard); err != nil {
		d.problem(r.blame(at, err), err.Error())
	}
	if w := InsideWarning(fmt.Sprintf("receiver %q", string(r.Name)), string(r.URL)); w != "" {
		warnings = append(warnings, w)
	}
	if r.Type == "syslog" && receiver.JournalBehind(r.Socket) {
		warnings = append(warnings, fmt.Sprintf("receiver %q: the systemd journal listens there and does not read RFC 5424: take the type journal", string(r.Name)))
	}
	return warnings
}

// blame is the place of the key that an error is about.
func (r *Receiver) blame(at string, err error) string {
	var option *receiver.BadOption
	if !errors.As(err, &option) {
		return at
	}
	for _, s := range r.sources() {
		if s.key == option.Key && s.by() != "" {
			return at + "." + s.by()
		}
	}
	if option.Key == "template" && r.TemplateFile != "" {
		return at + ".template_file"
	}
	return at + "." + option.Key
}

// takenBySome is true for a key that some types take and others do not.
func takenBySome(key string) bool {
	return slices.ContainsFunc(receiverKinds, func(k receiverKind) bool { return slices.Contains(k.needs, key) || slices.Contains(k.takes, key) })
}

func orNothing(keys []string) string {
	if len(keys) == 0 {
		return "nothing"
	}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	return List(slices.Compact(keys))
}

// checkEngines refuses an engine that is given twice: each of its deaths would be told twice.
func (d *document) checkEngines(c *Docker) {
	for i, host := range c.More {
		at := fmt.Sprintf("docker.more[%d]", i)
		if host == c.Host {
			d.problem(at, fmt.Sprintf("the engine %q is docker.host already: give each engine once", string(host)))
		} else if j := slices.Index(c.More, host); j < i {
			d.problem(at, fmt.Sprintf("the engine %q is docker.more[%d] already: give each engine once", string(host), j))
		}
	}
}
