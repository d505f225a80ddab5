// Package feed hands the decisions of all lanes to whoever watches them live:
// the status page, `gateagent status`, the demo.
//
// It owns the last few decisions and the list of watchers, both in memory
// only. It never slows a lane: a watcher that does not keep up loses its
// subscription and is told so. Decisions carry pseudonyms at most, never a
// name, a number or a payload.
package feed

import (
	"sync"
	"time"

	"gateagent/agent/gate"
)

// Decision is one entry and what followed it.
type Decision struct {
	Epoch      string // of the journal, 16 hexadecimal digits
	Seq        uint64 // of the entry; 0 when the journal did not take it in time
	Time       time.Time
	Lane       string
	Direction  gate.Direction
	Verdict    gate.Verdict
	Class      gate.Class
	Reasons    []gate.Reason
	Credential gate.CredentialKind
	Subject    string // 16 hexadecimal digits, or empty
	Policy     gate.PolicyRef
	Clock      gate.ClockLevel
	Opened     bool
	Late       bool   // the record was not durable within record.wait
	RelayFault string // a code, empty when the relay obeyed
	// VI and EN are the sentence for the person.
	VI, EN string
	// Needs says what the second half of a two-step scan has to be: "card",
	// "passport"; empty: there is none.
	Needs string
	// Took is the time from the frame (or last byte) handed over to the relay
	// told, or to the verdict shown where nothing opens; the others are parts
	// of it.
	Took, Decode, Lookup, Decide, Record time.Duration
}

// Feed keeps the newest decisions and passes each to all watchers. It is safe
// for concurrent use.
type Feed struct {
	mu       sync.Mutex // guards all following fields
	recent   []Decision // ring, oldest at next once full
	next     int
	keep     int
	watchers map[*Watch]struct{}
}

// New makes a feed that remembers the last keep decisions.
func New(keep int) *Feed {
	return &Feed{keep: max(keep, 1), watchers: make(map[*Watch]struct{})}
}

// Publish passes on one decision. It never blocks.
func (f *Feed) Publish(d Decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.recent) < f.keep {
		f.recent = append(f.recent, d)
	} else {
		f.recent[f.next] = d
		f.next = (f.next + 1) % f.keep
	}
	for w := range f.watchers {
		select {
		case w.c <- d:
		default:
			w.slow = true
			f.drop(w)
		}
	}
}

// Recent gives the remembered decisions, newest first.
func (f *Feed) Recent() []Decision {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]Decision, 0, len(f.recent))
	for i := range len(f.recent) {
		// next is the oldest, so next-1 is the newest.
		out = append(out, f.recent[(f.next-1-i+2*len(f.recent))%len(f.recent)])
	}
	return out
}

// Watch is a subscription to decisions from now on.
type Watch struct {
	feed *Feed
	c    chan Decision
	slow bool // guarded by feed.mu
}

// Watch subscribes. buffer is how many decisions may wait before the watcher
// counts as too slow. The caller must call [Watch.Close].
func (f *Feed) Watch(buffer int) *Watch {
	w := &Watch{feed: f, c: make(chan Decision, max(buffer, 1))}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[w] = struct{}{}
	return w
}

// C gives the decisions. It is closed after Close, or when the watcher was
// too slow.
func (w *Watch) C() <-chan Decision { return w.c }

// Slow says whether the subscription ended because the watcher did not keep up.
func (w *Watch) Slow() bool {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	return w.slow
}

// Close ends the subscription; a second call does nothing.
func (w *Watch) Close() {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	w.feed.drop(w)
}

// drop closes a watcher once. mu is held.
func (f *Feed) drop(w *Watch) {
	if _, ok := f.watchers[w]; ok {
		delete(f.watchers, w)
		close(w.c)
	}
}
