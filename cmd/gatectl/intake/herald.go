package intake

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gateagent/sync/wire"
)

// The times of a herald.
const (
	announceWithin = 10 * time.Second // bounds one announcement
	// announceGap lies between two announcements of one connection: each has
	// every gate send what is not acknowledged.
	announceGap = 30 * time.Second
)

// announcer publishes that central is there.
type announcer interface {
	Online(ctx context.Context) error
}

// herald keeps central/state true while central is there: it announces it after
// each connect, again when that failed, and again when the topic says that
// central is away. The last will of an earlier run says so: a machine that lost
// its power is noticed by the broker a minute later, when its successor has
// long been announced.
type herald struct {
	c    announcer
	log  *slog.Logger
	wake chan struct{} // holds one token

	mu       sync.Mutex // guards all following
	due      time.Time  // of the next announcement; zero: none
	last     time.Time  // of the last one that was taken in this connection; zero: none
	stranger string     // another central that was reported
}

func newHerald(c announcer, log *slog.Logger) *herald {
	return &herald{c: c, log: log, wake: make(chan struct{}, 1)}
}

func (h *herald) note(change func()) {
	h.mu.Lock()
	change()
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// up is told of a new connection.
func (h *herald) up() {
	h.note(func() { h.due, h.last = time.Now(), time.Time{} })
}

// heard is told what central/state says; own is the boot of this run.
func (h *herald) heard(body []byte, own string) {
	st, err := wire.ParseCentralState(body)
	h.note(func() {
		switch {
		case err == nil && st.Online && st.Boot == own:
		case h.last.IsZero():
			// From before the announcement of this connection.
		case err == nil && st.Online:
			if h.stranger != st.Boot {
				h.stranger = st.Boot
				h.log.Warn("another central announces itself on this broker: only one may take in the entries of a gate", "boot", st.Boot)
			}
		case h.due.IsZero():
			h.due = h.last.Add(announceGap)
		}
	})
}

// run announces until ctx ends. It gives nil then.
func (h *herald) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		h.mu.Lock()
		due := h.due
		h.mu.Unlock()
		wait := time.Hour
		if !due.IsZero() {
			if wait = time.Until(due); wait <= 0 {
				h.announce(ctx, due)
				continue
			}
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-h.wake:
		case <-timer.C:
		}
	}
	return nil
}

// announce says that central is there: gates then send what they have.
func (h *herald) announce(ctx context.Context, due time.Time) {
	pctx, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	err := h.c.Online(pctx)
	if err != nil && ctx.Err() == nil {
		h.log.Warn("central could not be announced; it is tried again", "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.last = time.Now()
	}
	switch {
	case h.due != due: // there is a newer connection
	case err == nil:
		h.due = time.Time{}
	default:
		h.due = time.Now().Add(announceWithin)
	}
}
