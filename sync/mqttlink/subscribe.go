package mqttlink

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Overflow says what happens to a message that finds its queue full.
type Overflow uint8

const (
	// DropOldest suits topics where the newest message is all that counts.
	DropOldest Overflow = iota
	// Wait holds up the link for at most fullWait, then drops the message.
	// It suits messages that their sender would have to repeat.
	Wait
)

// fullWait stays well below the time in which a ping must be answered, for
// nothing is read from the link meanwhile.
const fullWait = 2 * time.Second

// DefaultQueue is the depth of a queue that does not say otherwise.
const DefaultQueue = 32

// Subscription is one filter with its own queue and handler.
type Subscription struct {
	Filter string
	QoS    byte // 0 or 1
	// Queue bounds the messages that wait for Handle; 0 means DefaultQueue.
	Queue int
	Full  Overflow
	// MaxBody drops larger bodies, in bytes; 0 means Options.MaxBody.
	MaxBody int
	// Once leaves this filter out when retained topics are read again: for
	// topics without retained messages, and for filters that match many.
	Once   bool
	Handle Handler
}

// subscription is a Subscription at work.
type subscription struct {
	filter  string
	levels  []string
	qos     byte
	full    Overflow
	maxBody int
	once    bool
	handle  Handler
	queue   chan message
	dropped atomic.Uint64
}

type message struct {
	topic    string
	body     []byte
	retained bool
}

// Subscribe adds a filter at QoS 1 with the default queue; the newest
// messages win, and retained ones are read again from time to time, so h sees
// the same message more than once. It belongs before Run.
func (l *Link) Subscribe(filter string, h Handler) {
	l.Add(Subscription{Filter: filter, QoS: 1, Handle: h})
}

// Add adds a subscription. It belongs before Run and panics on a filter that
// is no filter, which is a mistake of the program. Filters that overlap may
// each bring the same message once for every one of them.
func (l *Link) Add(s Subscription) {
	l.beforeRun("Add")
	if !validFilter(s.Filter) || s.QoS > 1 || s.Handle == nil {
		panic(fmt.Sprintf("mqttlink: bad subscription %q", s.Filter))
	}
	if s.Queue <= 0 {
		s.Queue = DefaultQueue
	}
	if s.MaxBody <= 0 {
		s.MaxBody = l.o.MaxBody
	}
	l.subs = append(l.subs, &subscription{
		filter: s.Filter, levels: strings.Split(s.Filter, "/"), qos: s.QoS, full: s.Full, maxBody: s.MaxBody, once: s.Once,
		handle: s.Handle, queue: make(chan message, s.Queue),
	})
}

func (s *subscription) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-s.queue:
			s.handle(m.topic, m.body, m.retained)
		}
	}
}

// offer queues m; dead ends a wait early.
func (s *subscription) offer(m message, dead <-chan struct{}) {
	select {
	case s.queue <- m:
		return
	default:
	}
	if s.full == Wait {
		t := time.NewTimer(fullWait)
		defer t.Stop()
		select {
		case s.queue <- m:
		case <-t.C:
			s.dropped.Add(1)
		case <-dead:
			s.dropped.Add(1)
		}
		return
	}
	for {
		select {
		case s.queue <- m:
			return
		default:
		}
		select {
		case <-s.queue:
			s.dropped.Add(1)
		default:
		}
	}
}

// matches says whether the levels of a topic fall under the filter.
func (s *subscription) matches(topic []string) bool {
	for i, f := range s.levels {
		if f == "#" {
			return true
		}
		if i >= len(topic) || (f != "+" && f != topic[i]) {
			return false
		}
	}
	return len(topic) == len(s.levels)
}

// rereadable gives the filters to ask for again: those with retained topics,
// and those that were refused.
func (l *Link) rereadable() []*subscription {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*subscription
	for _, s := range l.subs {
		if !s.once || slices.Contains(l.refused, s.filter) {
			out = append(out, s)
		}
	}
	return out
}

// maxTopic bounds topics and filters, in bytes; ours are below 200.
const maxTopic = 512

// checkTopic refuses what some broker answers by closing the connection:
// wildcards, spaces and control characters (BROKERS.md).
func checkTopic(topic string) error {
	if topic == "" || len(topic) > maxTopic || strings.ContainsAny(topic, "+#") || !plain(topic) {
		return fmt.Errorf("topic %q: %w", topic[:min(len(topic), 64)], ErrTooLarge)
	}
	return nil
}

func validFilter(filter string) bool {
	if filter == "" || len(filter) > maxTopic || !plain(filter) {
		return false
	}
	levels := strings.Split(filter, "/")
	for i, l := range levels {
		if strings.ContainsAny(l, "+#") && len(l) != 1 {
			return false
		}
		if l == "#" && i != len(levels)-1 {
			return false
		}
	}
	return true
}

func plain(s string) bool {
	for _, r := range s {
		if r <= ' ' || r == 0x7f || r == utf8.RuneError {
			return false
		}
	}
	return true
}
