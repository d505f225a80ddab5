package supervise

import (
	"math/rand/v2"
	"time"
)

// Backoff gives growing pauses between attempts: from Min, doubling, to Max,
// each with up to a quarter less or more, so that a thousand boxes that lost
// the same broker do not come back in one instant. It is for one goroutine.
type Backoff struct {
	Min, Max time.Duration

	next time.Duration
}

// Next gives the pause before the next attempt, never more than Max.
func (b *Backoff) Next() time.Duration {
	if b.next < b.Min {
		b.next = b.Min
	}
	d := min(b.next, b.Max)
	b.next = min(2*d, b.Max)
	return min(d*3/4+rand.N(d/2+1), b.Max)
}

// Reset begins again at Min.
func (b *Backoff) Reset() { b.next = 0 }
