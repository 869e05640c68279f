package daemon

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/oomwatch/oomwatch/config"
)

// reloaded are the keys that a running daemon takes up. Where the heartbeat's URL comes
// from is no matter: what was read there is compared.
var reloaded = []string{"receivers", "warnings", "audit.ignore", "alerts.info", "alerts.heartbeat_url_file", "alerts.heartbeat_url_env", "log.level"}

// TestEachKeyIsTakenUpOrNamed changes every key of the configuration, one at a time.
func TestEachKeyIsTakenUpOrNamed(t *testing.T) {
	keys := 0
	eachKey(reflect.ValueOf(config.Default()).Elem(), "", func(key string, at []int) {
		if slices.Contains(reloaded, key) || slices.Contains(reloaded, strings.Split(key, ".")[0]) {
			return
		}
		keys++
		changed := config.Default()
		alter(t, reflect.ValueOf(changed).Elem().FieldByIndex(at))
		named := needRestart(config.Default(), changed)
		if len(named) != 1 || key != named[0] && !strings.HasPrefix(key, named[0]+".") {
			t.Errorf("%s is changed, and these are named: %q", key, named)
		}
	})
	if keys < 20 {
		t.Errorf("%d keys", keys)
	}
}

// eachKey calls f for each value of a configuration with its key.
func eachKey(v reflect.Value, under string, f func(key string, at []int)) {
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if v.Field(i).Kind() != reflect.Struct {
			f(under+name, []int{i})
			continue
		}
		eachKey(v.Field(i), under+name+".", func(key string, at []int) { f(key, append([]int{i}, at...)) })
	}
}

func alter(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	default:
		t.Fatalf("a value of kind %s", v.Kind())
	}
}
