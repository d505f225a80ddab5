package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
)

// sampleChanges has a change of each kind: of a record of the base its word,
// its extras, its end, and the same by remainder.
func sampleChanges() []gate.Change {
	return []gate.Change{
		{Block: 3, Place: 0, Word: 0x1234, Check: 7},
		{Block: 3, Place: 61, Gone: true},
		{Block: 3, Place: -1, Rem: 0x0102030405, Word: 0x9000, Check: 8, Extras: []byte("body of an entry")},
		{Block: 90, Place: 5, Word: 0x8001},
		{Block: 90, Place: -1, Rem: 0xffffffffff, Gone: true},
		{Block: 70_000, Place: 254, Word: 0x1234, Check: 0xffff},
	}
}

// put gives a delta that holds changes.
func put(changes []gate.Change, width int) (d DeltaDoc, messages [][]byte) {
	d = DeltaDoc{
		Aud: "vn", N: 13, Iat: 1633046400, Exp: 1633132800, Base: 11, BaseDigest: strings.Repeat("0a", 32), People: 101,
		Lists: []string{"staff", "visitors", "watch"},
	}
	pieces, err := EncodeChanges(changes, width)
	if err != nil {
		panic(err)
	}
	return d, d.PutChanges(pieces, uint64(len(changes)))
}

func sampleDelta() DeltaDoc {
	d, _ := put(sampleChanges(), widthCheck)
	return d
}

func largeDelta() DeltaDoc {
	d := sampleDelta()
	d.Body, d.Count, d.Lists = nil, 490_000, nil
	d.Chunks = []Piece{{Digest: strings.Repeat("0b", 32), Size: 200_000}, {Digest: strings.Repeat("0c", 32), Size: 1}}
	return d
}

func TestDelta(t *testing.T) {
	for name, good := range map[string]DeltaDoc{
		"small": sampleDelta(), "large": largeDelta(),
		"empty": {
			Aud: "vn", N: 12, Iat: 1633046400, Exp: 1633132800, Base: 11, BaseDigest: strings.Repeat("0a", 32), Coding: CodingChanges, People: 100,
		},
	} {
		b, err := good.Marshal()
		if err != nil {
			t.Fatal(name, err)
		}
		back, err := ParseDelta(b)
		if diff := cmp.Diff(good, back); err != nil || diff != "" {
			t.Error(name, err, diff)
		}
	}
	want := gate.Delta{
		Set: "vn", N: 13, Base: 11, BaseDigest: [32]byte(bytes.Repeat([]byte{0x0a}, 32)), Issued: time.Unix(1633046400, 0).UTC(),
		Changes: 6, People: 101, Lists: []string{"staff", "visitors", "watch"},
	}
	if diff := cmp.Diff(want, sampleDelta().Domain()); diff != "" {
		t.Error(diff)
	}
	for name, change := range map[string]func(*DeltaDoc){
		"set":           func(d *DeltaDoc) { d.Aud = "" },
		"number":        func(d *DeltaDoc) { d.N = 0 },
		"number base":   func(d *DeltaDoc) { d.N = 11 },
		"number huge":   func(d *DeltaDoc) { d.N = 1 << 60 },
		"no base":       func(d *DeltaDoc) { d.Base = 0 },
		"base digest":   func(d *DeltaDoc) { d.BaseDigest = "0a" },
		"coding":        func(d *DeltaDoc) { d.Coding = "" },
		"people":        func(d *DeltaDoc) { d.People = 1 << 50 },
		"no changes":    func(d *DeltaDoc) { d.Count = 0 },
		"many changes":  func(d *DeltaDoc) { d.Count = MaxChanges + 1 },
		"no body":       func(d *DeltaDoc) { d.Body = nil },
		"large body":    func(d *DeltaDoc) { d.Body = make(Blob, MaxInline+1) },
		"body and more": func(d *DeltaDoc) { d.Chunks = []Piece{{Digest: d.BaseDigest, Size: 1}} },
		"chunk digest":  func(d *DeltaDoc) { d.Body, d.Chunks = nil, []Piece{{Digest: "", Size: 1}} },
		"chunk empty":   func(d *DeltaDoc) { d.Body, d.Chunks = nil, []Piece{{Digest: d.BaseDigest}} },
		"chunk large":   func(d *DeltaDoc) { d.Body, d.Chunks = nil, []Piece{{Digest: d.BaseDigest, Size: MaxChunk + 1}} },
		"many chunks":   func(d *DeltaDoc) { d.Body, d.Chunks = nil, make([]Piece, MaxDeltaPieces+1) },
		"list name":     func(d *DeltaDoc) { d.Lists = []string{""} },
	} {
		d := sampleDelta()
		change(&d)
		if d.Check() == nil {
			t.Errorf("%s was taken", name)
		}
		if _, err := d.Marshal(); err == nil {
			t.Errorf("%s was written", name)
		}
		if b, err := json.Marshal(d); err != nil {
			t.Error(err)
		} else if _, err := ParseDelta(b); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	// The largest fits what is taken.
	most := largeDelta()
	most.Aud, most.Count = strings.Repeat("s", 32), MaxChanges
	for len(most.Chunks) < MaxDeltaPieces {
		most.Chunks = append(most.Chunks, Piece{Digest: most.BaseDigest, Size: MaxChunk})
	}
	for i := range gate.MaxListNames {
		most.Lists = append(most.Lists, fmt.Sprintf("%032d", i))
	}
	if _, err := most.Marshal(); err != nil {
		t.Error(err)
	}
}

func TestChangesOfADelta(t *testing.T) {
	read := func(d DeltaDoc, messages [][]byte) (out []gate.Change, err error) {
		err = d.Changes(func(p Piece) ([]byte, error) {
			for _, m := range messages {
				if sum := sha256.Sum256(m); hex.EncodeToString(sum[:]) == p.Digest && len(m) == p.Size {
					return m, nil
				}
			}
			return nil, errStop
		}, func(c gate.Change) error {
			c.Extras = bytes.Clone(c.Extras)
			out = append(out, c)
			return nil
		})
		return out, err
	}
	small, messages := put(sampleChanges(), widthCheck)
	if len(messages) > 0 || len(small.Body) == 0 {
		t.Fatal("a small delta is in pieces")
	}
	got, err := read(small, nil)
	if diff := cmp.Diff(sampleChanges(), got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	many := realChanges(150_000, 500_000, realWord)
	large, messages := put(many, widthPlain)
	if len(messages) < 2 || len(large.Body) > 0 {
		t.Fatalf("a large delta is in %d pieces", len(messages))
	}
	got, err = read(large, messages)
	if diff := cmp.Diff(many, got); err != nil || diff != "" {
		t.Error(err, "changes differ")
	}
	for name, change := range map[string]func(*DeltaDoc){
		"fewer":       func(d *DeltaDoc) { d.Count-- },
		"more":        func(d *DeltaDoc) { d.Count++ },
		"out of turn": func(d *DeltaDoc) { d.Chunks[0], d.Chunks[1] = d.Chunks[1], d.Chunks[0] },
		"again":       func(d *DeltaDoc) { d.Chunks[1] = d.Chunks[0] },
		"missing":     func(d *DeltaDoc) { d.Chunks[1].Size-- },
	} {
		d, _ := put(many, widthPlain)
		change(&d)
		if _, err := read(d, messages); err == nil {
			t.Errorf("%s: it was read", name)
		}
	}
	if err := small.Changes(nil, func(gate.Change) error { return errStop }); !errors.Is(err, errStop) {
		t.Error(err)
	}
}

func TestEncodeChangesRefuses(t *testing.T) {
	for name, changes := range map[string][]gate.Change{
		"out of order":     {{Block: 2}, {Block: 1}},
		"twice":            {{Block: 1, Place: 3}, {Block: 1, Place: 3}},
		"by rem first":     {{Block: 1, Place: -1}, {Block: 1, Place: 3}},
		"far block":        {{Block: maxBlocks}},
		"far place":        {{Place: maxPerBlock}},
		"place and rem":    {{Place: 1, Rem: 1}},
		"large rem":        {{Place: -1, Rem: 1 << 40}},
		"check bits":       {{Check: 1}},
		"extras, no flag":  {{Extras: []byte("x")}},
		"extras of nobody": {{Gone: true, Word: 1 << 15, Extras: []byte("x")}},
		"long extras":      {{Word: 1 << 15, Extras: make([]byte, 256)}},
	} {
		if _, err := EncodeChanges(changes, widthPlain); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if _, err := EncodeChanges(sampleChanges(), 8); err == nil {
		t.Error("records of 8 bytes were written")
	}
	if pieces, err := EncodeChanges(nil, widthPlain); err != nil || len(pieces) > 0 {
		t.Errorf("no changes are %d pieces: %v", len(pieces), err)
	}
	// Large extras make more pieces, not larger ones.
	changes := realChanges(8000, 1000, withExtras)
	for i := range changes {
		if changes[i].Word |= extrasFlag; changes[i].Gone {
			changes[i].Word = 0
			continue
		}
		changes[i].Extras = fmt.Appendf(nil, "%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
		changes[i].Extras = append(changes[i].Extras, changes[i].Extras...)
	}
	pieces, _ := encodeAll(t, changes, widthPlain)
	if diff := cmp.Diff(changes, decodeAll(t, pieces)); diff != "" || len(pieces) < 2 {
		t.Errorf("%d pieces %s", len(pieces), diff)
	}
}
