package publish

import (
	"bytes"
	"fmt"
	"path/filepath"
	"testing"

	"gateagent/agent/gate"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/brokertest"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// extend puts a delta into a folder whose newest version has n people: one
// more comes.
func extend(t *testing.T, f dataset.Folder, key signed.Signer, n int) ([]byte, wire.Manifest) {
	t.Helper()
	m, err := f.Newest()
	if err != nil {
		t.Fatal(err)
	}
	baseDay, err := gate.ParseDay(m.Base.BaseDay)
	if err != nil {
		t.Fatal(err)
	}
	b := dataset.NewBuilder(dataset.Options{
		Rule: people.Rule{AsOf: gate.DayOf(now), Settle: people.DefaultSettle}, Key: gate.Key{byte(m.Base.Version)}, BaseDay: baseDay,
	})
	for i := range n + 1 {
		if err := b.Add(&people.Person{Number: gate.Number(fmt.Sprintf("%012d", i))}); err != nil {
			t.Fatal(err)
		}
	}
	next, _, err := f.WriteDelta(t.Context(), b, dataset.Head{Issued: now, Expires: now.AddDate(0, 0, 7)}, m,
		func(d wire.DeltaDoc) (string, error) { return SignDelta(key, d) })
	if err != nil {
		t.Fatal(err)
	}
	compact, err := SignManifest(key, next)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WriteManifest(compact); err != nil {
		t.Fatal(err)
	}
	return []byte(compact), next
}

// TestDeltas: deltas are out before the manifest that names them, each is
// published once, and those that nothing names any more go.
func TestDeltas(t *testing.T) {
	b := brokertest.Start(t)
	f := dataset.NewFolder(filepath.Join(t.TempDir(), "vn"))
	s := connect(t, b, nil)
	key := signer(t, signed.RoleSnapshot)
	heard := make(chan string, 100)
	gate, err := Connect(t.Context(), Broker{URL: b.URL(), ClientID: "gate"}, quiet, func(l *mqttlink.Link, topics wire.Topics) {
		l.Add(mqttlink.Subscription{Filter: topics.Deltas("vn"), QoS: 1, Once: true, Handle: func(topic string, _ []byte, _ bool) { heard <- topic }})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close() //nolint:errcheck // a test's
	there := func(n uint64) bool { return len(b.Retained(s.Topics.Delta("vn", n))) > 0 }
	compact, m := build(t, f, 1, 500)
	if err := s.Snapshot(t.Context(), f, compact, m, nil); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 4; n++ {
		compact, m = extend(t, f, key, 500+n-2)
		if err := s.Snapshot(t.Context(), f, compact, m, func(done, of int) {
			if bytes.Equal(b.Retained(s.Topics.Manifest("vn")), compact) && !there(uint64(n)) {
				t.Error("the manifest is out before a delta")
			}
			if want := len(m.Chunks) + n; of != want {
				t.Errorf("%d messages, want %d", of, want)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	for n := uint64(2); n <= 4; n++ {
		body, err := f.Delta(n)
		if err != nil || !bytes.Equal(b.Retained(s.Topics.Delta("vn", n)), body) {
			t.Errorf("delta %d is not there: %v", n, err)
		}
	}
	if n := len(heard); n != 3 {
		t.Errorf("gates heard %d deltas of 3", n)
	}
	// One that the broker has forgotten comes back.
	b.Publish(s.Topics.Delta("vn", 3), nil, true)
	if err := s.Snapshot(t.Context(), f, compact, m, nil); err != nil || !there(3) {
		t.Errorf("delta 3 is there: %t; %v", there(3), err)
	}
	// Two bases on, nobody needs them.
	for version := uint64(9); version <= 11; version++ {
		compact, m = build(t, f, version, 500)
		if err := s.Snapshot(t.Context(), f, compact, m, nil); err != nil {
			t.Fatal(err)
		}
		if there(2) != (version == 9) {
			t.Errorf("version %d: delta 2 is there: %t", version, there(2))
		}
	}
}

// TestLargeSet: the chunks of a large set are not kept on the broker.
func TestLargeSet(t *testing.T) {
	b := brokertest.Start(t)
	f := dataset.NewFolder(filepath.Join(t.TempDir(), "vn"))
	s := connect(t, b, nil)
	s.MaxRetained = 1
	compact, m := build(t, f, 1, 80_000)
	if s.Keeps(m) || len(m.Chunks) < 2 {
		t.Fatalf("%d chunks", len(m.Chunks))
	}
	if err := s.Snapshot(t.Context(), f, compact, m, nil); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Retained(s.Topics.Manifest("vn")), compact) {
		t.Error("the manifest is not there")
	}
	for _, c := range m.Chunks {
		if b.Retained(s.Topics.Chunk("vn", c.Digest)) != nil {
			t.Error("a chunk is kept")
		}
	}
}
