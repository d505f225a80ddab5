package lane

import (
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 {
		t.Errorf("the median of nothing is %v", h.Quantile(0.5))
	}
	for range 98 {
		h.add(3 * time.Millisecond)
	}
	h.add(40 * time.Millisecond)
	h.add(9 * time.Second)
	for q, want := range map[float64]time.Duration{
		0.5: 5 * time.Millisecond, 0.98: 5 * time.Millisecond, 0.99: 50 * time.Millisecond, 1: 9 * time.Second,
	} {
		if got := h.Quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if h.N != 100 || h.Max != 9*time.Second || h.Sum != 98*3*time.Millisecond+9040*time.Millisecond {
		t.Errorf("%+v", h)
	}
	h = Histogram{}
	h.add(time.Millisecond)
	if h.Counts[3] != 1 || h.Quantile(0.5) != time.Millisecond {
		t.Errorf("a bound belongs to its bucket: %+v", h.Counts)
	}
}

// TestSightingsAreBounded: more codes at once than are remembered forget the
// one that was seen longest ago, and nothing else.
func TestSightingsAreBounded(t *testing.T) {
	s := sightings{window: 3 * time.Second}
	at := time.Now()
	for i := range uint64(maxSightings + 1) {
		if s.repeated(i, at.Add(time.Duration(i)*time.Millisecond)) {
			t.Errorf("code %d is no repeat", i)
		}
	}
	at = at.Add(time.Second)
	for i := uint64(1); i <= maxSightings; i++ {
		if !s.repeated(i, at) {
			t.Errorf("code %d was forgotten", i)
		}
	}
	if s.repeated(0, at) {
		t.Error("the oldest code was remembered")
	}
	// A picture that comes out of turn does not shorten the window.
	s.repeated(0, at.Add(-10*time.Second))
	if !s.repeated(0, at.Add(3*time.Second)) {
		t.Error("a late picture cut the window")
	}
}
