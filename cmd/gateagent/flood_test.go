package main_test

import (
	"fmt"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/drivertest"
)

// TestFlood: an engine spits out codes that nobody understands, 500 a
// second. They are counted, not written one by one; a person who comes
// in the middle of it and after it is served at once.
func TestFlood(t *testing.T) {
	t.Parallel()
	noise, quiet := drivertest.NewPTY(t), drivertest.NewPTY(t)
	b := newBench(t, settings{lanes: serialLane("noisy", noise.Path) + serialLane("quiet", quiet.Path)})
	a := b.start()
	a.until("both scanners are open", func() bool {
		s := a.status()
		return fault(s, "scanner:noisy") == "" && fault(s, "scanner:quiet") == ""
	})
	decisions := a.decisions()
	const codes = 400
	for n := range codes {
		noise.Send(t, fmt.Sprintf("no card at all %d\r", n))
		time.Sleep(2 * time.Millisecond) // what comes at once is one scan: the newest
		if n == codes/2 {
			quiet.Send(t, someone(1).card()+"\r")
		}
	}
	began := time.Now()
	for d := range decisions {
		if d.Lane == "quiet" {
			break
		}
	}
	if took := time.Since(began); took > slow(200*time.Millisecond) {
		t.Errorf("the person on the quiet lane waited %v", took)
	}
	noise.Send(t, someone(2).card()+"\r")
	a.until("the person on the noisy lane is served", func() bool {
		return a.status().Lanes[0].Decisions[gate.ManualCheck.String()] == 1
	})
	scans := a.status().Lanes[0].Decisions[gate.Retry.String()]
	a.stop() // what is left of the flood is recorded at the end

	a = b.start()
	a.status()
	events := a.entries()
	written, counted := 0, uint64(0)
	for _, e := range events {
		v, err := e.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if v.Verdict == gate.Retry {
			written++
			counted += uint64(max(v.Count, 1))
		}
	}
	if counted != scans || scans < 60 {
		t.Errorf("%d scans were answered, %d stand in the journal", scans, counted)
	}
	if written > 45 {
		t.Errorf("%d entries were written for the flood", written)
	}
	wholeChain(t, a.events())
	a.stop()
	t.Logf("%d codes sent, %d answered, %d entries written", codes, scans, written)
}
