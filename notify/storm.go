package notify

import (
	"slices"
	"time"
)

const (
	// stormWindow is the stretch in which StormPerMinute counts.
	stormWindow = time.Minute
	// digestGather is how long what comes after the last lone alert is
	// gathered, digestEvery how far apart two digests are.
	digestGather = 5 * time.Second
	digestEvery  = 30 * time.Second
	// digestMost bounds the incidents of one digest.
	digestMost = 500
)

// storm decides which messages are told alone and which become a digest, by how
// many a receiver was told in the last minute.
type storm struct {
	perMinute int         // 0: no digests
	told      []time.Time // lone alerts of the last minute
	at        time.Time   // when what waits is told as a digest; zero when nothing waits
	last      time.Time   // the last digest
}

// sort returns what is told now, in order. What it leaves out stays in the queue
// until s.at, unless there is room for it before. all is what is due; hurry is
// true when there is no later.
func (s *storm) sort(all []message, now time.Time, hurry bool) []message {
	if s.perMinute <= 0 || len(all) == 0 {
		return all
	}
	s.told = slices.DeleteFunc(s.told, func(t time.Time) bool { return now.Sub(t) >= stormWindow })
	room := max(s.perMinute-len(s.told), 0)
	if len(all) <= room {
		s.at = time.Time{}
		return all
	}
	if len(all) > s.perMinute {
		room = 0 // they came together and are told together
		if s.at.IsZero() {
			s.at = now
		}
	}
	if s.at.IsZero() {
		s.at = now.Add(digestGather)
	}
	if earliest := s.last.Add(digestEvery); !s.last.IsZero() && s.at.Before(earliest) {
		s.at = earliest
	}
	if now.Before(s.at) && !hurry {
		return all[:room]
	}
	s.at = time.Time{}
	out := slices.Clip(all[:room])
	rest := message{digest: true}
	for _, m := range all[room:] {
		rest.deliveries = append(rest.deliveries, m.deliveries...)
	}
	if len(rest.deliveries) == 1 {
		rest.digest = false
	}
	return append(out, rest)
}

// sent notes that a message was delivered.
func (s *storm) sent(m message, now time.Time) {
	if m.digest {
		s.last = now
	} else {
		s.told = append(s.told, now)
	}
}
