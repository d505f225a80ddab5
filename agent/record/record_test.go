package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gateagent/agent/gate"
)

var home = Origin{Site: "hn01", Gate: "g1"}

func drawEntry(t *rapid.T) gate.Entry {
	code := rapid.StringMatching(`[a-z_]{1,20}`)
	reasons := rapid.Map(rapid.SliceOfN(code, 0, 12), func(in []string) []gate.Reason {
		out := make([]gate.Reason, 0, len(in))
		for _, s := range in {
			out = append(out, gate.Reason(s))
		}
		return out
	})
	latency := rapid.Map(rapid.Int64Range(0, int64(maxMicros)), func(n int64) time.Duration { return time.Duration(n) * time.Microsecond })
	e := gate.Entry{
		Time:       time.UnixMilli(rapid.Int64Range(0, maxTime).Draw(t, "time")).UTC(),
		Lane:       rapid.StringMatching(`[a-z0-9-]{1,20}`).Draw(t, "lane"),
		Direction:  gate.Direction(rapid.IntRange(0, 1).Draw(t, "direction")),
		Verdict:    rapid.SampledFrom(gate.Verdicts()).Draw(t, "verdict"),
		Reasons:    reasons.Draw(t, "reasons"),
		Class:      gate.Class(rapid.IntRange(0, int(gate.Block)).Draw(t, "class")),
		Credential: gate.CredentialKind(rapid.IntRange(0, int(gate.KindURL)).Draw(t, "credential")),
		Policy:     gate.PolicyRef{ID: rapid.StringMatching(`[a-z0-9-]{0,30}`).Draw(t, "policy"), Version: rapid.Uint64().Draw(t, "version")},
		Data:       []gate.SetVersion{},
		DataAge:    rapid.Int64Range(-1, 1<<40).Draw(t, "age"),
		Clock:      gate.ClockLevel(rapid.IntRange(0, int(gate.ClockCentral)).Draw(t, "clock")),
		Inputs:     drawInputs(t),
		Decode:     latency.Draw(t, "decode"),
		Lookup:     latency.Draw(t, "lookup"),
		Decide:     latency.Draw(t, "decide"),
		Ref:        rapid.Uint64().Draw(t, "ref"),
		Needs:      rapid.StringMatching(`[a-z_]{0,10}`).Draw(t, "needs"),
		Count:      rapid.Uint32().Draw(t, "count"),
	}
	for _, set := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9][a-z0-9-]{0,20}`), 0, gate.MaxSets, rapid.ID[string]).Draw(t, "sets") {
		e.Data = append(e.Data, gate.SetVersion{Set: set, Version: rapid.Uint64().Draw(t, "set version")})
	}
	slices.SortFunc(e.Data, func(a, b gate.SetVersion) int { return strings.Compare(a.Set, b.Set) })
	if e.HasSubject = rapid.Bool().Draw(t, "has subject"); e.HasSubject {
		e.Subject = gate.Pseudonym(rapid.Uint64().Draw(t, "subject"))
	}
	if rapid.Bool().Draw(t, "has shadow") {
		e.Shadow = &gate.Shadow{Policy: gate.PolicyRef{ID: "next", Version: 2}, Verdict: gate.Retry, Reasons: reasons.Draw(t, "shadow")}
	}
	return e
}

func drawInputs(t *rapid.T) gate.Inputs {
	return gate.Inputs{
		Now:         rapid.Int64().Draw(t, "now"),
		Direction:   gate.Direction(rapid.IntRange(0, 1).Draw(t, "in direction")),
		Credential:  gate.CredentialKind(rapid.IntRange(0, int(gate.KindURL)).Draw(t, "in credential")),
		Flags:       gate.ClaimFlags(rapid.Uint16().Draw(t, "flags")),
		CardExpires: gate.Day(rapid.Int32().Draw(t, "expires")),
		Facts: gate.Facts{
			Found: rapid.Bool().Draw(t, "found"),
			Word:  gate.Word(rapid.Uint16().Draw(t, "word")),
			Base:  gate.Day(rapid.Int32().Draw(t, "base")),
		},
		DataAge: rapid.Int64().Draw(t, "in age"),
		Clock:   gate.ClockLevel(rapid.IntRange(0, int(gate.ClockCentral)).Draw(t, "in clock")),
	}
}

// throughJSON sends a link the way it goes to central and demands that the
// record, its hash and its stored form come out as they went in.
func throughJSON(t interface{ Fatalf(string, ...any) }, l Link) Event {
	ev, err := l.Event()
	if err != nil {
		t.Fatalf("event: %v", err)
	}
	b, err := json.Marshal(ev)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	back, err := ParseEvent(b)
	if err != nil {
		t.Fatalf("parse: %v\n%s", err, b)
	}
	if diff := cmp.Diff(l, back.Link()); diff != "" {
		t.Fatalf("link changed on the way: %s", diff)
	}
	if back.Link().Hash() != l.Hash() {
		t.Fatalf("hash changed on the way")
	}
	if b2, _ := json.Marshal(back); !bytes.Equal(b, b2) {
		t.Fatalf("JSON changed on the way:\n%s\n%s", b, b2)
	}
	var stored Record
	kept, err := l.Record.Marshal()
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	if err := stored.Unmarshal(kept); err != nil {
		t.Fatalf("unmarshal: %v", err)
	}
	if diff := cmp.Diff(l.Record, stored); diff != "" {
		t.Fatalf("record changed in the store: %s", diff)
	}
	return back
}

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawEntry(t)
		e, seq := NewEpoch(), rapid.Uint64Range(1, MaxSeq).Draw(t, "seq")
		r, err := FromEntry(home, e, seq, want)
		if err != nil {
			t.Fatal(err)
		}
		l := Link{Seq: seq, Prev: Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "prev")), Record: r}
		ev := throughJSON(t, l)
		got, err := ev.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		if p := ev.Position(); p != (Position{e, seq, l.Hash()}) || ev.Origin() != home || ev.Type() != TypeEntry || !ev.Time().Equal(want.Time) {
			t.Fatalf("%+v %v", p, ev.Origin())
		}

		// Erasing takes the person away and leaves the chain.
		gone := Link{Seq: seq, Prev: l.Prev, Record: r.Erase()}
		if gone.Hash() != l.Hash() {
			t.Fatal("erasing changed the hash")
		}
		erased, err := throughJSON(t, gone).Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		want.Subject, want.HasSubject, want.Inputs = 0, false, gate.Inputs{}
		if diff := cmp.Diff(want, erased); diff != "" {
			t.Fatal(diff)
		}
		if b, _ := json.Marshal(gone.mustEvent(t)); bytes.Contains(b, []byte(`"salt"`)) || bytes.Contains(b, []byte(`"subject"`)) || bytes.Contains(b, []byte(`"inputs"`)) {
			t.Fatalf("erased event still says: %s", b)
		}
	})
}

func (l Link) mustEvent(t interface{ Fatal(...any) }) Event {
	ev, err := l.Event()
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestInputsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawInputs(t)
		b, err := EncodeInputs(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeInputs(b)
		if err != nil || got != want {
			t.Fatalf("%+v, %v; want %+v", got, err, want)
		}
	})
	for name, b := range map[string][]byte{
		"unknown key":     {0xa1, 0x18, 0x63, 0x01},
		"zero written":    {0xa1, 0x01, 0x00},
		"not shortest":    {0xa1, 0x01, 0x18, 0x01},
		"unknown code":    {0xa1, 0x02, 0x09},
		"text for number": {0xa1, 0x01, 0x61, 'a'},
		"rest":            {0xa0, 0xa0},
		"nothing":         {},
		"long":            make([]byte, maxInputs+1),
	} {
		if _, err := DecodeInputs(b); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestOthersRoundTrip(t *testing.T) {
	at := time.Date(2021, 10, 1, 7, 30, 0, 123456789, time.UTC)
	e := NewEpoch()
	p := gate.Passage{
		Time: at, Lane: "main", Ref: 7, Opened: true, Late: true, RelayFault: "relay_error", Door: gate.DoorPassed,
		Record: 1234567 * time.Nanosecond, Actuate: 250 * time.Millisecond,
	}
	r, err := FromPassage(home, e, 8, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Time, p.Record = at.Truncate(time.Millisecond), 1234*time.Microsecond
	got, err := throughJSON(t, Link{Seq: 8, Record: r}).Link().Record.Passage()
	if diff := cmp.Diff(p, got); diff != "" || err != nil {
		t.Error(diff, err)
	}

	o := gate.Override{Time: p.Time, Lane: "main", By: "guard", Operator: "ca 2", Reason: "xe lăn", Ref: 9}
	if r, err = FromOverride(home, e, 9, o); err != nil {
		t.Fatal(err)
	}
	gotO, err := throughJSON(t, Link{Seq: 9, Record: r}).Link().Record.Override()
	if diff := cmp.Diff(o, gotO); diff != "" || err != nil {
		t.Error(diff, err)
	}

	if _, err := r.Entry(); !errors.Is(err, ErrWrongType) {
		t.Errorf("an override read as an entry: %v", err)
	}
	if _, err := r.Event(); !errors.Is(err, ErrWrongType) {
		t.Errorf("an override read as an event: %v", err)
	}

	last := Position{Epoch: e, Seq: 41, Head: Link{Seq: 8, Record: r}.Hash()}
	if r, err = FromEvent(home, e, 1, FirstEvent(at, last, "damaged")); err != nil {
		t.Fatal(err)
	}
	back, cause, ok := FirstOf(throughJSON(t, Link{Seq: 1, Record: r}).Link().Record)
	if !ok || back != last || cause != "damaged" {
		t.Errorf("%v %q %v", back, cause, ok)
	}
	if r, err = FromEvent(home, e, 1, FirstEvent(at, Position{}, "first start")); err != nil {
		t.Fatal(err)
	}
	if back, cause, ok = FirstOf(r); !ok || back != (Position{}) || cause != "first start" {
		t.Errorf("%v %q %v", back, cause, ok)
	}
}

// Every kind takes every one of its details; a detail of another kind, an
// unknown one and a value of another form are refused.
func TestEventDetails(t *testing.T) {
	sample := map[form]any{text: "chữ", whole: int64(-5), flag: true, hexa: "00ff", coded: "_-8"}
	known := map[string]bool{}
	for i, d := range detailKeys {
		if d.key != i+1 {
			t.Errorf("detail %s has key %d in place %d", d.name, d.key, i+1)
		}
		known[d.name] = true
	}
	for kind, names := range eventKinds {
		want := gate.Event{Time: time.UnixMilli(1).UTC(), Kind: kind, Details: map[string]any{}}
		for _, name := range names {
			_, f, ok := keyNamed(name)
			if !ok {
				t.Fatalf("kind %s names the unknown detail %s", kind, name)
			}
			want.Details[name] = sample[f]
		}
		r, err := FromEvent(home, NewEpoch(), 5, want)
		if err != nil {
			t.Fatalf("kind %s: %v", kind, err)
		}
		got, err := throughJSON(t, Link{Seq: 5, Record: r}).Link().Record.Event()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Details, got.Details); diff != "" {
			t.Errorf("kind %s: %s", kind, diff)
		}
	}
	for name, ev := range map[string]gate.Event{
		"unknown kind":  {Kind: "party"},
		"foreign":       {Kind: gate.EventSeal, Details: map[string]any{"people": 1}},
		"unknown":       {Kind: gate.EventFault, Details: map[string]any{"payload": "x"}},
		"text for int":  {Kind: gate.EventData, Details: map[string]any{"ver": "3"}},
		"int for text":  {Kind: gate.EventFault, Details: map[string]any{"code": 3}},
		"no hex":        {Kind: gate.EventEpoch, Details: map[string]any{"last_epoch": "zz"}},
		"capital hex":   {Kind: gate.EventEpoch, Details: map[string]any{"last_epoch": "FF"}},
		"a list":        {Kind: gate.EventFault, Details: map[string]any{"code": []string{"x"}}},
		"a float":       {Kind: gate.EventFault, Details: map[string]any{"count": 1.5}},
		"out of bounds": {Kind: gate.EventFault, Details: map[string]any{"count": uint64(1 << 60)}},
	} {
		ev.Time = time.UnixMilli(1)
		if _, err := FromEvent(home, NewEpoch(), 5, ev); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	r, err := FromEvent(home, NewEpoch(), 5, gate.Event{Time: time.UnixMilli(1), Kind: gate.EventFault, Details: map[string]any{
		"error": "line\n\x00 " + strings.Repeat("ệ", 200), "count": uint32(7),
	}})
	if err != nil {
		t.Fatal(err)
	}
	ev, err := r.Event()
	if s := ev.Details["error"].(string); err != nil || len(s) > maxFree || strings.ContainsAny(s, "\n\x00") || ev.Details["count"] != int64(7) {
		t.Errorf("%q %v", s, err)
	}
}

// Every value of the domain has a code, so that no record is refused for a
// word that this package was not told of.
func TestCodesCoverTheDomain(t *testing.T) {
	check := func(tab table, n uint8, name string) {
		t.Helper()
		if strings.Contains(name, "(") {
			if int(n) != len(tab) {
				t.Errorf("%v has %d codes for %d values", tab, len(tab), n)
			}
			return
		}
		if _, err := tab.number(name); err != nil {
			t.Error(err)
		}
	}
	for n := range uint8(16) {
		for _, c := range []struct {
			tab  table
			name string
		}{
			{verdictNames, gate.Verdict(n).String()},
			{classNames, gate.Class(n).String()},
			{credentialNames, gate.CredentialKind(n).String()},
			{directionNames, gate.Direction(n).String()},
			{clockNames, gate.ClockLevel(n).String()},
			{doorNames, gate.Door(n).String()},
		} {
			if int(n) <= len(c.tab) {
				check(c.tab, n, c.name)
			}
		}
	}
}

func TestParseEventRefuses(t *testing.T) {
	e := Epoch{1, 2, 3, 4, 5, 6, 7, 8}
	r, err := FromEntry(home, e, 5, gate.Entry{Time: time.UnixMilli(1633073400000), Lane: "main", Decode: 12345 * time.Microsecond, HasSubject: true})
	if err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(Link{Seq: 5, Record: r}.mustEvent(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseEvent(good); err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) string {
		if !strings.Contains(string(good), old) {
			t.Fatalf("%q is not in %s", old, good)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	for name, in := range map[string]string{
		"unknown attribute":     swap(`"specversion"`, `"note":"x","specversion"`),
		"unknown data":          swap(`"lane"`, `"note":"x","lane"`),
		"unknown in policy":     swap(`"policy":{`, `"policy":{"x":1,`),
		"doubled":               swap(`"lane"`, `"verdict":"ALLOW","lane"`),
		"other case":            swap(`"lane"`, `"Lane"`),
		"field of another type": swap(`"lane"`, `"opened":true,"lane"`),
		"other id":              swap(`g1-0102`, `g2-0102`),
		"other source":          swap(`"/hn01/g1"`, `"/hn01/g2"`),
		"bad source":            swap(`"/hn01/g1"`, `"hn01/g1"`),
		"bad name":              swap(`"/hn01/g1"`, `"/hn01/G1"`),
		"other type":            swap(`gate.entry.v1`, `gate.passage.v1`),
		"unknown type":          swap(`gate.entry.v1`, `gate.entry.v2`),
		"empty type":            swap(`gate.entry.v1`, ``),
		"other version":         swap(`"v":1`, `"v":2`),
		"specversion":           swap(`"1.0"`, `"0.3"`),
		"time without millis":   swap(`.000Z`, `Z`),
		"time with micros":      swap(`.000Z`, `.000000Z`),
		"time with offset":      swap(`.000Z`, `.000+07:00`),
		"other salt":            swap(`"salt":"`, `"salt":"AA`),
		"salt and digest":       swap(`"salt"`, `"digest":"`+strings.Repeat("0", 64)+`","salt"`),
		"unknown verdict":       swap(`"DENY"`, `"OPEN"`),
		"null verdict":          swap(`"DENY"`, `null`),
		"null data":             swap(`"data":{"v"`, `"data":null,"date":{"v"`),
		"seq zero":              strings.ReplaceAll(strings.ReplaceAll(string(good), `"seq":5`, `"seq":0`), "08-5", "08-0"),
		"latency 4 decimals":    swap(`12.345`, `12.3450`),
		"latency exponent":      swap(`12.345`, `1.2e1`),
		"negative latency":      swap(`12.345`, `-1`),
		"capital subject":       swap(`"0000000000000000"`, `"000000000000000A"`),
		"short subject":         swap(`"0000000000000000"`, `"00"`),
		"ref written as zero":   swap(`"lane"`, `"ref":0,"lane"`),
		"padded":                swap(`"salt":"`, `"salt":"=`),
		"trailing":              string(good) + "{}",
		"list":                  "[" + string(good) + "]",
		"deep":                  strings.Repeat("[", 1000),
		"long":                  strings.Repeat(" ", MaxEvent+1),
		"empty":                 "",
	} {
		if ev, err := ParseEvent([]byte(in)); err == nil {
			t.Errorf("%s was taken: %+v", name, ev)
		}
	}
	if _, err := json.Marshal(Event{}); err == nil {
		t.Error("an event of no record was written")
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":      nil,
		"no list":      {0xa0},
		"one part":     {0x81, 0x40},
		"short digest": {0x82, 0x40, 0x41, 0x00},
		"short salt":   {0x83, 0x40, 0x41, 0x00, 0x40},
		"four parts":   {0x84, 0x40, 0x40, 0x40, 0x40},
	} {
		var r Record
		if err := r.Unmarshal(b); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	r := Record{Public: emptyMap, Salt: make([]byte, SaltSize), Personal: emptyMap}
	if r.Check() == nil {
		t.Error("a wrong digest was taken")
	}
	if _, err := r.Header(); err == nil {
		t.Error("a head without fields was taken")
	}
}

func TestNames(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "hn01": true, "a-b": true, "0": true, strings.Repeat("a", 32): true,
		"": false, "-a": false, "A": false, "a_b": false, "a/b": false, "é": false, strings.Repeat("a", 33): false,
	} {
		if ValidName(s) != want {
			t.Errorf("ValidName(%q) is not %v", s, want)
		}
	}
	for _, s := range []string{"", "/", "/a", "/a/", "a/b", "/a/b/c", "//a/b", "/A/b"} {
		if _, err := ParseSource(s); err == nil {
			t.Errorf("source %q was taken", s)
		}
	}
	if _, err := ParseEpoch("0102030405060708"); err != nil {
		t.Error(err)
	}
	for _, s := range []string{"", "01", "010203040506070G", "ABCDEF0011223344"} {
		if _, err := ParseEpoch(s); err == nil {
			t.Errorf("epoch %q was taken", s)
		}
		if _, err := ParseHash(s); err == nil {
			t.Errorf("hash %q was taken", s)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	for _, l := range goldenLinks(f) {
		b, err := json.Marshal(l.mustEvent(f))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ev, err := ParseEvent(b)
		if err != nil {
			return
		}
		throughJSON(t, ev.Link())
	})
}

func BenchmarkFromEntry(b *testing.B) {
	e := gate.Entry{
		Time: time.UnixMilli(1633073400000), Lane: "main", Verdict: gate.Allow, Reasons: []gate.Reason{gate.ReasonVaccinated},
		Data: []gate.SetVersion{{Set: "vn", Version: 3}}, HasSubject: true,
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromEntry(home, Epoch{}, 1, e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLinkToJSON(b *testing.B) {
	l := goldenLinks(b)[2]
	b.ReportAllocs()
	for b.Loop() {
		ev, err := l.Event()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := ev.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseEvent(b *testing.B) {
	in, err := json.Marshal(goldenLinks(b)[2].mustEvent(b))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseEvent(in); err != nil {
			b.Fatal(err)
		}
	}
}
