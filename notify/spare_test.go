package notify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/oomwatch/oomwatch/incident"
)

// letters is a Notifier that notes the id and the sense of what it is told.
type letters struct {
	got   []string
	fails bool
}

func (l *letters) Notify(_ context.Context, a incident.Alert) error {
	word := "begins"
	if a.Incident.Over() {
		word = "over"
	}
	if a.Update {
		word += " update"
	}
	l.got = append(l.got, word+" "+a.DeliveryID)
	if l.fails {
		return errors.New("connection refused")
	}
	return nil
}

// TestAnUpdateFromMemory: an update that cannot be kept is told as one, under an id
// of its own, once; and what waits in memory tells the news itself.
func TestAnUpdateFromMemory(t *testing.T) {
	first, second := incident.DeliveryID("w1", "hook"), incident.UpdateID("w1", 1, "hook")
	begins, ends := warned(1, 0, time.Now()).Incident, warned(1, 1, time.Now()).Incident
	had := func(state incident.DeliveryState) func() map[string]incident.Word {
		return func() map[string]incident.Word {
			return map[string]incident.Word{"hook": {News: begins.News(), Outcome: incident.Outcome{State: state}}}
		}
	}
	nobody := func() map[string]incident.Word { return map[string]incident.Word{} }
	for name, tt := range map[string]struct {
		first []Unkept // while the receiver is out of reach
		then  []Unkept
		want  []string
	}{
		"the first was kept": {nil, []Unkept{{ends, nil, true, had(incident.Delivered)}}, []string{"over update " + second}},
		"it is on its way":   {nil, []Unkept{{ends, nil, true, had(incident.Pending)}}, nil},
		"it is known":        {nil, []Unkept{{begins, []string{"hook"}, false, had(incident.Delivered)}}, nil},
		"nobody was told":    {nil, []Unkept{{ends, nil, true, nobody}}, nil},
		"neither was kept":   {nil, []Unkept{{begins, []string{"hook"}, false, nobody}, {ends, []string{"hook"}, true, nobody}}, []string{"begins " + first, "over update " + second}},
		"the first was tried": {[]Unkept{{begins, []string{"hook"}, false, nobody}}, []Unkept{{ends, nil, true, nobody}},
			[]string{"begins " + first, "over " + incident.DeliveryID(first+" "+second, "hook")}}, // they wait together
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &letters{fails: true}
			o, end := run(t, &memQueue{}, GroupOptions{}, Receiver{Name: "hook", Notifier: l})
			defer end()
			offer := func(list []Unkept) {
				for _, u := range list {
					o.Spare(u)
					time.Sleep(time.Second)
					o.Spare(u) // it is offered again and again
					synctest.Wait()
				}
			}
			offer(tt.first)
			l.fails = false
			offer(tt.then)
			time.Sleep(time.Minute)
			synctest.Wait()
			if !slices.Equal(l.got, tt.want) {
				t.Errorf("%s: told\n%s\nwant\n%s", name, strings.Join(l.got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestMemoryIsBroughtUpToDate: what has not gone out is one message, with the newest;
// what was on its way is followed by the news.
func TestMemoryIsBroughtUpToDate(t *testing.T) {
	for _, onItsWay := range []bool{false, true} {
		s := newSpare(&memQueue{})
		now := time.Now()
		begins, ends := warned(1, 0, now).Incident, warned(1, 1, now).Incident
		s.add(Unkept{Incident: begins, Receivers: []string{"hook"}}, now)
		was, err := s.Due(t.Context(), "hook", now, 10)
		if err != nil {
			t.Fatal(err)
		}
		s.add(Unkept{Incident: ends, Receivers: []string{"hook"}, Update: true}, now)
		if onItsWay {
			if err := s.Settle(t.Context(), incident.Outcome{State: incident.Delivered, At: now}, was...); err != nil {
				t.Fatal(err)
			}
		}
		due, err := s.Due(t.Context(), "hook", now, 10)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range due {
			got = append(got, fmt.Sprint(d.Rev, d.Incident.Over()))
		}
		want := "[0 true]"
		if onItsWay {
			want = "[1 true]"
		}
		if fmt.Sprint(got) != want {
			t.Errorf("on its way %t: due %v, want %s", onItsWay, got, want)
		}
	}
}
