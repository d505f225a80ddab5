package wire

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/identity"
)

// chain makes n records: the epoch's first event and entries.
func chain(t testing.TB, o record.Origin, e record.Epoch, n int) []record.Link {
	t.Helper()
	at := time.Date(2021, 10, 1, 0, 0, 0, 0, time.UTC)
	links := make([]record.Link, n)
	var prev record.Hash
	for i := range links {
		var r record.Record
		var err error
		if i == 0 {
			r, err = record.FromEvent(o, e, 1, record.FirstEvent(at, record.Position{}, "first_start"))
		} else {
			r, err = record.FromEntry(o, e, uint64(i+1), gate.Entry{
				Time: at, Lane: "main", Verdict: gate.Allow, Class: gate.Green, Credential: gate.KindCCCD, HasSubject: true,
				Reasons: []gate.Reason{gate.ReasonVaccinated}, Data: []gate.SetVersion{{Set: "vn", Version: 3}},
			})
		}
		if err != nil {
			t.Fatal(err)
		}
		links[i] = record.Link{Seq: uint64(i + 1), Prev: prev, Record: r}
		prev = links[i].Hash()
	}
	return links
}

func TestBatchRoundTrip(t *testing.T) {
	id := newIdentity(t)
	topic := mustTopics(t, DefaultPrefix).Entry(home)
	links := chain(t, home, record.NewEpoch(), 200)
	sent := 0
	for sent < len(links) {
		body, n, err := EncodeBatch(topic, links[sent:], id.Sign)
		if err != nil || n == 0 || len(body) > MaxBatch {
			t.Fatalf("%d events in %d bytes: %v", n, len(body), err)
		}
		events, err := ParseBatch(body)
		if err != nil || len(events) != n {
			t.Fatalf("%d events of %d: %v", len(events), n, err)
		}
		if err := VerifyBatch(topic, home, events, id.Public().Ed25519); err != nil {
			t.Fatal(err)
		}
		for i, ev := range events {
			if diff := cmp.Diff(links[sent+i], ev.Link()); diff != "" {
				t.Fatal(diff)
			}
		}
		if more := sent+n < len(links); more && len(body) < MaxBatch*9/10 {
			t.Errorf("a batch of %d bytes leaves room", len(body))
		}
		sent += n
	}
	body, n, err := EncodeBatch(topic, links[:1], id.Sign)
	if err != nil || n != 1 || body[0] != '{' {
		t.Errorf("one event alone: %.20s %v", body, err)
	}
	if _, _, err := EncodeBatch(topic, nil, id.Sign); err == nil {
		t.Error("nothing was written")
	}
}

func TestVerifyBatchRefuses(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	topic := mustTopics(t, DefaultPrefix).Entry(home)
	links := chain(t, home, record.NewEpoch(), 6)
	foreign := chain(t, record.Origin{Site: "hn01", Gate: "g2"}, record.NewEpoch(), 3)
	key := id.Public().Ed25519
	events := func(sign SignFunc, links ...record.Link) []record.Event {
		body, _, err := EncodeBatch(topic, links, sign)
		if err != nil {
			t.Fatal(err)
		}
		events, err := ParseBatch(body)
		if err != nil {
			t.Fatal(err)
		}
		return events
	}
	forged := links[2]
	forged.Record = chain(t, home, record.NewEpoch(), 3)[2].Record
	signedInside := events(id.Sign, links[:3]...)
	signedInside[0].Sig = signedInside[2].Sig
	for name, tc := range map[string]struct {
		topic  string
		events []record.Event
		key    identity.Key
		want   error
	}{
		"nothing":        {topic, nil, key, ErrBroken},
		"a gap":          {topic, events(id.Sign, links[0], links[2]), key, ErrBroken},
		"turned round":   {topic, events(id.Sign, links[1], links[0]), key, ErrBroken},
		"twice":          {topic, events(id.Sign, links[1], links[1]), key, ErrBroken},
		"another record": {topic, events(id.Sign, links[1], forged, links[3]), key, ErrBroken},
		"another gate":   {topic, events(id.Sign, foreign...), key, ErrBroken},
		"other key":      {topic, events(other.Sign, links[:3]...), key, ErrSignature},
		"other topic":    {topic + "x", events(id.Sign, links[:3]...), key, ErrSignature},
		"unsigned":       {topic, events(id.Sign, links[:3]...)[:2], key, ErrSignature},
		"signed inside":  {topic, signedInside, key, ErrBroken},
	} {
		if err := VerifyBatch(tc.topic, home, tc.events, tc.key); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if err := VerifyBatch(topic, home, events(id.Sign, links[2:5]...), key); err != nil {
		t.Errorf("a piece from the middle: %v", err)
	}
}

func TestParseBatchRefuses(t *testing.T) {
	ev, err := chain(t, home, record.NewEpoch(), 1)[0].Event()
	if err != nil {
		t.Fatal(err)
	}
	one, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"empty":        "",
		"empty list":   "[]",
		"nested":       "[[" + string(one) + "]]",
		"null":         "null",
		"null inside":  "[null]",
		"unknown":      "[" + strings.Replace(string(one), `{`, `{"x":1,`, 1) + "]",
		"cut":          "[" + string(one),
		"trailing":     "[" + string(one) + "]x",
		"deep":         strings.Repeat("[", MaxBatch),
		"many":         "[" + strings.Repeat("0,", MaxBatchEvents) + "0]",
		"long":         string(bytes.Repeat([]byte(" "), MaxBatch+1)),
		"other value":  `"x"`,
		"single cut":   string(one[:len(one)-1]),
		"single twice": string(one) + string(one),
	} {
		if _, err := ParseBatch([]byte(body)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// The signatures up, by a fixed key: other programs make and check the same.
func TestGoldenSignatures(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	sign := func(topic string, canonical []byte) []byte {
		return ed25519.Sign(key, append(append([]byte(topic), 0), canonical...))
	}
	topics := mustTopics(t, DefaultPrefix)
	state, err := SignBody(topics.State(home), sampleState(), sign)
	if err != nil {
		t.Fatal(err)
	}
	will, err := SignBody(topics.State(home), State{Boot: boot}, sign)
	if err != nil {
		t.Fatal(err)
	}
	text, err := batchText(goldenEvent(t))
	if err != nil {
		t.Fatal(err)
	}
	_, canonical, _, err := unsigned(will, MaxState)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(map[string]any{
		"public_key":     Blob(key.Public().(ed25519.PublicKey)),
		"topic":          topics.State(home),
		"state":          json.RawMessage(state),
		"will":           json.RawMessage(will),
		"will_canonical": hex.EncodeToString(canonical),
		"entry_topic":    topics.Entry(home),
		"entry_text":     hex.EncodeToString(text),
		"entry_sig":      Blob(sign(topics.Entry(home), text)),
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "signatures.json", b)
	for _, body := range [][]byte{state, will} {
		if err := VerifyBody(topics.State(home), body, identity.Key(key.Public().(ed25519.PublicKey))); err != nil {
			t.Error(err)
		}
	}
}

// goldenEvent is the first event of the record format's golden chain.
func goldenEvent(t *testing.T) record.Event {
	t.Helper()
	b, err := os.ReadFile("../../agent/record/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Event record.Event `json:"event"`
	}
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors[0].Event
}

func BenchmarkParseBatch(b *testing.B) {
	id := newIdentity(b)
	body, n, err := EncodeBatch("t", chain(b, home, record.Epoch{1}, 60), id.Sign)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := ParseBatch(body); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/event")
}
