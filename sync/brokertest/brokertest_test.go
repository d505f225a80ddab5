package brokertest_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	"gateagent/sync/brokertest"
	"gateagent/sync/mqttlink"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join makes a link that counts what it hears on "t".
func join(t *testing.T, url string, id string) (l *mqttlink.Link, heard func() map[string]int) {
	t.Helper()
	l, err := mqttlink.New(mqttlink.Options{Broker: url, ClientID: id}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	got := make(map[string]int)
	l.Add(mqttlink.Subscription{Filter: "t", QoS: 1, Once: true, Full: mqttlink.Wait, Queue: 1000, Handle: func(_ string, body []byte, _ bool) {
		mu.Lock()
		defer mu.Unlock()
		got[string(body)]++
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = l.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	eventually(t, l.Connected)
	return l, func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(got)
	}
}

func eventually(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatal("it never came")
}

// What the broker says it lied about is what happened, and an honest one
// loses nothing.
func TestLiesAreCounted(t *testing.T) {
	b := brokertest.Start(t)
	l, heard := join(t, b.URL(), "one")
	b.Lie(brokertest.Lies{Drop: 0.1, Twice: 0.2, Late: 0.1, Seed: 3})
	const n = 500
	for i := range n {
		if err := l.Publish(t.Context(), "t", []byte{byte(i >> 8), byte(i)}, 1, false); err != nil {
			t.Fatal(err)
		}
	}
	lied := b.Lied()
	b.Lie(brokertest.Lies{})
	if err := l.Publish(t.Context(), "t", []byte("end"), 1, false); err != nil { // and what was held comes behind it
		t.Fatal(err)
	}
	want := n + 1 - lied.Dropped + lied.Twice
	total := func() (sum int) {
		for _, c := range heard() {
			sum += c
		}
		return sum
	}
	eventually(t, func() bool { return total() == want })
	if lied.Dropped < 20 || lied.Twice < 50 || lied.Late < 20 {
		t.Errorf("%+v", lied)
	}
	if missing := n + 1 - len(heard()); missing != lied.Dropped {
		t.Errorf("%d are missing, %d were dropped", missing, lied.Dropped)
	}
}

func TestMochiForgets(t *testing.T) {
	b := brokertest.Start(t)
	b.Publish("kept", []byte("x"), true)
	if string(b.Retained("kept")) != "x" {
		t.Error("not retained")
	}
	b.Kill()
	b.Restart()
	if b.Retained("kept") != nil {
		t.Error("still there after a restart")
	}
}

// SIGTERM lets Mosquitto write its file; SIGKILL before the first autosave
// loses what was retained since.
func TestMosquittoForgetsWhenKilled(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	l, _ := join(t, m.URL(), "one")
	read := func(topic string) error {
		eventually(t, l.Connected)
		_, err := l.Retained(t.Context(), topic, time.Second)
		return err
	}
	put := func(topic string) {
		t.Helper()
		if err := l.Publish(t.Context(), topic, []byte("x"), 1, true); err != nil {
			t.Fatal(err)
		}
	}
	put("kept")
	sessions := l.Status().Sessions
	m.Stop()
	m.Restart()
	eventually(t, func() bool { return l.Status().Sessions > sessions })
	if err := read("kept"); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	put("late")
	sessions = l.Status().Sessions
	m.Kill()
	m.Restart()
	eventually(t, func() bool { return l.Status().Sessions > sessions })
	if err := read("late"); !errors.Is(err, mqttlink.ErrNothingRetained) {
		t.Errorf("after SIGKILL: %v", err)
	}
	if err := read("kept"); err != nil {
		t.Errorf("what was in the file: %v", err)
	}
}
