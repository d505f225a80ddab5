package mqttlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Sessions that the broker ends within shortSession count towards a takeover;
// one that lasts longSession shows that nobody fights for our client id.
const (
	shortSession = 10 * time.Second
	longSession  = time.Minute
	takeovers    = 3
)

// leaveWithin bounds the orderly goodbye: the will published by hand, then
// DISCONNECT.
const leaveWithin = time.Second

// rereads are the times at which retained topics are read again: a cluster
// may miss a retained message at the very moment of the first subscribe.
type rereads struct {
	first   time.Duration // after connecting, plus up to the same again
	period  time.Duration
	refused time.Duration // instead of period, while the broker refuses a filter
}

// A refusal is asked about again soon: an access list may have been mended, and
// mochi refuses by mistake while one of its own messages bears the same id.
var defaultRereads = rereads{first: time.Second, period: 10 * time.Minute, refused: 30 * time.Second}

// Run keeps the session alive until ctx ends, and then says goodbye. It gives
// nil after an orderly end; a broker that cannot be reached is a matter of
// [Status], not an error.
func (l *Link) Run(ctx context.Context) error {
	l.mu.Lock()
	if l.running {
		l.mu.Unlock()
		return fmt.Errorf("mqtt link: Run called twice")
	}
	l.running = true
	l.mu.Unlock()

	var handlers sync.WaitGroup
	for _, sub := range l.subs {
		handlers.Go(func() { sub.run(ctx) })
	}
	defer handlers.Wait()
	defer l.work.Wait()

	for ctx.Err() == nil {
		l.oneSession(ctx)
		if ctx.Err() != nil {
			break
		}
		wait := l.o.retry.next()
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// oneSession connects once and stays until the session or ctx ends.
func (l *Link) oneSession(ctx context.Context) {
	s := newSession(l)
	defer s.close()
	err := s.connect(ctx)
	if err == nil {
		var refused []string
		refused, err = s.subscribe(ctx, l.subs)
		l.setRefused(refused)
	}
	if err != nil {
		s.fail(err)
		if ctx.Err() == nil {
			l.ended(s, err)
		}
		return
	}
	l.began(s)
	err = l.attend(ctx, s)
	l.ended(s, err)
}

// attend stays with a running session; it reads retained topics again and
// gives the reason why the session ended.
func (l *Link) attend(ctx context.Context, s *session) error {
	again := time.NewTimer(l.o.again.first + jitter(l.o.again.first))
	defer again.Stop()
	for {
		select {
		case <-s.dead:
			return s.cause
		case <-ctx.Done():
			l.leave(s)
			return nil
		case <-again.C:
			refused, err := s.subscribe(ctx, l.rereadable())
			if err != nil {
				s.fail(err)
				continue // the reason comes with s.dead
			}
			l.setRefused(refused)
			l.judge()
			if len(refused) > 0 {
				again.Reset(l.o.again.refused)
			} else {
				again.Reset(l.o.again.period)
			}
		}
	}
}

// leave publishes what the will would have said and ends the session. From
// here on Publish refuses: whoever hears the goodbye come back must not be able
// to contradict it.
func (l *Link) leave(s *session) {
	l.mu.Lock()
	l.leaving = true
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), leaveWithin)
	defer cancel()
	if w := l.o.Will; w != nil {
		if err := s.publish(ctx, w.Topic, w.Body, 1, w.Retained); err != nil {
			l.log.Debug("mqtt: goodbye not taken", "error", err)
		}
	}
	s.disconnect()
}

func (l *Link) began(s *session) {
	l.mu.Lock()
	l.session = s
	l.since = s.upAt
	l.sessions++
	l.lastErr = nil
	l.mu.Unlock()
	l.log.Info("mqtt: connected", "broker", l.address)
	l.judge()
	for _, f := range l.onUp {
		f()
	}
}

// ended records why s is over; err is nil when we left ourselves.
func (l *Link) ended(s *session, err error) {
	l.mu.Lock()
	wasUp := l.session == s
	if wasUp {
		l.session = nil
		l.since = time.Now()
		switch lived := time.Since(s.upAt); {
		case lived >= longSession:
			l.short = 0
		case lived < shortSession && closedByPeer(err):
			l.short++
		}
		if time.Since(s.upAt) >= shortSession {
			l.o.retry.reset()
		}
	} else if !answered(err) {
		l.short = 0 // it is the broker that comes and goes
	}
	same := !wasUp && err != nil && l.lastErr != nil && err.Error() == l.lastErr.Error()
	l.lastErr = err
	l.mu.Unlock()
	switch {
	case err == nil:
	case same: // said before; an attempt every few seconds must not fill the log
		l.log.Debug("mqtt: still no link", "broker", l.address, "error", err)
	default:
		l.log.Warn("mqtt: link down", "broker", l.address, "was_up", wasUp, "error", err)
	}
	l.judge()
	if wasUp {
		for _, f := range l.onDown {
			f()
		}
	}
}

// answered says whether a broker was there when an attempt failed with err.
func answered(err error) bool {
	var no ConnackError
	return errors.As(err, &no) || closedByPeer(err)
}

func (l *Link) setRefused(filters []string) {
	l.mu.Lock()
	l.refused = filters
	l.mu.Unlock()
}
