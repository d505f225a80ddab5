package cachetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

// Journal is what lanes, sync/outbox and the local API need of the journal.
type Journal interface {
	Append(gate.Entry) *gate.Receipt
	AppendPassage(gate.Passage) *gate.Receipt
	AppendOverride(gate.Override) *gate.Receipt
	AppendEvent(gate.Event) *gate.Receipt
	Read(from uint64, maxBytes int) ([]record.Link, error)
	Position() record.Position
	Acked() record.Position
	Ack(record.Position) error
	Rewind(record.Position) error
	Changed() <-chan struct{}
	Entries(since time.Time, fn func(record.Link) error) error
	Verify(ctx context.Context) (uint64, error)
}

// Entry makes a fictional entry that differs by n.
func Entry(n int) gate.Entry {
	return gate.Entry{
		Time: time.UnixMilli(1_760_000_000_000 + int64(n)).UTC(), Lane: "main",
		Verdict: gate.Allow, Reasons: []gate.Reason{gate.ReasonVaccinated}, Class: gate.Green,
		Credential: gate.KindCCCD, Subject: gate.Pseudonym(n), HasSubject: true,
		Policy: gate.PolicyRef{ID: "test", Version: 1}, Data: []gate.SetVersion{{Set: "vn", Version: 7}},
		DataAge: 60, Clock: gate.ClockNTP,
		Inputs: gate.Inputs{Now: 1_760_000_000_000 + int64(n), Credential: gate.KindCCCD, Clock: gate.ClockNTP},
		Decode: 12 * time.Millisecond, Lookup: 3 * time.Microsecond, Decide: time.Microsecond,
	}
}

// Fill appends n entries and waits for them; it gives the position after.
func Fill(t testing.TB, j Journal, n int) record.Position {
	t.Helper()
	receipts := make([]*gate.Receipt, 0, n)
	for i := range n {
		receipts = append(receipts, j.Append(Entry(i)))
		if len(receipts) == 200 {
			wait(t, receipts)
			receipts = receipts[:0]
		}
	}
	wait(t, receipts)
	return j.Position()
}

func wait(t testing.TB, receipts []*gate.Receipt) {
	t.Helper()
	for _, r := range receipts {
		if _, err := r.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// All reads everything that a journal keeps and checks that it is one chain.
func All(t testing.TB, j Journal) []record.Link {
	t.Helper()
	var all []record.Link
	for from := uint64(1); ; {
		links, err := j.Read(from, 10_000)
		if err != nil {
			t.Fatal(err)
		}
		if len(links) == 0 {
			break
		}
		all = append(all, links...)
		from = links[len(links)-1].Seq + 1
	}
	if err := Chained(all); err != nil {
		t.Fatal(err)
	}
	return all
}

// Chained says whether links follow each other without gap or repeat.
func Chained(links []record.Link) error {
	for i, l := range links {
		h, err := l.Record.Header()
		switch {
		case err != nil:
			return err
		case h.Seq != l.Seq:
			return fmt.Errorf("record %d says it is %d", l.Seq, h.Seq)
		case l.Seq == 1 && l.Prev != (record.Hash{}):
			return errors.New("record 1 follows something")
		case i > 0 && l.Seq != links[i-1].Seq+1:
			return fmt.Errorf("record %d follows %d", l.Seq, links[i-1].Seq)
		case i > 0 && l.Prev != links[i-1].Hash():
			return fmt.Errorf("the chain breaks before record %d", l.Seq)
		}
	}
	return nil
}

// TestJournal is the suite for journals. open gives a new, empty journal of an
// own epoch, which fails acknowledgements that do not fit with mismatch.
func TestJournal(t *testing.T, open func(t *testing.T) Journal, mismatch error) {
	t.Run("a new journal begins with its epoch", func(t *testing.T) {
		j := open(t)
		all := All(t, j)
		if len(all) != 1 || all[0].Seq != 1 || j.Position().Seq != 1 || j.Position().Head != all[0].Hash() {
			t.Fatalf("%d records, position %+v", len(all), j.Position())
		}
		if _, _, ok := record.FirstOf(all[0].Record); !ok {
			t.Error("the first record is no epoch event")
		}
		if a := j.Acked(); a.Seq != 0 || a.Head != (record.Hash{}) {
			t.Errorf("acknowledged %+v", a)
		}
		if h, err := all[0].Record.Header(); err != nil || h.Epoch != j.Position().Epoch || h.Epoch.IsZero() {
			t.Errorf("epoch %v, %v", h.Epoch, err)
		}
	})
	t.Run("every type comes back", func(t *testing.T) {
		j := open(t)
		at := time.UnixMilli(1_760_000_000_000).UTC()
		wait(t, []*gate.Receipt{
			j.Append(Entry(5)),
			j.AppendPassage(gate.Passage{Time: at, Lane: "main", Ref: 2, Opened: true}),
			j.AppendOverride(gate.Override{Time: at, Lane: "main", By: "guard", Reason: "test"}),
			j.AppendEvent(gate.Event{Time: at, Kind: gate.EventStart, Details: map[string]any{"version": "test"}}),
		})
		all := All(t, j)
		if len(all) != 5 {
			t.Fatalf("%d records", len(all))
		}
		if e, err := all[1].Record.Entry(); err != nil || e.Subject != 5 || e.Verdict != gate.Allow {
			t.Errorf("entry %+v, %v", e, err)
		}
		if p, err := all[2].Record.Passage(); err != nil || p.Ref != 2 || !p.Opened {
			t.Errorf("passage %+v, %v", p, err)
		}
		if o, err := all[3].Record.Override(); err != nil || o.By != "guard" {
			t.Errorf("override %+v, %v", o, err)
		}
		if e, err := all[4].Record.Event(); err != nil || e.Kind != gate.EventStart {
			t.Errorf("event %+v, %v", e, err)
		}
	})
	t.Run("many callers, one sequence", func(t *testing.T) {
		j := open(t)
		var mu sync.Mutex
		seqs := map[uint64]bool{}
		var wg sync.WaitGroup
		for c := range 8 {
			wg.Go(func() {
				last := uint64(0)
				for i := range 25 {
					seq, err := j.Append(Entry(100*c + i)).Wait()
					if err != nil || seq <= last {
						t.Errorf("seq %d after %d, %v", seq, last, err)
						return
					}
					last = seq
					mu.Lock()
					seqs[seq] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if len(seqs) != 200 || j.Position().Seq != 201 {
			t.Errorf("%d numbers, position %d", len(seqs), j.Position().Seq)
		}
		All(t, j)
		if n, err := j.Verify(t.Context()); err != nil || n != 201 {
			t.Errorf("Verify: %d, %v", n, err)
		}
	})
	t.Run("a record that cannot be made takes no number", func(t *testing.T) {
		j := open(t)
		if _, err := j.AppendEvent(gate.Event{Kind: "no such kind"}).Wait(); err == nil {
			t.Error("an unknown kind was taken")
		}
		if seq, err := j.Append(Entry(1)).Wait(); err != nil || seq != 2 {
			t.Errorf("the next one: %d, %v", seq, err)
		}
	})
	t.Run("reading is bounded, but never stands still", func(t *testing.T) {
		j := open(t)
		Fill(t, j, 50)
		some, err := j.Read(2, 3000)
		if err != nil || len(some) < 2 || len(some) > 20 || some[0].Seq != 2 {
			t.Errorf("%d records, %v", len(some), err)
		}
		one, err := j.Read(10, 0)
		if err != nil || len(one) != 1 || one[0].Seq != 10 {
			t.Errorf("%d records, %v", len(one), err)
		}
		if none, err := j.Read(52, 1000); err != nil || len(none) != 0 {
			t.Errorf("beyond the end: %d records, %v", len(none), err)
		}
	})
	t.Run("acknowledging", func(t *testing.T) {
		j := open(t)
		Fill(t, j, 20)
		all := All(t, j)
		own := func(seq uint64) record.Position {
			return record.Position{Epoch: j.Position().Epoch, Seq: seq, Head: all[seq-1].Hash()}
		}
		foreign, future, wrong := own(5), j.Position(), own(5)
		foreign.Epoch[0]++
		future.Seq++
		wrong.Head[0]++
		for name, p := range map[string]record.Position{"epoch": foreign, "future": future, "hash": wrong} {
			if err := j.Ack(p); !errors.Is(err, mismatch) {
				t.Errorf("%s: %v", name, err)
			}
			if err := j.Rewind(p); !errors.Is(err, mismatch) {
				t.Errorf("rewind, %s: %v", name, err)
			}
		}
		if j.Acked().Seq != 0 {
			t.Errorf("acknowledged up to %d", j.Acked().Seq)
		}
		for _, seq := range []uint64{5, 5, 3, 12, 21} {
			if err := j.Ack(own(seq)); err != nil {
				t.Errorf("ack %d: %v", seq, err)
			}
		}
		if j.Acked() != j.Position() {
			t.Errorf("acknowledged %+v, at %+v", j.Acked(), j.Position())
		}
		if len(All(t, j)) != 21 {
			t.Error("acknowledged records went at once")
		}
		if err := j.Rewind(own(7)); err != nil || j.Acked() != own(7) {
			t.Errorf("rewind: %v, %+v", err, j.Acked())
		}
		if err := j.Rewind(own(9)); err != nil || j.Acked() != own(7) {
			t.Errorf("rewinding forward: %v, %+v", err, j.Acked())
		}
		if err := j.Rewind(record.Position{}); err != nil || j.Acked().Seq != 0 {
			t.Errorf("rewind to the start: %v, %+v", err, j.Acked())
		}
	})
	t.Run("changes wake the consumer", func(t *testing.T) {
		j := open(t)
		select {
		case <-j.Changed():
		default:
		}
		Fill(t, j, 1)
		select {
		case <-j.Changed():
		case <-time.After(5 * time.Second):
			t.Error("no wake-up after an append")
		}
		if err := j.Ack(j.Position()); err != nil {
			t.Fatal(err)
		}
		if err := j.Rewind(record.Position{}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-j.Changed():
		case <-time.After(5 * time.Second):
			t.Error("no wake-up after going back")
		}
	})
	t.Run("entries since", func(t *testing.T) {
		j := open(t)
		Fill(t, j, 30)
		since := Entry(20).Time
		n := 0
		err := j.Entries(since, func(l record.Link) error {
			if h, err := l.Record.Header(); err != nil || h.Time.Before(since) {
				t.Errorf("record %d of %v, %v", l.Seq, h.Time, err)
			}
			n++
			return nil
		})
		if err != nil || n < 10 || n > 11 { // the epoch event bears the present
			t.Errorf("%d entries, %v", n, err)
		}
		stop := errors.New("enough")
		if err := j.Entries(time.Time{}, func(record.Link) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("stopping: %v", err)
		}
	})
}
