package opticalscan

import (
	"cmp"
	"slices"
	"time"
)

// Stats are the figures of a scanner since it was started.
type Stats struct {
	Since      time.Time // when the scanner was started
	Frames     uint64    // frames read
	Dropped    uint64    // frames the camera dropped for newer ones, where it counts them
	Codes      uint64    // codes read, every repeat counted
	Unreadable uint64    // appearances reported as unreadable
	Replaced   uint64    // scans that newer ones replaced before they were taken
	Faults     uint64    // frames on which the reader failed
	// LastFrame is when the newest frame was handed over; zero before the first.
	LastFrame time.Time
	// Decode times of the last frames, at most 512; zero before the first.
	DecodeP50, DecodeP99 time.Duration
	// Stale is true when the picture is older than [Options.StaleAfter].
	Stale bool
}

// PictureAge is how old the newest frame is, counted from the start before the
// first.
func (s Stats) PictureAge(now time.Time) time.Duration {
	if s.LastFrame.IsZero() {
		return now.Sub(s.Since)
	}
	return now.Sub(s.LastFrame)
}

// Stats gives the figures as they stand.
func (s *Scanner) Stats() Stats {
	s.mu.Lock()
	st := s.stats
	sorted := s.took.sorted()
	s.mu.Unlock()
	st.DecodeP50, st.DecodeP99 = quantile(sorted, 50), quantile(sorted, 99)
	st.Stale = st.PictureAge(time.Now()) > s.options.StaleAfter
	if d, ok := s.camera.(dropper); ok {
		st.Dropped = d.Dropped()
	}
	return st
}

// ring holds the newest durations.
type ring struct {
	d    []time.Duration
	next int
}

const ringSize = 512

func (r *ring) add(d time.Duration) {
	if len(r.d) < ringSize {
		r.d = append(r.d, d)
		return
	}
	r.d[r.next] = d
	r.next = (r.next + 1) % ringSize
}

func (r *ring) sorted() []time.Duration {
	return slices.SortedFunc(slices.Values(r.d), cmp.Compare[time.Duration])
}

// quantile gives the smallest value that percent of the sorted ones do not
// exceed; zero of none.
func quantile(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*percent+99)/100-1]
}
