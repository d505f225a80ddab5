package mqttlink

import (
	"math/rand/v2"
	"time"
)

// backoff spaces the attempts to connect: at least floor (a cluster may refuse
// the same client id within a second), at most ceiling, in between at random
// over the whole span, so that thousands of boxes do not come back in step.
type backoff struct {
	floor, ceiling time.Duration
	tries          int
}

func newBackoff() *backoff { return &backoff{floor: time.Second, ceiling: 10 * time.Second} }

// next gives the wait before the next attempt.
func (b *backoff) next() time.Duration {
	top := b.ceiling
	if b.tries < 8 {
		top = min(top, b.floor<<(b.tries+1))
		b.tries++
	}
	return b.floor + jitter(top-b.floor)
}

// reset is called after a session that lasted.
func (b *backoff) reset() { b.tries = 0 }

// jitter gives a random duration in [0, d).
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
