package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestSettings: whatever a receiver is made with makes it another one when it is
// changed; its name, what it is told of, and whether a value came from a file do not.
func TestSettings(t *testing.T) {
	same := []string{"Name", "URLFile", "URLEnv", "SecretFile", "SecretEnv", "TokenFile", "TokenEnv", "PasswordFile", "PasswordEnv", "TemplateFile",
		"Causes", "Kinds", "MinSeverity", "Containers", "Labels", "Projects", "Hosts", "Default"}
	plain := (&Receiver{}).settings()
	for i := range reflect.TypeFor[Receiver]().NumField() {
		var c Receiver
		f := reflect.ValueOf(&c).Elem().Field(i)
		switch f.Kind() {
		case reflect.String:
			f.SetString("changed-c4nary")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		default:
			f.SetInt(1)
		}
		name := reflect.TypeOf(c).Field(i).Name
		if got := c.settings(); (got == plain) != slices.Contains(same, name) || strings.Contains(got, "c4nary") {
			t.Errorf("%s changed: %q against %q", name, got, plain)
		}
	}
}
