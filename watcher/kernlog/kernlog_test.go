package kernlog

import (
	"testing"
	"time"

	"github.com/oomwatch/oomwatch/kmsg"
)

func TestPositionSurvivesRestart(t *testing.T) {
	for text, want := range map[string]kmsg.Position{
		"b-1:17":         {BootID: "b-1", Seq: 17}, // of a version without stamps
		"b-1:17:2000001": {BootID: "b-1", Seq: 17, Uptime: 2*time.Second + time.Microsecond},
		"b-1:0:2000001":  {BootID: "b-1", Uptime: 2*time.Second + time.Microsecond},
	} {
		got, err := ParsePosition(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
		if again, err := ParsePosition(FormatPosition(got)); err != nil || again != got {
			t.Errorf("%s: written and read %+v, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "b-1", "b-1:", "b-1:x", "b-1:1:", "b-1:1:x"} {
		if got, err := ParsePosition(text); err == nil {
			t.Errorf("%q gives %+v", text, got)
		}
	}
}
