package wire

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/hostile"
	"gateagent/agent/record"
	"gateagent/sync/identity"
)

// Nothing that a stranger sends makes a parser panic or write what it would not
// read. Columns and changes, and what is revoked, are fuzzed beside their codings.

// FuzzBatch: events, as central takes them from the wire.
func FuzzBatch(f *testing.F) {
	id := newIdentity(f)
	topics := mustTopics(f, DefaultPrefix)
	for _, n := range []int{1, 3} {
		batch, _, err := EncodeBatch(topics.Entry(home), chain(f, home, record.Epoch{1}, n), id.Sign)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(batch)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		events, err := ParseBatch(b)
		if err != nil {
			return
		}
		if len(events) == 0 || len(events) > MaxBatchEvents {
			t.Fatalf("%d events", len(events))
		}
		if err := VerifyBatch(topics.Entry(home), home, events, identity.Key{}); err == nil {
			t.Fatal("a zero key verified something")
		}
	})
}

// FuzzBodies: states, greetings, acknowledgements, wishes; and topics.
func FuzzBodies(f *testing.F) {
	id := newIdentity(f)
	topics := mustTopics(f, DefaultPrefix)
	state, err := SignBody(topics.State(home), sampleState(), id.Sign)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(state)
	for _, name := range []string{"ack", "central_state", "hello", "hello_reply", "hello_reply_keys", "want", "will"} {
		f.Add(sampleFile(f, name))
	}
	f.Add([]byte(topics.State(home)))
	for _, p := range hostile.Payloads("/tmp/canary") {
		if len(p.Text) < 100 {
			f.Add([]byte("gate/v1/hn01/" + p.Text + "/state"))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseState(b); err == nil {
			again, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseState(again); err != nil {
				t.Fatalf("%s: %v", again, err)
			}
		}
		if w, err := ParseWant(b); err == nil {
			if _, err := w.Marshal("t", id.Sign); err != nil {
				t.Fatal(err)
			}
		}
		if a, ok := topics.Parse(string(b)); ok && topics.Of(a) != string(b) {
			t.Fatalf("%q is not its own topic", b)
		}
		_, _ = ParseHello(b)
		_, _ = ParseHelloReply(b)
		_, _ = ParseAck(b)
		_, _ = ParseCentralState(b)
		if err := VerifyBody("t", b, identity.Key{}); err == nil {
			t.Fatal("a zero key verified something")
		}
	})
}

// FuzzManifests: manifests of versions and of changes, and the changes that one
// holds itself.
func FuzzManifests(f *testing.F) {
	for _, name := range []string{"manifest", "delta", "delta_chunks"} {
		f.Add(sampleFile(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseManifest(b); err == nil {
			if _, err := m.Marshal(); err != nil {
				t.Fatal(err)
			}
		}
		if d, err := ParseDelta(b); err == nil {
			if _, err := d.Marshal(); err != nil {
				t.Fatal(err)
			}
			_ = d.Domain()
			_ = d.Changes(func(Piece) ([]byte, error) { return b, nil }, func(gate.Change) error { return nil })
		}
	})
}

// sampleFile gives a document of testdata as it goes over the wire.
func sampleFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var plain bytes.Buffer
	if err := json.Compact(&plain, b); err != nil {
		t.Fatal(err)
	}
	return plain.Bytes()
}
