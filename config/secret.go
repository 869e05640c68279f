package config

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
)

// secret is a text that never prints itself.
type Secret string

func (s *Secret) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return errors.New("it is empty")
	}
	*s = Secret(b)
	return nil
}

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString and MarshalText hold the same against %#v and encoders.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// exposed warns where everybody may read a configuration that holds secrets itself.
func exposed(path string, cfg *Config) []string {
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm()&0o004 == 0 || !holdsSecret(reflect.ValueOf(cfg).Elem()) {
		return nil
	}
	return []string{fmt.Sprintf("%s holds secrets and everybody can read it (mode %04o): chmod 640 %s, or give each secret in a file of its own", path, st.Mode().Perm(), path)}
}

// holdsSecret is true where a part of a configuration is a secret.
func holdsSecret(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String:
		return v.Type() == reflect.TypeFor[Secret]() && v.Len() > 0
	case reflect.Pointer:
		return !v.IsNil() && holdsSecret(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if holdsSecret(v.Field(i)) {
				return true
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if holdsSecret(v.Index(i)) {
				return true
			}
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if holdsSecret(v.MapIndex(k)) {
				return true
			}
		}
	}
	return false
}

// readSecret returns the secret that was given directly, or reads it from a
// file or the environment. No error holds any of it.
func readSecret(direct Secret, file, env string) (s Secret, warning string, err error) {
	switch {
	case file != "":
		st, err := os.Stat(file)
		if err != nil {
			return "", "", fmt.Errorf("%w; put the secret into that file, readable for this user", err)
		}
		b, err := readFile(file, maxSecret)
		if err != nil {
			return "", "", fmt.Errorf("%w; put the secret into that file, readable for this user", err)
		}
		s = Secret(strings.TrimSpace(string(b)))
		if s == "" {
			return "", "", fmt.Errorf("%s is empty", file)
		}
		if st.Mode().Perm()&0o077 != 0 {
			warning = fmt.Sprintf("%s can be read by others (mode %04o): chmod 600 %s", file, st.Mode().Perm(), file)
		}
		return s, warning, nil
	case env != "":
		s = Secret(strings.TrimSpace(os.Getenv(env)))
		if s == "" {
			return "", "", fmt.Errorf("the environment variable %s is not set", env)
		}
		return s, "", nil
	}
	return direct, "", nil
}
