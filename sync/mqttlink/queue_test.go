package mqttlink

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/sync/brokertest"
)

func TestQueueFull(t *testing.T) {
	s := &subscription{queue: make(chan message, 2)}
	for i := range 5 {
		s.offer(message{topic: fmt.Sprint(i)}, nil)
	}
	if a, b := <-s.queue, <-s.queue; a.topic != "3" || b.topic != "4" || s.dropped.Load() != 3 {
		t.Errorf("kept %v, %v; dropped %d", a.topic, b.topic, s.dropped.Load())
	}
	w := &subscription{queue: make(chan message, 1), full: Wait}
	w.offer(message{topic: "0"}, nil)
	go func() { time.Sleep(20 * time.Millisecond); <-w.queue }()
	w.offer(message{topic: "1"}, nil)
	if m := <-w.queue; m.topic != "1" || w.dropped.Load() != 0 {
		t.Errorf("kept %v; dropped %d", m.topic, w.dropped.Load())
	}
	dead := make(chan struct{})
	close(dead)
	w.offer(message{topic: "2"}, dead)
	w.offer(message{topic: "3"}, dead)
	if w.dropped.Load() != 1 {
		t.Errorf("dropped %d at a dead link", w.dropped.Load())
	}
}

// More messages than the library has ids: none may go out without one.
func TestManyMoreThanMessageIDs(t *testing.T) {
	if testing.Short() {
		t.Skip("70,000 messages: not in short mode")
	}
	b := brokertest.Start(t)
	var got atomic.Int64
	l, _ := start(t, fast(b.URL(), "one"), func(l *Link) {
		l.Add(Subscription{Filter: "a", QoS: 1, Full: Wait, Queue: 1000, Handle: func(string, []byte, bool) { got.Add(1) }})
	})
	eventually(t, "connected", l.Connected)
	const n = 70_000
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			for next.Add(1) <= n {
				if err := l.Publish(t.Context(), "a", []byte("x"), 1, false); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	eventually(t, "all of them", func() bool { return got.Load() == n })
}
