package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/brokertest"
	"gateagent/sync/identity"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

var (
	quiet = slog.New(slog.DiscardHandler)
	now   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func connect(t *testing.T, b *brokertest.Broker, subscribe func(*mqttlink.Link, wire.Topics)) *Session {
	t.Helper()
	s, err := Connect(t.Context(), Broker{URL: b.URL(), ClientID: "test"}, quiet, subscribe)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func signer(t *testing.T, role signed.Role) signed.Signer {
	t.Helper()
	s, err := signed.NewSigner(string(role)+"-1", role)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestForbiddenTopic: the broker acknowledges what its access list forbids;
// only reading back shows that nothing is there.
func TestForbiddenTopic(t *testing.T) {
	b := brokertest.Start(t)
	s := connect(t, b, nil)
	b.Mute(func(_, topic string) bool { return strings.HasSuffix(topic, "/policy") })
	err := s.Retained(t.Context(), s.Topics.Policy("hn01"), []byte("document"))
	if !errors.Is(err, ErrNotKept) {
		t.Errorf("publish on a forbidden topic: %v, want %v", err, ErrNotKept)
	}
	if err := s.Retained(t.Context(), s.Topics.Trust("hn01"), []byte("document")); err != nil {
		t.Errorf("publish on an allowed topic: %v", err)
	}
}

func TestVersion(t *testing.T) {
	b := brokertest.Start(t)
	s := connect(t, b, nil)
	topic := s.Topics.Policy("hn01")
	if v, err := s.Version(t.Context(), topic); v != 0 || err != nil {
		t.Errorf("nothing published: version %d, %v", v, err)
	}
	doc, err := SignPolicy(signer(t, signed.RolePolicy), policy.Default(), policy.Header{
		Audience: "hn01", Version: 7, Issued: now, Expires: now.AddDate(0, 1, 0),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Retained(t.Context(), topic, []byte(doc)); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Version(t.Context(), topic); v != 7 || err != nil {
		t.Errorf("version %d, %v", v, err)
	}
	b.Publish(topic, []byte("something else"), true)
	if _, err := s.Version(t.Context(), topic); err == nil {
		t.Error("the version of something else was read")
	}
	for _, hostile := range []string{"a.b.c", "..", "e30.eyJ2ZXIiOjkwMDcxOTkyNTQ3NDA5OTN9.x", "e30.eyJ2ZXIiOi0xfQ.x"} {
		if v, err := DocumentVersion([]byte(hostile)); err == nil {
			t.Errorf("%s gives version %d", hostile, v)
		}
	}
}

func TestNoBroker(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if s, err := Connect(ctx, Broker{URL: "mqtt://127.0.0.1:1", ClientID: "test"}, quiet, nil); err == nil || s != nil {
		t.Errorf("connected to nothing: %v, %v", s, err)
	}
}

// build puts n people into a folder.
func build(t *testing.T, f dataset.Folder, version uint64, n int) ([]byte, wire.Manifest) {
	t.Helper()
	asOf := gate.DayOf(now)
	b := dataset.NewBuilder(dataset.Options{
		Rule: people.Rule{AsOf: asOf, Settle: people.DefaultSettle}, Key: gate.Key{byte(version)},
	})
	for i := range n {
		p := people.Person{Number: gate.Number(fmt.Sprintf("%012d", i))}
		if err := b.Add(&p); err != nil {
			t.Fatal(err)
		}
	}
	m, _, err := f.WriteBase(t.Context(), b, dataset.Head{
		Set: "vn", Version: version, KeyID: "k", KeyHold: wire.KeyHoldFile, Issued: now, Expires: now.AddDate(0, 0, 7),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := SignManifest(signer(t, signed.RoleSnapshot), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WriteManifest(compact); err != nil {
		t.Fatal(err)
	}
	again, err := ReadManifest([]byte(compact))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, again); diff != "" {
		t.Errorf("the manifest read back (-want +got):\n%s", diff)
	}
	return []byte(compact), m
}

// TestSnapshotOrder: a gate that reads the manifest finds every chunk of it,
// and those of the version before it.
func TestSnapshotOrder(t *testing.T) {
	b := brokertest.Start(t)
	f := dataset.NewFolder(filepath.Join(t.TempDir(), "vn"))
	s := connect(t, b, nil)
	missing := func(m wire.Manifest) (n int) {
		for _, c := range m.Chunks {
			if len(b.Retained(s.Topics.Chunk("vn", c.Digest))) != c.Size {
				n++
			}
		}
		return n
	}
	var before []wire.Manifest
	for version := uint64(1); version <= 4; version++ {
		compact, m := build(t, f, version, 80_000)
		if len(m.Chunks) < 2 {
			t.Fatalf("%d chunks show no order", len(m.Chunks))
		}
		var told []int
		err := s.Snapshot(t.Context(), f, compact, m, func(done, of int) {
			told = append(told, done)
			if manifest := b.Retained(s.Topics.Manifest("vn")); bytes.Equal(manifest, compact) && missing(m) > 0 {
				t.Errorf("version %d: the manifest is out before its chunks", version)
			}
			if n := len(before); n > 0 && missing(before[n-1]) > 0 {
				t.Errorf("version %d: chunks of the version before were cleared", version)
			}
			if of != len(m.Chunks)+1 {
				t.Errorf("%d messages for %d chunks", of, len(m.Chunks))
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if told[len(told)-1] != len(m.Chunks)+1 || missing(m) > 0 {
			t.Errorf("version %d: told %v, %d chunks missing", version, told, missing(m))
		}
		if n := len(before); n > 1 && missing(before[n-2]) != len(before[n-2].Chunks) {
			t.Errorf("version %d: chunks of two versions ago are still there", version)
		}
		before = append(before, m)
	}
}

// TestAgain: what the broker has spoiled is mended by publishing all again;
// else it is found only where it is looked for.
func TestAgain(t *testing.T) {
	b := brokertest.Start(t)
	f := dataset.NewFolder(filepath.Join(t.TempDir(), "vn"))
	s := connect(t, b, nil)
	compact, m := build(t, f, 1, 200_000)
	publish := func() {
		t.Helper()
		if err := s.Snapshot(t.Context(), f, compact, m, nil); err != nil {
			t.Fatal(err)
		}
	}
	publish()
	b.Publish(s.Topics.Chunk("vn", m.Chunks[len(m.Chunks)-1].Digest), []byte("rubbish"), true)
	s.Again = true
	publish()
	for i, c := range m.Chunks {
		body, err := f.Chunk(c.Digest)
		if err != nil || !bytes.Equal(b.Retained(s.Topics.Chunk("vn", c.Digest)), body) {
			t.Errorf("chunk %d of %d is not there: %v", i, len(m.Chunks), err)
		}
	}
}

func TestSnapshotRefuses(t *testing.T) {
	b := brokertest.Start(t)
	f := dataset.NewFolder(filepath.Join(t.TempDir(), "vn"))
	s := connect(t, b, nil)
	compact, m := build(t, f, 1, 100)
	b.Mute(func(_, topic string) bool { return strings.Contains(topic, "/chunk/") })
	if err := s.Snapshot(t.Context(), f, compact, m, nil); !errors.Is(err, ErrNotKept) {
		t.Errorf("chunks that are not kept: %v, want %v", err, ErrNotKept)
	}
	if len(b.Retained(s.Topics.Manifest("vn"))) > 0 {
		t.Error("a manifest was published whose chunks are not there")
	}
}

// TestOnMosquitto does the same with the broker that gates meet in the field.
func TestOnMosquitto(t *testing.T) {
	b := brokertest.StartMosquitto(t)
	s, err := Connect(t.Context(), Broker{URL: b.URL(), ClientID: "test"}, quiet, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	f := dataset.NewFolder(filepath.Join(t.TempDir(), "vn"))
	for version := uint64(1); version <= 3; version++ {
		compact, m := build(t, f, version, 40_000)
		if err := s.Snapshot(t.Context(), f, compact, m, nil); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Version(t.Context(), s.Topics.Manifest("vn")); v != version || err != nil {
			t.Errorf("version %d, %v; want %d", v, err, version)
		}
	}
	all, err := f.Published()
	if err != nil || len(all) != 2 || all[0].Version != 3 {
		t.Errorf("published %+v, %v", all, err)
	}
}

// TestInForce: what gates have is heard from their states, also where the
// broker has forgotten the documents.
func TestInForce(t *testing.T) {
	b := brokertest.Start(t)
	topics, err := wire.NewTopics(wire.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	id, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	state := func(site, gate string, trust, policy uint64) {
		topic := topics.State(record.Origin{Site: site, Gate: gate})
		body, err := wire.SignBody(topic, wire.State{
			Online: true, Boot: "00112233445566aa", Time: now.UnixMilli(), ID: id.Public(),
			Trust: trust, Policy: &wire.PolicyState{ID: "x", Ver: policy},
		}, id.Sign)
		if err != nil {
			t.Fatal(err)
		}
		b.Publish(topic, body, true)
	}
	state("hn01", "gate-1", 2, 7)
	state("hn01", "gate-2", 3, 5)
	state("hn01", "gate-3", 1<<60, 1<<60) // nonsense
	state("hn02", "gate-1", 9, 9)
	b.Publish("gate/v1/hn01/gate-4/state", []byte("{}"), true)
	var gates InForce
	s := connect(t, b, func(l *mqttlink.Link, topics wire.Topics) { gates.Follow(l, topics, "hn01") })
	if v, err := s.Version(t.Context(), s.Topics.Policy("hn01")); v != 0 || err != nil {
		t.Errorf("retained: version %d, %v", v, err)
	}
	if got, want := gates.Trust(), (Version{3, "hn01/gate-2"}); got != want {
		t.Errorf("trust %+v, want %+v", got, want)
	}
	if got, want := gates.Policy(), (Version{7, "hn01/gate-1"}); got != want {
		t.Errorf("policy %+v, want %+v", got, want)
	}
}

// TestReadTrust: only a trust list is one.
func TestReadTrust(t *testing.T) {
	root, key := signer(t, signed.RoleRoot), signer(t, signed.RolePolicy)
	list := signed.Trust{Aud: "hn01", Ver: 2, Iat: now.Unix(), Exp: now.Unix() + 60, Keys: []signed.TrustKey{key.TrustKey()}}
	good, err := SignTrust(root, list)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ReadTrust([]byte(good)); err != nil || got.Ver != 2 || got.Aud != "hn01" {
		t.Errorf("%+v, %v", got, err)
	}
	other, err := SignPolicy(key, policy.Default(), policy.Header{Audience: "hn01", Version: 2, Issued: now, Expires: now.AddDate(0, 1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "a.b.c", other, good[1:]} {
		if _, err := ReadTrust([]byte(bad)); err == nil {
			t.Errorf("%.20q was read as a trust list", bad)
		}
	}
}
