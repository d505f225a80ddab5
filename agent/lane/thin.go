package lane

import (
	"time"

	"gateagent/agent/gate"
)

// Scans that name nobody are recorded singly until they come as a flood: so
// many at once, and then one in so long, each standing for those between.
const (
	thinBurst = 30
	thinEvery = time.Second
	// thinQuiet is how long a flood has to be over for its last scans to be
	// recorded without waiting for the next.
	thinQuiet = 5 * time.Second
)

// The two kinds of scans that are thinned, each by itself.
const (
	thinUnreadable = iota
	thinUnsupported
	numThinned
)

// thinner is a bucket of entries that may be written; it fills by one every
// thinEvery.
type thinner struct {
	used int       // entries taken out
	at   time.Time // as of
	// dropped scans are waiting to be counted by the next entry; last is the
	// newest of them, at when.
	dropped uint32
	last    gate.Entry
	when    time.Time
}

// worthRecording says whether a RETRY is written by itself, and then gives it
// the count of those that were not.
func (l *Lane) worthRecording(e *gate.Entry) bool {
	t := &l.thinners[thinUnsupported]
	if e.Credential == gate.KindUnreadable {
		t = &l.thinners[thinUnreadable]
	}
	now := time.Now()
	if t.take(now) {
		e.Count = t.counted(1)
		return true
	}
	t.dropped++
	t.last, t.when = *e, now
	l.stats.count(func(s *Stats) { s.Thinned++ })
	return false
}

// take takes an entry out of the bucket.
func (t *thinner) take(now time.Time) bool {
	if back := int(min(now.Sub(t.at)/thinEvery, thinBurst)); back > 0 {
		t.used = max(0, t.used-back)
		t.at = t.at.Add(time.Duration(back) * thinEvery)
	}
	if t.used == 0 {
		t.at = now
	}
	if t.used >= thinBurst {
		return false
	}
	t.used++
	return true
}

// counted gives how many scans an entry stands for, its own included; 0 when
// that is no more than one.
func (t *thinner) counted(own uint32) uint32 {
	n := t.dropped + own
	t.dropped, t.last = 0, gate.Entry{}
	if n <= 1 {
		return 0
	}
	return n
}

// flushThinned records the end of a flood, or all that is left over.
func (l *Lane) flushThinned(now time.Time, all bool) {
	for i := range l.thinners {
		t := &l.thinners[i]
		if t.dropped == 0 || !all && now.Sub(t.when) < thinQuiet || l.backlog.Load() >= maxBacklog {
			continue
		}
		e := t.last
		e.Count = t.counted(0)
		l.hand(record{receipt: l.o.Journal.Append(e), handed: now, entry: true})
	}
}
