package config

import (
	"errors"
	"fmt"
	"os"
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

// readSecret returns the secret that was given directly, or reads it from a
// file or the environment. No error holds any of it.
func readSecret(direct Secret, file, env string) (s Secret, warning string, err error) {
	switch {
	case file != "":
		st, err := os.Stat(file)
		if err != nil {
			return "", "", err
		}
		b, err := readFile(file, maxSecret)
		if err != nil {
			return "", "", err
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
