package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// TestCostOfDeciding holds a decision to a look-up in bbolt of the same run:
// at most 10 times as much, with twenty windows of lists at most 50 times.
func TestCostOfDeciding(t *testing.T) {
	lookup := bboltLookup(t)
	now := time.Date(2021, 12, 17, 5, 0, 0, 0, time.UTC) // a Friday noon in Vietnam
	person := func(lists int) gate.Inputs {
		in := gate.Inputs{Now: now.UnixMilli(), Credential: gate.KindCCCD, Clock: gate.ClockCentral}
		in.Facts = gate.Facts{Found: true, Word: gate.Word(gate.FactCompleted)<<12 | 1<<15, Base: 18900, HasExtras: lists > 0}
		if lists == 0 {
			in.Facts.Word &^= 1 << 15
		}
		e := &in.Facts.Extras
		for i := range lists {
			e.AddList(gate.Membership{List: fmt.Sprintf("list-%d", i), Window: gate.Window{From: 18000, To: 20000, Weekdays: 1 << 4, Start: 60, End: 1380}})
		}
		return in
	}
	// With eight memberships that have a window each, twelve in the rules make
	// twenty; none of those takes in the moment, so that all are asked.
	twenty := policyWithWindows(t, 12)
	most := policyWithWindows(t, 8*20)
	median := func(f func()) time.Duration {
		const batch, batches = 500, 41
		all := make([]time.Duration, batches)
		for i := range all {
			began := time.Now()
			for range batch {
				f()
			}
			all[i] = time.Since(began) / batch
		}
		slices.Sort(all)
		return all[batches/2]
	}
	var plain, windows, worst float64
	for attempt := range 5 {
		base := median(lookup)
		if base == 0 {
			t.Fatal("a look-up takes no time")
		}
		ratio := func(p *policy.Policy, in gate.Inputs) float64 {
			return float64(median(func() { p.Decide(in) })) / float64(base)
		}
		plain = ratio(policy.Default(), person(0))
		windows = ratio(twenty, person(8))
		worst = ratio(most, person(8))
		t.Logf("attempt %d: a look-up takes %v; deciding %.2f times that, with twenty windows %.2f, with 168 %.2f", attempt+1, base, plain, windows, worst)
		if plain <= 10 && windows <= 50 {
			return
		}
	}
	t.Errorf("deciding costs %.1f look-ups, at most 10 are allowed; with twenty windows %.1f, at most 50", plain, windows)
}

// bboltLookup gives a look-up of one block of people among 100,000, as a data
// set holds them.
func bboltLookup(t *testing.T) func() {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "set.db"), 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	const blocks = 100_000 / 62
	bucket := []byte("blocks")
	key := func(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		if err != nil {
			return err
		}
		for n := range blocks {
			if err := b.Put(key(n), make([]byte, 62*7)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	return func() {
		n = (n + 733) % blocks
		err := db.View(func(tx *bbolt.Tx) error {
			if len(tx.Bucket(bucket).Get(key(n))) == 0 {
				return fmt.Errorf("block %d is gone", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// policyWithWindows spreads windows on Sundays over the rules of eight lists.
func policyWithWindows(t *testing.T, windows int) *policy.Policy {
	t.Helper()
	b, err := policy.Default().Marshal(policy.Header{})
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	lists := map[string]any{}
	for i := range 8 {
		n := windows / 8
		if i < windows%8 {
			n++
		}
		hours := []any{}
		for k := range n {
			hours = append(hours, map[string]any{"weekdays": []string{"sun"}, "from": fmt.Sprintf("%02d:00", k), "to": fmt.Sprintf("%02d:30", k)})
		}
		lists[fmt.Sprintf("list-%d", i)] = map[string]any{"effect": "manual", "hours": hours}
	}
	doc["lists"] = lists
	if b, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseDraft(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
