package lane_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/lane"
	"gateagent/agent/policy"
)

// instant takes every record at once and forgets it.
type instant struct{ done *gate.Receipt }

func (j instant) Append(gate.Entry) *gate.Receipt          { return j.done }
func (j instant) AppendPassage(gate.Passage) *gate.Receipt { return j.done }

// green finds everybody vaccinated.
type green struct{}

func (green) Facts(gate.Number, string) (gate.Facts, gate.DataState, error) {
	now := time.Now()
	return gate.Facts{Found: true, Word: gate.Word(gate.FactCompleted) << 12, Base: gate.DayOf(now) - 100},
		gate.DataState{N: 1, AsOf: now.UnixMilli()}, nil
}

// BenchmarkScan takes different people through a lane, one after the other:
// what the lane itself costs, without camera, disk and relay.
func BenchmarkScan(b *testing.B) {
	receipt := gate.NewReceipt()
	receipt.Fulfil(1, nil)
	device := newScanner()
	outcome := make(chan lane.Outcome)
	rules := policy.Default()
	l, err := lane.New(lane.Options{
		Name: "main", Open: device.open, Relay: &relay{}, Facts: green{}, Journal: instant{receipt}, Clock: wall{},
		Policy:    func() lane.Rules { return rules },
		EntryKey:  func() (gate.Key, bool) { return gate.Key{1}, true },
		OnOutcome: func(o lane.Outcome) { outcome <- o },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n++
		payload := fmt.Appendf(nil, "001190%06d||Nguyễn Thị Mẫu|15071990|Nữ|x|20082021", n%1000000)
		device.scans <- gate.Scan{Payload: payload, Seen: time.Now()}
		if o := <-outcome; !o.Opened {
			b.Fatalf("outcome %+v", o)
		}
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
