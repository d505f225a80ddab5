package lane

import (
	"hash/maphash"
	"sync"
	"time"

	"gateagent/agent/gate"
)

// A card held in view is one scan: what follows knows which codes were in view
// lately, and which scan waits for the loop.

// slot hands the newest scan from the reader to the loop.
type slot struct {
	ready chan struct{} // there may be a scan
	seed  maphash.Seed  // makes hashes of payloads worthless elsewhere

	mu        sync.Mutex // guards all following fields
	sightings sightings
	scan      gate.Scan
	hash      uint64 // of the payload of a readable scan
	full      bool
}

func (s *slot) init(repeat time.Duration) {
	s.ready = make(chan struct{}, 1)
	s.seed = maphash.MakeSeed()
	s.sightings.window = repeat
}

type putResult int

const (
	putNew      putResult = iota
	putRepeat             // the code is held in view
	putReplaced           // one scan, this or the one that waited, is dropped
)

// put takes a scan. One that still waits gives way to a newer one, but never
// to one that is unreadable.
func (s *slot) put(scan gate.Scan) putResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	result := putNew
	if s.full {
		result = putReplaced
	}
	if scan.Unreadable {
		if s.full {
			return result
		}
	} else {
		hash := s.hashOf(scan.Payload)
		if s.sightings.repeated(hash, scan.Seen) {
			clear(scan.Payload)
			return putRepeat
		}
		if s.full && !s.scan.Unreadable {
			// It was never decided, so it is no repeat when seen again.
			s.sightings.forget(s.hash)
		}
		s.hash = hash
	}
	clear(s.scan.Payload)
	s.scan, s.full = scan, true
	select {
	case s.ready <- struct{}{}:
	default: // the loop has been told already
	}
	return result
}

// hashOf gives what a payload is known by.
func (s *slot) hashOf(payload []byte) uint64 { return maphash.Bytes(s.seed, payload) }

// again has a code read once more although it is in view still.
func (s *slot) again(hash uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sightings.forget(hash)
}

func (s *slot) take() (gate.Scan, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	scan, full := s.scan, s.full
	s.scan, s.full = gate.Scan{}, false
	return scan, full
}

// maxSightings is how many codes are remembered at once: more than can be held
// before one lens.
const maxSightings = 16

// sightings remembers which codes were in view lately.
type sightings struct {
	window time.Duration
	at     [maxSightings]struct {
		hash uint64
		last time.Time // zero: free
	}
}

// repeated says whether the code was in view within the window before at, and
// notes that it is in view now: while it is held, the window moves on.
func (s *sightings) repeated(hash uint64, at time.Time) bool {
	oldest := 0
	for i := range s.at {
		one := &s.at[i]
		if one.hash == hash && !one.last.IsZero() {
			recent := at.Sub(one.last) <= s.window
			if at.After(one.last) {
				one.last = at
			}
			return recent
		}
		if one.last.Before(s.at[oldest].last) {
			oldest = i
		}
	}
	s.at[oldest].hash, s.at[oldest].last = hash, at
	return false
}

// forget makes a code new again.
func (s *sightings) forget(hash uint64) {
	for i := range s.at {
		if s.at[i].hash == hash {
			s.at[i].last = time.Time{}
		}
	}
}
