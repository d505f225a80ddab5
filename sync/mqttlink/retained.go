package mqttlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// waiters are the calls of Retained under way, by topic.
type waiters struct {
	mu sync.Mutex
	m  map[string]chan []byte
}

func (w *waiters) add(topic string) (chan []byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, taken := w.m[topic]; taken {
		return nil, false
	}
	if w.m == nil {
		w.m = make(map[string]chan []byte)
	}
	c := make(chan []byte, 1)
	w.m[topic] = c
	return c, true
}

func (w *waiters) remove(topic string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.m, topic)
}

// offer hands body to whoever waits for topic.
func (w *waiters) offer(topic string, body []byte) (taken bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c, waiting := w.m[topic]
	if !waiting {
		return false
	}
	select {
	case c <- body:
	default: // the first answer is enough
	}
	return true
}

// Retained reads the message that the broker keeps on one full topic: it
// subscribes at QoS 0 (every QoS 1 subscription costs a cluster some 90 ms),
// takes the first message and unsubscribes. The topic must not fall under a
// filter of the link. When nothing comes before within is over, the error is
// [ErrNothingRetained]; a broker tells that in no other way.
func (l *Link) Retained(ctx context.Context, topic string, within time.Duration) ([]byte, error) {
	if err := checkTopic(topic); err != nil {
		return nil, fmt.Errorf("read retained: %w", err)
	}
	s := l.current()
	if s == nil {
		return nil, fmt.Errorf("read %s: %w", topic, ErrNotConnected)
	}
	body, err := s.retained(ctx, topic, within)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	return body, nil
}

func (s *session) retained(ctx context.Context, topic string, within time.Duration) ([]byte, error) {
	answer, ok := s.link.waiters.add(topic)
	if !ok {
		return nil, errors.New("already being read")
	}
	defer s.link.waiters.remove(topic)
	ctx, cancel := context.WithTimeoutCause(ctx, within, ErrNothingRetained)
	defer cancel()
	defer s.forget(topic)

	tok, err := s.call(ctx, func() mqtt.Token { return s.client.Subscribe(topic, 0, nil) })
	if err != nil {
		return nil, cause(ctx, err)
	}
	acked := tok.Done()
	for {
		select {
		case body := <-answer:
			return body, nil
		case <-acked:
			acked = nil
			if err := subscribed(tok, topic); err != nil {
				return nil, err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-s.dead:
			return nil, s.lost()
		}
	}
}

// forget unsubscribes without waiting for the answer.
func (s *session) forget(topic string) {
	ctx, cancel := context.WithTimeout(context.Background(), s.link.o.WriteTimeout)
	defer cancel()
	_, _ = s.call(ctx, func() mqtt.Token { return s.client.Unsubscribe(topic) })
}

// cause prefers the reason that was given for the end of ctx.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
