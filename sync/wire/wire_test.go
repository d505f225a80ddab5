package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/identity"
)

var (
	update = flag.Bool("update", false, "write the golden files anew")
	home   = record.Origin{Site: "hn01", Gate: "g1"}
	boot   = strings.Repeat("b7", 8)
)

func mustTopics(t testing.TB, prefix string) Topics {
	t.Helper()
	topics, err := NewTopics(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return topics
}

func newIdentity(t testing.TB) *identity.Identity {
	t.Helper()
	id, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// The topic tree, written out: other programs rely on it.
func TestTopicTree(t *testing.T) {
	topics := mustTopics(t, DefaultPrefix)
	d := strings.Repeat("0a", 32)
	for k, want := range map[Kind][2]string{
		KindState:          {"gate/v1/hn01/g1/state", "gate/v1/+/+/state"},
		KindEntry:          {"gate/v1/hn01/g1/entry", "gate/v1/+/+/entry"},
		KindEntryAck:       {"gate/v1/hn01/g1/entry/ack", "gate/v1/+/+/entry/ack"},
		KindHello:          {"gate/v1/hn01/g1/hello", "gate/v1/+/+/hello"},
		KindHelloReply:     {"gate/v1/hn01/g1/hello/reply", "gate/v1/+/+/hello/reply"},
		KindCommand:        {"gate/v1/hn01/g1/command", "gate/v1/+/+/command"},
		KindCommandResult:  {"gate/v1/hn01/g1/command/result", "gate/v1/+/+/command/result"},
		KindWant:           {"gate/v1/hn01/g1/data/want", "gate/v1/+/+/data/want"},
		KindGateChunk:      {"gate/v1/hn01/g1/data/chunk/" + d, "gate/v1/+/+/data/chunk/+"},
		KindManifest:       {"gate/v1/data/vn/manifest", "gate/v1/data/+/manifest"},
		KindChunk:          {"gate/v1/data/vn/chunk/" + d, "gate/v1/data/+/chunk/+"},
		KindDelta:          {"gate/v1/data/vn/delta/7", "gate/v1/data/+/delta/+"},
		KindPolicy:         {"gate/v1/hn01/policy", "gate/v1/+/policy"},
		KindTrust:          {"gate/v1/hn01/trust", "gate/v1/+/trust"},
		KindRevoked:        {"gate/v1/hn01/revoked", "gate/v1/+/revoked"},
		KindCentralState:   {"gate/v1/central/state", "gate/v1/central/state"},
		KindEnroll:         {"gate/v1/enroll/" + d, "gate/v1/enroll/+"},
		KindEnrollReply:    {"gate/v1/enroll/" + d + "/reply", "gate/v1/enroll/+/reply"},
		KindUpdateManifest: {"gate/v1/update/manifest", "gate/v1/update/manifest"},
		KindUpdateChunk:    {"gate/v1/update/chunk/" + d, "gate/v1/update/chunk/+"},
	} {
		full := Address{Kind: k, Site: "hn01", Gate: "g1", Set: "vn", Digest: d, N: 7}
		if got := topics.Of(full); got != want[0] {
			t.Errorf("kind %d: %s, want %s", k, got, want[0])
		}
		if got := topics.Filter(k); got != want[1] {
			t.Errorf("kind %d: filter %s, want %s", k, got, want[1])
		}
		back, ok := topics.Parse(want[0])
		if !ok || back.Kind != k || topics.Of(back) != want[0] {
			t.Errorf("%s read as %+v", want[0], back)
		}
	}
	if len(patterns) != int(KindUpdateChunk)+1 {
		t.Error("a kind has no pattern")
	}
	for got, want := range map[string]string{
		topics.State(home): "gate/v1/hn01/g1/state", topics.Entry(home): "gate/v1/hn01/g1/entry",
		topics.EntryAck(home): "gate/v1/hn01/g1/entry/ack", topics.Hello(home): "gate/v1/hn01/g1/hello",
		topics.HelloReply(home): "gate/v1/hn01/g1/hello/reply", topics.Command(home): "gate/v1/hn01/g1/command",
		topics.CommandResult(home): "gate/v1/hn01/g1/command/result", topics.Manifest("vn"): "gate/v1/data/vn/manifest",
		topics.Chunk("vn", d): "gate/v1/data/vn/chunk/" + d, topics.Policy("hn01"): "gate/v1/hn01/policy",
		topics.Trust("hn01"): "gate/v1/hn01/trust", topics.CentralState(): "gate/v1/central/state",
		topics.Delta("vn", 7): "gate/v1/data/vn/delta/7", topics.Deltas("vn"): "gate/v1/data/vn/delta/+",
		topics.Want(home): "gate/v1/hn01/g1/data/want", topics.Wants("hn01"): "gate/v1/hn01/+/data/want",
		topics.GateChunk(home, d): "gate/v1/hn01/g1/data/chunk/" + d, topics.GateChunks(home): "gate/v1/hn01/g1/data/chunk/+",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, topic := range []string{
		"", "gate/v1", "gate/v1/", "gate/v2/hn01/g1/state", "gate/v1/hn01/g1", "gate/v1/hn01/g1/state/x", "gate/v1/HN01/g1/state",
		"gate/v1/data/g1/state", "gate/v1/central/g1/entry", "gate/v1/enroll/g1/hello", "gate/v1/update/g1/hello", "gate/v1/hn01/policy/entry",
		"gate/v1/hn01/trust/entry", "gate/v1/hn01/data/entry", "gate/v1/hn01/revoked/state", "gate/v1/central/policy",
		"gate/v1/data/vn/chunk/" + strings.ToUpper(d), "gate/v1/data/vn/chunk/0a", "gate/v1/data/vn/delta/0", "gate/v1/data/vn/delta/07",
		"gate/v1/data/vn/delta/-1", "gate/v1/hn01//state", "gate/v1/+/+/state", "gate/v1/hn01/g1/state/", "xgate/v1/hn01/g1/state",
		"gate/v1/" + strings.Repeat("a", 33) + "/g1/state", "gate/v1/hn01/g\x001/state",
	} {
		if a, ok := topics.Parse(topic); ok {
			t.Errorf("%q read as %+v", topic, a)
		}
	}
	for _, prefix := range []string{"", "/", "gate/", "/gate", "a//b", "a b", "a/+", "#", "$share/x", strings.Repeat("a", 65)} {
		if _, err := NewTopics(prefix); err == nil {
			t.Errorf("prefix %q was taken", prefix)
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Errorf("%s: %s", name, diff)
	}
}

func sampleState() State {
	return State{
		Online: true, Boot: boot, Time: 1633048200123, Version: "0.1.0",
		ID:      identity.Public{Ed25519: identity.Key{1}, X25519: identity.Key{2}},
		Decides: true, Health: []Component{{Name: "camera:main", Level: "failed", Code: "device_gone", Since: 1633048200000}},
		Clock: "central", Journal: &JournalState{Epoch: record.Epoch{1, 2}, Seq: 42, Acked: 40, Queued: 2},
		Trust: 3, Policy: &PolicyState{ID: "vn-2021-default", Ver: 2}, Revoked: 5,
		Data: map[string]SetState{
			"lists": {Ver: 3, AsOf: 1633048000000, Keys: "lists-2021", Base: 3},
			"vn": {
				Ver: 12, AsOf: 1633048000000, Keys: "vn-2021", Base: 11, Fetching: &Fetching{Ver: 13, Done: 3, Of: 40},
				Refused: "bad_signature",
			},
		},
	}
}

func sampleManifest() Manifest {
	d := strings.Repeat("0a", 32)
	return Manifest{
		Aud: "vn", Ver: 12, Iat: 1633046400, Exp: 1633132800, Coding: CodingColumns, KeyHold: KeyHoldFile,
		Base: Base{
			Version: 11, People: 100, Extras: 7, Blocks: 2, Width: 9, BaseDay: "2020-01-01", KeyID: "vn-2021", Digest: d,
			Lists: []string{"staff", "visitors"},
		},
		Chunks: Chunks{{Digest: d, Size: 500, First: 0, Last: 0, People: 62}, {Digest: d, Size: 300, First: 1, Last: 1, People: 38}},
		Deltas: []DeltaRef{
			{N: 10, Base: 8, Size: 700, Digest: d}, {N: 11, Base: 8, Size: 900, Digest: d}, {N: 12, Base: 11, Size: 800, Digest: d},
		},
		URLs: []string{"https://example.invalid/chunks/"}, SpreadS: 60,
	}
}

// The bodies' JSON is what other programs read.
func TestGoldenBodies(t *testing.T) {
	pos := Position{Epoch: record.Epoch{1, 2}, Seq: 42, Head: record.Hash{0xaa}}
	for name, body := range map[string]any{
		"state.json": sampleState(),
		"will.json":  State{Boot: boot},
		"hello.json": Hello{Nonce: strings.Repeat("0f", 16), Boot: boot, Epoch: pos.Epoch, Seq: 42, Head: pos.Head, ID: sampleState().ID},
		"ack.json":   Ack{Aud: "hn01/g1", Iat: 1633046400, Time: 1633046400123, Position: pos},
		"hello_reply.json": HelloReply{
			Aud: "hn01/g1", Iat: 1633046400, Nonce: strings.Repeat("0f", 16), Time: 1633046400123, Ack: &pos,
		},
		"central_state.json": CentralState{Online: true, Boot: boot, Since: 1633046400123},
		"manifest.json":      sampleManifest(),
		"delta.json":         sampleDelta(),
		"delta_chunks.json":  largeDelta(),
		"want.json":          Want{Set: "vn", Digests: []string{strings.Repeat("0a", 32), strings.Repeat("0b", 32)}},
	} {
		b, err := json.MarshalIndent(body, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, b)
	}
}

func TestBodiesRoundTripSigned(t *testing.T) {
	id, other := newIdentity(t), newIdentity(t)
	topic := mustTopics(t, DefaultPrefix).State(home)
	want := sampleState()
	want.ID = id.Public()
	body, err := SignBody(topic, want, id.Sign)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseState(body)
	if err != nil {
		t.Fatal(err)
	}
	got.Sig = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := VerifyBody(topic, body, id.Public().Ed25519); err != nil {
		t.Error(err)
	}
	// A reader of another age still verifies what it does not know.
	later, err := SignBody(topic, map[string]any{"online": false, "boot": boot, "mood": map[string]any{"x": 1.5}}, id.Sign)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseState(later); err != nil {
		t.Error(err)
	}
	if err := VerifyBody(topic, later, id.Public().Ed25519); err != nil {
		t.Error(err)
	}
	for name, tc := range map[string]struct {
		topic, body string
		key         identity.Key
	}{
		"other topic": {topic + "x", string(body), id.Public().Ed25519},
		"other key":   {topic, string(body), other.Public().Ed25519},
		"changed":     {topic, strings.Replace(string(body), `"seq":42`, `"seq":43`, 1), id.Public().Ed25519},
		"added":       {topic, strings.Replace(string(body), `{`, `{"x":1,`, 1), id.Public().Ed25519},
		"unsigned":    {topic, `{"online":false,"boot":"` + boot + `"}`, id.Public().Ed25519},
		"sig null":    {topic, `{"online":false,"boot":"` + boot + `","sig":null}`, id.Public().Ed25519},
		"sig twice":   {topic, strings.Replace(string(body), `{`, `{"sig":"AAAA",`, 1), id.Public().Ed25519},
		"sig not b64": {topic, `{"online":false,"boot":"` + boot + `","sig":"=="}`, id.Public().Ed25519},
		"list":        {topic, `[]`, id.Public().Ed25519},
	} {
		if err := VerifyBody(tc.topic, []byte(tc.body), tc.key); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if err := VerifyBody(topic+"x", body, id.Public().Ed25519); !errors.Is(err, ErrSignature) {
		t.Errorf("%v is no ErrSignature", err)
	}
}

func TestParsersRefuse(t *testing.T) {
	b := `"boot":"` + boot + `"`
	idJSON := `"id":{"ed25519":"` + strings.Repeat("A", 42) + `E","x25519":"` + strings.Repeat("A", 43) + `"}`
	hello := `{"nonce":"` + strings.Repeat("0f", 16) + `",` + b + `,"epoch":"0102030405060708","seq":0,"head":"` + strings.Repeat("00", 32) + `",` + idJSON + `}`
	if _, err := ParseHello([]byte(hello)); err != nil {
		t.Fatal(err)
	}
	cut := func(old, new string) string {
		if !strings.Contains(hello, old) {
			t.Fatalf("no %s", old)
		}
		return strings.Replace(hello, old, new, 1)
	}
	for name, err := range map[string]error{
		"cleared state":        second(ParseState(nil)),
		"state no boot":        second(ParseState([]byte(`{"online":false}`))),
		"state bad boot":       second(ParseState([]byte(`{"online":false,"boot":"XYZ"}`))),
		"state no identity":    second(ParseState([]byte(`{"online":true,` + b + `}`))),
		"will with more":       second(ParseState([]byte(`{"online":false,"time":5,` + b + `}`))),
		"state bad set":        second(ParseState([]byte(`{"online":true,` + b + `,` + idJSON + `,"data":{"A/B":{"ver":1}}}`))),
		"state of a set":       second(ParseState([]byte(`{"online":true,` + b + `,` + idJSON + `,"data":{"vn":{"ver":1,"fetching":{"ver":2,"done":5,"of":4}}}}`))),
		"state long code":      second(ParseState([]byte(`{"online":true,` + b + `,` + idJSON + `,"data":{"vn":{"ver":1,"refused":"` + strings.Repeat("x", 65) + `"}}}`))),
		"want nothing":         second(ParseWant([]byte(`{"set":"vn","digests":[]}`))),
		"want too much":        second(ParseWant([]byte(`{"set":"vn","digests":[` + strings.Repeat(`"`+strings.Repeat("0a", 32)+`",`, MaxWanted) + `"` + strings.Repeat("0b", 32) + `"]}`))),
		"want twice":           second(ParseWant([]byte(`{"set":"vn","digests":["` + strings.Repeat("0a", 32) + `","` + strings.Repeat("0a", 32) + `"]}`))),
		"want of no set":       second(ParseWant([]byte(`{"set":"","digests":["` + strings.Repeat("0a", 32) + `"]}`))),
		"want no digest":       second(ParseWant([]byte(`{"set":"vn","digests":["../../etc"]}`))),
		"want long":            second(ParseWant(bytes.Repeat([]byte(" "), MaxWant+1))),
		"state twice":          second(ParseState([]byte(`{"online":false,"online":true,` + b + `}`))),
		"state other letters":  second(ParseState([]byte(`{"online":false,"Online":true,` + b + `}`))),
		"state long":           second(ParseState(bytes.Repeat([]byte(" "), MaxState+1))),
		"state deep":           second(ParseState([]byte(strings.Repeat("[", 5000)))),
		"hello short nonce":    second(ParseHello([]byte(cut("0f0f", "0f")))),
		"hello capital nonce":  second(ParseHello([]byte(cut("0f0f", "0F0F")))),
		"hello short epoch":    second(ParseHello([]byte(cut("01020304", "0102")))),
		"hello null id":        second(ParseHello([]byte(cut(idJSON, `"id":null`)))),
		"hello long":           second(ParseHello([]byte(hello + strings.Repeat(" ", MaxHello)))),
		"hello seq negative":   second(ParseHello([]byte(cut(`"seq":0`, `"seq":-1`)))),
		"hello seq large":      second(ParseHello([]byte(cut(`"seq":0`, `"seq":18446744073709551615`)))),
		"ack of nothing":       second(ParseAck([]byte(`{"aud":"a/b","iat":1,"time":1000,"epoch":"0102030405060708","seq":0,"head":"` + strings.Repeat("00", 32) + `"}`))),
		"ack no head":          second(ParseAck([]byte(`{"aud":"a/b","iat":1,"time":1000,"epoch":"0102030405060708","seq":1}`))),
		"ack other time":       second(ParseAck([]byte(`{"aud":"a/b","iat":1,"time":2000,"epoch":"0102030405060708","seq":1,"head":"` + strings.Repeat("00", 32) + `"}`))),
		"reply no time":        second(ParseHelloReply([]byte(`{"aud":"a/b","iat":1,"nonce":"` + strings.Repeat("0f", 16) + `","time":0}`))),
		"reply no nonce":       second(ParseHelloReply([]byte(`{"aud":"a/b","iat":1,"nonce":"","time":5}`))),
		"reply ack of nothing": second(ParseHelloReply([]byte(`{"aud":"a/b","iat":1,"nonce":"` + strings.Repeat("0f", 16) + `","time":5,"ack":{"epoch":"0000000000000000","seq":1,"head":"` + strings.Repeat("00", 32) + `"}}`))),
		"central long":         second(ParseCentralState(bytes.Repeat([]byte(" "), MaxCentralState+1))),
	} {
		if err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func second[A any](_ A, err error) error { return err }

// The largest want fits its limit, and a reader of another age takes it.
func TestWant(t *testing.T) {
	id := newIdentity(t)
	topic := mustTopics(t, DefaultPrefix).Want(home)
	w := Want{Set: strings.Repeat("s", 32)}
	for i := range MaxWanted {
		w.Digests = append(w.Digests, strings.Repeat("0"+strconv.FormatInt(int64(i), 16), 32))
	}
	body, err := w.Marshal(topic, id.Sign)
	if err != nil || len(body) > MaxWant {
		t.Fatalf("%d bytes: %v", len(body), err)
	}
	got, err := ParseWant(body)
	if err != nil || VerifyBody(topic, body, id.Public().Ed25519) != nil {
		t.Fatal(err)
	}
	got.Sig = nil
	if diff := cmp.Diff(w, got); diff != "" {
		t.Error(diff)
	}
	w.Digests = nil
	if _, err := w.Marshal(topic, id.Sign); err == nil {
		t.Error("a want of nothing was written")
	}
	if _, err := ParseWant([]byte(`{"set":"vn","digests":["` + strings.Repeat("0a", 32) + `"],"hurry":true}`)); err != nil {
		t.Error(err)
	}
}

func TestManifest(t *testing.T) {
	good := sampleManifest()
	b, err := good.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseManifest(b)
	if diff := cmp.Diff(good, back); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	g, err := back.Generation([]byte("doc"))
	want := gate.Generation{
		Set: "vn", Version: 11, People: 100, Extras: 7, Blocks: 2, Width: 9, Lists: []string{"staff", "visitors"}, KeyID: "vn-2021", BaseDay: gate.Date{Year: 2020, Month: 1, DayOfMonth: 1}.Day(),
		Issued: time.Unix(1633046400, 0).UTC(), Digest: [32]byte(bytes.Repeat([]byte{0x0a}, 32)), Manifest: []byte("doc"),
	}
	if diff := cmp.Diff(want, g); err != nil || diff != "" {
		t.Error(err, diff)
	}
	empty := sampleManifest()
	empty.Base.People, empty.Base.Extras, empty.Base.Blocks, empty.Chunks = 0, 0, 1, nil
	if err := empty.Check(); err != nil {
		t.Errorf("a set of nobody: %v", err)
	}
	for name, change := range map[string]func(*Manifest){
		"coding":          func(m *Manifest) { m.Coding = "rank+zstd" },
		"key hold":        func(m *Manifest) { m.KeyHold = "" },
		"set":             func(m *Manifest) { m.Aud = "../vn" },
		"base version":    func(m *Manifest) { m.Base.Version = 10 },
		"no base version": func(m *Manifest) { m.Base.Version, m.Deltas = 0, nil },
		"version zero":    func(m *Manifest) { m.Ver, m.Base.Version, m.Deltas = 0, 0, nil },
		"version huge":    func(m *Manifest) { m.Ver, m.Base.Version, m.Deltas = 1<<53, 1<<53, nil },
		"version beyond":  func(m *Manifest) { m.Ver = 13 },
		"version below":   func(m *Manifest) { m.Ver = 11 },
		"base above":      func(m *Manifest) { m.Base.Version, m.Deltas = 13, nil },
		"delta missing":   func(m *Manifest) { m.Deltas = append(m.Deltas[:1:1], m.Deltas[2]) },
		"delta twice":     func(m *Manifest) { m.Deltas[0].N = 11 },
		"deltas too late": func(m *Manifest) { m.Base.Version = 9; m.Deltas = m.Deltas[2:] },
		"delta zero": func(m *Manifest) {
			m.Ver, m.Base.Version, m.Deltas = 1, 1, []DeltaRef{{Size: 1, Digest: m.Base.Digest}}
		},
		"delta on another":  func(m *Manifest) { m.Deltas[2].Base = 8 },
		"old on another":    func(m *Manifest) { m.Deltas[1].Base = 7 },
		"old on itself":     func(m *Manifest) { m.Deltas[0].Base, m.Deltas[1].Base = 10, 10 },
		"old on nothing":    func(m *Manifest) { m.Deltas[0].Base, m.Deltas[1].Base = 0, 0 },
		"delta size":        func(m *Manifest) { m.Deltas[0].Size = 0 },
		"delta large":       func(m *Manifest) { m.Deltas[0].Size = maxDeltaBytes + 1 },
		"delta digest":      func(m *Manifest) { m.Deltas[0].Digest = "00" },
		"many deltas":       func(m *Manifest) { m.Deltas = make([]DeltaRef, MaxDeltas+1) },
		"back from below":   func(m *Manifest) { m.BackFrom = 12 },
		"back from afar":    func(m *Manifest) { m.BackFrom = 1 << 60 },
		"spread":            func(m *Manifest) { m.SpreadS = maxSpread + 1 },
		"width":             func(m *Manifest) { m.Base.Width = 8 },
		"blocks":            func(m *Manifest) { m.Base.Blocks = 3 },
		"no blocks":         func(m *Manifest) { m.Base.Blocks = 0 },
		"people overflow":   func(m *Manifest) { m.Base.People = 1<<64 - 1; m.Base.Blocks = 1 },
		"extras":            func(m *Manifest) { m.Base.Extras = 101 },
		"digest":            func(m *Manifest) { m.Base.Digest = "" },
		"key id":            func(m *Manifest) { m.Base.KeyID = "" },
		"base day":          func(m *Manifest) { m.Base.BaseDay = "1/1/2020" },
		"list name":         func(m *Manifest) { m.Base.Lists = []string{"the boss"} },
		"list twice":        func(m *Manifest) { m.Base.Lists = []string{"staff", "staff"} },
		"many lists":        func(m *Manifest) { m.Base.Lists = make([]string, gate.MaxListNames+1) },
		"chunk digest":      func(m *Manifest) { m.Chunks[0].Digest = "x" },
		"chunk size":        func(m *Manifest) { m.Chunks[0].Size = MaxChunk + 1 },
		"chunk empty":       func(m *Manifest) { m.Chunks[0].Size = 0 },
		"chunk order":       func(m *Manifest) { m.Chunks[0], m.Chunks[1] = m.Chunks[1], m.Chunks[0] },
		"chunk overlap":     func(m *Manifest) { m.Chunks[0].Last = 1 },
		"chunk reversed":    func(m *Manifest) { m.Chunks[1].First = 2 },
		"chunk outside":     func(m *Manifest) { m.Chunks[1].Last = 2 },
		"chunk missing":     func(m *Manifest) { m.Chunks, m.Base.People, m.Base.Blocks = m.Chunks[:1], 62, 2 },
		"chunk people":      func(m *Manifest) { m.Chunks[0].People = 61 },
		"chunk people wrap": func(m *Manifest) { m.Chunks[1].People = 1<<64 - 24 },
		"chunk of nobody":   func(m *Manifest) { m.Chunks[0].People = 0 },
		"too many chunks":   func(m *Manifest) { m.Chunks = make([]Chunk, MaxChunks+1) },
		"plain http":        func(m *Manifest) { m.URLs = []string{"http://example.invalid/"} },
		"many urls":         func(m *Manifest) { m.URLs = make([]string, maxURLs+1) },
	} {
		m := sampleManifest()
		change(&m)
		if m.Check() == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := m.Marshal(); err == nil {
			t.Errorf("%s was written", name)
		}
		b, err := json.Marshal(m)
		if err != nil {
			continue // it has no form at all
		}
		if _, err := ParseManifest(b); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}
