package record

import (
	"encoding/hex"
	"encoding/json"
	goflag "flag"
	"os"
	"testing"
	"time"

	"gateagent/agent/gate"
)

var update = goflag.Bool("update", false, "write testdata/vectors.json anew")

const vectorFile = "testdata/vectors.json"

// vector is one record of the golden chain. Other programs that implement the
// format are held to the same file.
type vector struct {
	Name     string          `json:"name"`
	Event    json.RawMessage `json:"event"`
	Public   string          `json:"public_hex"`
	Salt     string          `json:"salt_hex,omitempty"`
	Personal string          `json:"personal_hex,omitempty"`
	Inputs   string          `json:"inputs_hex,omitempty"`
	Digest   string          `json:"digest"`
	Stored   string          `json:"stored_hex"`
	Prev     string          `json:"prev"`
	Hash     string          `json:"hash"`
}

var goldenNames = []string{
	"epoch", "start", "entry with everything", "entry with nothing", "passage", "override", "data", "clock", "fault", "erased entry",
	"entry with extras",
}

// goldenLinks makes one chain with every type, with salts that count up.
func goldenLinks(t testing.TB) []Link {
	at := time.Date(2021, 10, 1, 0, 30, 0, 123000000, time.UTC)
	e := Epoch{0x5f, 0x3a, 0x91, 0x00, 0x11, 0x22, 0x33, 0x44}
	lost := Position{Epoch: Epoch{1, 2, 3, 4, 5, 6, 7, 8}, Seq: 41, Head: Hash{0xaa, 0xbb}}
	full := gate.Entry{
		Time: at, Lane: "main", Verdict: gate.AllowNotice, Reasons: []gate.Reason{gate.ReasonVaccinated, gate.ReasonStaleData},
		Class: gate.Green, Credential: gate.KindCCCD, Subject: 0x0123456789abcdef, HasSubject: true,
		Policy: gate.PolicyRef{ID: "vn-2021-default", Version: 1}, DataAge: 90061,
		Data:  []gate.SetVersion{{Set: "vn", Version: 12}, {Set: "hn01-lists", Version: 3}},
		Clock: gate.ClockCentral,
		Inputs: gate.Inputs{
			Now: at.UnixMilli(), Credential: gate.KindCCCD, Flags: gate.FlagSexMismatch, CardExpires: 25202,
			Facts: gate.Facts{Found: true, Word: 0x1234, Base: 18262}, DataAge: 90061, Clock: gate.ClockCentral,
		},
		Decode: 12345 * time.Microsecond, Lookup: 80 * time.Microsecond, Decide: 1500 * time.Nanosecond,
		Ref: 2, Needs: "card", Count: 3,
		Shadow: &gate.Shadow{Policy: gate.PolicyRef{ID: "vn-2021-next", Version: 2}, Verdict: gate.Deny, Reasons: []gate.Reason{gate.ReasonNoFactCounts}},
	}
	made := make([]Record, 0, len(goldenNames))
	add := func(r Record, err error) {
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, r)
	}
	next := func() uint64 { return uint64(len(made) + 1) }
	event := func(kind gate.EventKind, d map[string]any) {
		add(FromEvent(home, e, next(), gate.Event{Time: at, Kind: kind, Details: d}))
	}
	add(FromEvent(home, e, next(), FirstEvent(at, lost, "damaged")))
	event(gate.EventStart, map[string]any{"version": "0.1.0", "boot": "b7", "arch": "linux/arm64"})
	add(FromEntry(home, e, next(), full))
	add(FromEntry(home, e, next(), gate.Entry{Time: at, Lane: "main", DataAge: -1}))
	add(FromPassage(home, e, next(), gate.Passage{
		Time: at, Lane: "main", Ref: 3, Opened: true, Door: gate.DoorPassed, Record: 4200 * time.Microsecond, Actuate: 61 * time.Millisecond,
	}))
	add(FromOverride(home, e, next(), gate.Override{Time: at, Lane: "main", By: "guard", Operator: "ca 2", Reason: "xe lăn", Ref: 4}))
	event(gate.EventData, map[string]any{"set": "vn", "ver": 12, "was": 11, "people": 100000})
	event(gate.EventClock, map[string]any{"from": "floor", "to": "central", "step_ms": -86400000})
	event(gate.EventFault, map[string]any{"component": "camera:main", "code": "device_gone", "state": "raised"})
	add(FromEntry(home, e, next(), full))
	add(FromEntry(home, e, next(), gate.Entry{Time: at, Lane: "main", Inputs: gate.Inputs{Now: at.UnixMilli(), Facts: manyFacts()}}))

	var prev Hash
	links := make([]Link, len(made))
	for i, r := range made {
		salt := [SaltSize]byte{0: byte(i), 15: 0xff}
		r, err := newRecord(r.Public, r.Personal, salt)
		if err != nil {
			t.Fatal(err)
		}
		if goldenNames[i] == "erased entry" {
			r = r.Erase()
		}
		links[i] = Link{Seq: uint64(i + 1), Prev: prev, Record: r}
		prev = links[i].Hash()
	}
	return links
}

// manyFacts has everything that extras can hold.
func manyFacts() gate.Facts {
	f := gate.Facts{Found: true, Word: 0x9234, Base: 18262, HasExtras: true, CardMismatch: true}
	f.Extras = gate.Extras{
		FirstDose: 18700, Completed: 18730, LastDose: 18900, Positive: 18600, Recovered: 18620, Quarantine: 18625,
		Window: gate.Window{From: 18800, To: 18999, Weekdays: 0b11111, Start: 450, End: 1080}, Beyond: true,
	}
	f.Extras.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: 27_000_000})
	f.Extras.AddTest(gate.Test{Kind: gate.TestAntigen, Positive: true, Sampled: 26_900_000})
	f.Extras.AddList(gate.Membership{List: "staff"})
	f.Extras.AddList(gate.Membership{List: "visitor", Window: gate.Window{To: 18900}})
	f.Extras.AddOther(gate.Other{Provider: gate.ProviderSchool, Code: 3, Day: 18871})
	return f
}

func vectorOf(t *testing.T, name string, l Link) vector {
	event, err := json.Marshal(l.mustEvent(t))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := l.Record.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	v := vector{
		Name: name, Event: event, Public: hex.EncodeToString(l.Record.Public), Salt: hex.EncodeToString(l.Record.Salt),
		Personal: hex.EncodeToString(l.Record.Personal), Digest: l.Record.Digest.String(),
		Stored: hex.EncodeToString(stored), Prev: l.Prev.String(), Hash: l.Hash().String(),
	}
	if !l.Record.Erased() {
		var p personal
		if err := decMode.Unmarshal(l.Record.Personal, &p); err != nil {
			t.Fatal(err)
		}
		v.Inputs = hex.EncodeToString(p.Inputs)
	}
	return v
}

// The bytes of the format never change. A failure here means that records in
// the field no longer verify: the format needs a new number, not a new file.
func TestGoldenVectors(t *testing.T) {
	links := goldenLinks(t)
	if *update {
		list := make([]vector, len(links))
		for i, l := range links {
			list[i] = vectorOf(t, goldenNames[i], l)
		}
		b, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorFile, append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(vectorFile)
	if err != nil {
		t.Fatal(err)
	}
	var want []vector
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if len(want) != len(links) {
		t.Fatalf("%d vectors for %d records", len(want), len(links))
	}
	for i, w := range want {
		t.Run(w.Name, func(t *testing.T) {
			got := vectorOf(t, goldenNames[i], links[i])
			if got.Public != w.Public || got.Personal != w.Personal || got.Inputs != w.Inputs || got.Stored != w.Stored {
				t.Errorf("bytes differ:\n got %s %s\nwant %s %s", got.Public, got.Personal, w.Public, w.Personal)
			}
			if got.Digest != w.Digest || got.Hash != w.Hash || got.Prev != w.Prev {
				t.Errorf("hashes differ: %s, want %s", got.Hash, w.Hash)
			}
			ev, err := ParseEvent(w.Event)
			if err != nil {
				t.Fatal(err)
			}
			if h := ev.Link().Hash().String(); h != w.Hash {
				t.Errorf("the event gives %s, want %s", h, w.Hash)
			}
		})
	}
}
