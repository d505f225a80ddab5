package lane

import (
	"maps"
	"slices"
	"sync"
	"time"

	"gateagent/agent/gate"
)

// ScannerState is what a lane's scanner is doing.
type ScannerState uint8

// The states of a scanner.
const (
	ScannerOpening ScannerState = iota // not open yet
	ScannerOpen
	ScannerGone  // failed; opened again after a pause
	ScannerEnded // its source has come to its end
)

var scannerStateNames = [...]string{"opening", "open", "gone", "ended"}

func (s ScannerState) String() string {
	if int(s) < len(scannerStateNames) {
		return scannerStateNames[s]
	}
	return "invalid"
}

// Stats is what a lane has done since it was made, and how it is.
type Stats struct {
	// Decisions counts scans by verdict; LastScan is when the newest was
	// decided, by the lane's clock.
	Decisions map[gate.Verdict]uint64
	LastScan  time.Time
	// Repeats counts scans ignored because the code was held in view, Replaced
	// those that gave way to a newer one while the lane was busy, Thinned
	// those that stand in the count of another entry.
	Repeats, Replaced, Thinned uint64
	// Opened counts openings, RelayFaults those that the relay refused;
	// RelayErr is its last word, nil when it obeyed.
	Opened, RelayFaults uint64
	RelayErr            error
	// Late counts entries not durable in time, Backlog those that still are
	// not, Lost the records that never will be.
	Late, Lost uint64
	Backlog    int

	// Fault is the code of what keeps the lane from working as it should,
	// empty when nothing does; FaultErr says more. Holding: the gate is held
	// open because of it.
	Fault      gate.Reason
	FaultErr   error
	FaultSince time.Time
	Holding    bool

	// Scanner since when; ScannerErr is why it is gone; ScannerLost counts how
	// often an open one was lost.
	Scanner      ScannerState
	ScannerSince time.Time
	ScannerErr   error
	ScannerLost  uint64

	// Took is the time from frame to relay or verdict; the others its parts.
	Took, Decode, Lookup, Decide, Record Histogram
}

func (s *Stats) setFaults(f faults) {
	code, err := gate.Reason(""), error(nil)
	switch {
	case f.record != nil:
		code, err = gate.ReasonRecordFault, f.record
	case f.store != nil:
		code, err = gate.ReasonStoreFault, f.store
	}
	if s.Fault != code {
		s.FaultSince = time.Now()
	}
	s.Fault, s.FaultErr, s.Holding = code, err, f.holding
}

// histogramBounds are the upper bounds of the buckets; one more bucket holds
// what is slower.
var histogramBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond,
}

// Histogram counts durations by size.
type Histogram struct {
	Counts [len(histogramBounds) + 1]uint64
	N      uint64
	Sum    time.Duration
	Max    time.Duration
}

// HistogramBounds gives the upper bound of each bucket but the last, which has
// none.
func HistogramBounds() []time.Duration { return slices.Clone(histogramBounds[:]) }

func (h *Histogram) add(d time.Duration) {
	i, _ := slices.BinarySearch(histogramBounds[:], d)
	h.Counts[i]++
	h.N++
	h.Sum += d
	h.Max = max(h.Max, d)
}

// Quantile gives a bound that the share q of all durations does not exceed,
// with 0 < q <= 1; 0 when there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	need := q * float64(h.N)
	var n uint64
	for i, c := range h.Counts {
		if n += c; n > 0 && float64(n) >= need {
			if i == len(histogramBounds) {
				break
			}
			return min(histogramBounds[i], h.Max)
		}
	}
	return h.Max
}

// statsKeeper guards a Stats.
type statsKeeper struct {
	mu sync.Mutex
	s  Stats
}

func (k *statsKeeper) init() {
	k.s.Decisions = make(map[gate.Verdict]uint64, len(gate.Verdicts()))
	k.s.ScannerSince = time.Now()
}

func (k *statsKeeper) count(f func(*Stats)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(&k.s)
}

// scanner notes a state; true when it is a new one.
func (k *statsKeeper) scanner(state ScannerState, err error) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.s
	changed := s.Scanner != state
	if changed {
		s.ScannerSince = time.Now()
		if s.Scanner == ScannerOpen && state == ScannerGone {
			s.ScannerLost++
		}
	}
	s.Scanner, s.ScannerErr = state, err
	return changed
}

// took notes the times of one scan.
func (k *statsKeeper) took(o *Outcome) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := &k.s
	s.Took.add(o.Took)
	s.Decide.add(o.Entry.Decide)
	if o.Entry.Decode > 0 {
		s.Decode.add(o.Entry.Decode)
	}
	if o.Entry.Lookup > 0 {
		s.Lookup.add(o.Entry.Lookup)
	}
	if !o.Thinned && (o.Record > 0 || o.Seq != 0) {
		s.Record.add(o.Record)
	}
}

// Stats gives a copy of the figures.
func (l *Lane) Stats() Stats {
	l.stats.mu.Lock()
	defer l.stats.mu.Unlock()
	s := l.stats.s
	s.Decisions = maps.Clone(s.Decisions)
	s.Backlog = int(l.backlog.Load())
	return s
}
