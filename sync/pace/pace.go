// Package pace spreads bytes over time, so that a line or a broker is not
// filled by one who has much to move. It owns when the next may begin, and no
// bytes.
package pace

import (
	"context"
	"sync"
	"time"
)

// Pacer holds its callers to a rate, all of them together. It is for use by
// several goroutines.
type Pacer struct {
	rate int64 // bytes a second; 0: unbounded

	mu   sync.Mutex
	next time.Time // when the next may begin
}

// New makes a Pacer of rate bytes a second; 0 or less: unbounded.
func New(rate int64) *Pacer { return &Pacer{rate: rate} }

// Wait waits until size bytes may begin to move. It gives the cause of ctx when
// that ends first; the bytes count all the same.
func (p *Pacer) Wait(ctx context.Context, size int) error {
	if p.rate <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	left := p.reserve(size)
	if left <= 0 {
		return nil
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reserve takes the next size bytes and says how long it is until their turn.
func (p *Pacer) reserve(size int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(time.Duration(float64(size) / float64(p.rate) * float64(time.Second)))
	return at.Sub(now)
}
