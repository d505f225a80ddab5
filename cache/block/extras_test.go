package block

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"gateagent/agent/gate"
)

const base gate.Day = 18628 // 2021-01-01

var lists = []string{"staff", "visitors", "watch"}

func minute(day gate.Day, hour int) gate.Minute {
	return gate.Minute((int(day)*24 + hour) * 60)
}

// everything has one of each field.
func everything() gate.Extras {
	e := gate.Extras{
		FirstDose: base + 100, Completed: base + 130, LastDose: base + 330,
		Positive: base + 200, Recovered: base + 215, Quarantine: base + 350,
		Window: gate.Window{From: base - 1, To: base + 4000, Weekdays: 0b0011111, Start: 22 * 60, End: 6 * 60},
	}
	e.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: minute(base+349, 8)})
	e.AddTest(gate.Test{Kind: gate.TestAntigen, Positive: true, Sampled: minute(base+300, 15)})
	e.AddList(gate.Membership{List: "staff", Window: gate.Window{Start: 7 * 60, End: 24 * 60}})
	e.AddList(gate.Membership{List: "watch"})
	e.AddOther(gate.Other{Provider: gate.ProviderHealthInsurance, Code: 3, Day: base + 10})
	e.AddOther(gate.Other{Provider: gate.ProviderSchool, Code: 9})
	return e
}

// The layout is a format: other programs write it. These vectors never change.
func TestGoldenExtras(t *testing.T) {
	for name, c := range map[string]struct {
		e    func(*gate.Extras)
		want string
	}{
		"nothing":    {func(*gate.Extras) {}, ""},
		"first dose": {func(e *gate.Extras) { e.FirstDose = base + 1 }, "0a2001"},
		"completed":  {func(e *gate.Extras) { e.Completed = base }, "122000"},
		"last dose":  {func(e *gate.Extras) { e.LastDose = base + 0x105 }, "1a2105"},
		"positive":   {func(e *gate.Extras) { e.Positive = base - 1 }, "221fff"},
		"recovered":  {func(e *gate.Extras) { e.Recovered = base - earliest }, "2a0000"},
		"quarantine": {func(e *gate.Extras) { e.Quarantine = base + 1<<16 - 1 - earliest }, "32ffff"},
		"test": {func(e *gate.Extras) {
			e.AddTest(gate.Test{Kind: gate.TestPCR, Positive: true, Sampled: minute(base, 1)})
		}, "3c16800791"},
		"window":      {func(e *gate.Extras) { e.Window = gate.Window{To: base + 2, Weekdays: 3} }, "4406200203"},
		"long window": {func(e *gate.Extras) { *e = gate.Extras{Window: everything().Window} }, "47090f1fff2fa01f528168"},
		"list":        {func(e *gate.Extras) { e.AddList(gate.Membership{List: "visitors"}) }, "4901"},
		"other":       {func(e *gate.Extras) { e.AddOther(gate.Other{Provider: 2, Code: 7, Day: base + 16}) }, "5402072010"},
	} {
		t.Run(name, func(t *testing.T) {
			var e gate.Extras
			c.e(&e)
			body, err := EncodeExtras(e, base, lists)
			if err != nil || hex.EncodeToString(body) != c.want {
				t.Fatalf("encoded %x, %v, want %s", body, err, c.want)
			}
			var back gate.Extras
			if err := DecodeExtras(body, base, lists, &back); err != nil || back != e {
				t.Errorf("came back as %+v, %v", back, err)
			}
		})
	}
	if got := hex.EncodeToString(AppendExtras(nil, 0x0102030405, []byte{0x49, 1})); got != "0102030405024901" {
		t.Errorf("entry %s", got)
	}
}

func TestExtrasRoundTrip(t *testing.T) {
	e := everything()
	body, err := EncodeExtras(e, base, lists)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("one of each field: %d bytes", len(body))
	var back gate.Extras
	if err := DecodeExtras(body, base, lists, &back); err != nil || back != e {
		t.Errorf("came back as %+v, %v", back, err)
	}
	shuffled := e
	shuffled.Tests[0], shuffled.Tests[1] = e.Tests[1], e.Tests[0]
	shuffled.Lists[0], shuffled.Lists[1] = e.Lists[1], e.Lists[0]
	shuffled.Others[0], shuffled.Others[1] = e.Others[1], e.Others[0]
	shuffled.AddList(e.Lists[0])
	if again, err := EncodeExtras(shuffled, base, lists); err != nil || !bytes.Equal(again, body) {
		t.Errorf("another order gives %x, %v instead of %x", again, err, body)
	}
}

// The fullest extras that the domain can hold fit an entry.
func TestFullestExtrasFit(t *testing.T) {
	e := everything()
	for e.TestN < gate.MaxTests {
		e.AddTest(gate.Test{Sampled: minute(base, int(e.TestN))})
	}
	for e.ListN < gate.MaxMemberships {
		w := everything().Window
		w.From -= gate.Day(e.ListN)
		e.AddList(gate.Membership{List: "visitors", Window: w})
	}
	for e.OtherN < gate.MaxOthers {
		e.AddOther(gate.Other{Provider: 1, Code: e.OtherN, Day: base})
	}
	body, err := EncodeExtras(e, base, lists)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(body))
}

func TestEncodeExtrasRefuses(t *testing.T) {
	for name, change := range map[string]func(*gate.Extras){
		"too early":     func(e *gate.Extras) { e.Completed = base - earliest - 1 },
		"too late":      func(e *gate.Extras) { e.Quarantine = base + 1<<16 },
		"test too old":  func(e *gate.Extras) { e.AddTest(gate.Test{Sampled: 5}) },
		"test of later": func(e *gate.Extras) { e.AddTest(gate.Test{Kind: 3, Sampled: minute(base, 0)}) },
		"unknown list":  func(e *gate.Extras) { e.AddList(gate.Membership{List: "nobody"}) },
		"weekdays":      func(e *gate.Extras) { e.Window.Weekdays = 0x80 },
		"hours":         func(e *gate.Extras) { e.Window.End = 1441 },
		"beyond":        func(e *gate.Extras) { e.Beyond = true },
	} {
		var e gate.Extras
		change(&e)
		if body, err := EncodeExtras(e, base, lists); !errors.Is(err, errDoesNotFit) {
			t.Errorf("%s: %x, %v", name, body, err)
		}
	}
}

// What a later version may write: what must not be passed over is told apart
// from what may be.
func TestExtrasOfALaterVersion(t *testing.T) {
	completed := slices.Clip(appendField(nil, fieldCompleted, 0x20, 0))
	for name, c := range map[string]struct {
		body   []byte
		beyond bool
	}{
		"may be passed over":      {appendField(completed, 16, 1, 2, 3), false},
		"long, passed over":       {appendField(completed, 31, make([]byte, 200)...), false},
		"twice, passed over":      {appendField(appendField(completed, 20, 1), 20, 1), false},
		"must not be passed over": {appendField(completed, 11, 1), true},
		"last such":               {appendField(completed, 15), true},
		"a longer day":            {appendField(completed, fieldLastDose, 0x20, 0, 1), true},
		"another test kind":       {appendField(completed, fieldTest, 0x16, 0x80, 0, 3), true},
		"a list with no name":     {appendField(completed, fieldList, 3), true},
		"another part of windows": {appendField(completed, fieldWindow, 0x10, 1), true},
		"hours of another day":    {appendField(completed, fieldWindow, 8, 0xff, 0xff, 0xff), true},
		"seven tests": {func() []byte {
			b := completed
			for i := range byte(7) {
				b = appendField(b, fieldTest, 0x16-i, 0x80, 0, 1)
			}
			return b
		}(), true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := CheckExtras(AppendExtras(nil, 1, c.body)); err != nil {
				t.Fatal(err)
			}
			var e gate.Extras
			if err := DecodeExtras(c.body, base, lists, &e); err != nil || e.Beyond != c.beyond || e.Completed != base {
				t.Errorf("got %+v, %v", e, err)
			}
		})
	}
}

func TestExtrasOfSeveralSets(t *testing.T) {
	encode := func(e gate.Extras) []byte {
		b, err := EncodeExtras(e, base, lists)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	a := gate.Extras{Completed: base + 10, Quarantine: base + 20, LastDose: base + 50}
	a.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: minute(base+30, 1)})
	a.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: minute(base+10, 1)})
	b := gate.Extras{Completed: base + 5, Quarantine: base + 25, LastDose: base + 40, Window: gate.Window{To: base + 99}}
	b.AddTest(gate.Test{Kind: gate.TestAntigen, Sampled: minute(base+20, 1)})
	b.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: minute(base+10, 1)}) // known already
	b.AddList(gate.Membership{List: "staff"})

	want := gate.Extras{Completed: base + 10, Quarantine: base + 25, LastDose: base + 50, Window: b.Window}
	want.AddTest(a.Tests[0])
	want.AddTest(b.Tests[0])
	want.AddTest(a.Tests[1])
	want.AddList(b.Lists[0])
	var got gate.Extras
	for _, body := range [][]byte{encode(a), encode(b)} {
		if err := DecodeExtras(body, base, lists, &got); err != nil {
			t.Fatal(err)
		}
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	other := encode(gate.Extras{Window: gate.Window{To: base + 98}})
	if err := DecodeExtras(other, base, lists, &got); err != nil || !got.Beyond {
		t.Errorf("two windows: %+v, %v", got.Window, err)
	}
}

func TestCheckExtrasRefuses(t *testing.T) {
	body := []byte{byte(fieldList)<<3 | 1, 0}
	good := AppendExtras(AppendExtras(nil, 1, body), 2, body)
	if err := CheckExtras(good); err != nil {
		t.Fatal(err)
	}
	day := appendField(nil, fieldLastDose, 0x20, 0)
	for name, value := range map[string][]byte{
		"empty":           {},
		"torn":            good[:len(good)-1],
		"torn head":       good[:3],
		"unordered":       AppendExtras(AppendExtras(nil, 2, body), 1, body),
		"doubled":         AppendExtras(AppendExtras(nil, 2, body), 2, body),
		"no body":         AppendExtras(nil, 1, nil),
		"field too long":  AppendExtras(nil, 1, []byte{byte(fieldTest)<<3 | 4, 1, 2, 3}),
		"no field":        AppendExtras(nil, 1, []byte{3, 1, 2, 3}),
		"wasteful length": AppendExtras(nil, 1, []byte{byte(fieldList)<<3 | 7, 1, 0}),
		"length missing":  AppendExtras(nil, 1, []byte{byte(fieldList)<<3 | 7}),
		"fields twice":    AppendExtras(nil, 1, bytes.Repeat(day, 2)),
		"fields in no order": AppendExtras(nil, 1,
			append(appendField(nil, fieldList, 0), day...)),
	} {
		if err := CheckExtras(value); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	flagged := gate.Word(1 << 15)
	value := AppendRecord(AppendRecord(AppendRecord(nil, Width, 1, flagged, 0), Width, 2, flagged, 0), Width, 3, 0, 0)
	for name, c := range map[string]struct {
		extras []byte
		want   int
	}{
		"none":            {nil, 0},
		"both":            {good, 2},
		"one":             {AppendExtras(nil, 2, body), 1},
		"without a flag":  {AppendExtras(nil, 3, body), -1},
		"of nobody":       {AppendExtras(nil, 0, body), -1},
		"of nobody after": {AppendExtras(nil, 9, body), -1},
	} {
		n, err := CheckPair(value, Width, c.extras, false)
		if (err != nil) != (c.want < 0) || err == nil && n != c.want {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// randomExtras gives extras that the format can say.
func randomExtras(r *rand.Rand) gate.Extras {
	var e gate.Extras
	day := func() gate.Day { return base + gate.Day(r.IntN(4096)) }
	for _, d := range []*gate.Day{&e.FirstDose, &e.Completed, &e.LastDose, &e.Positive, &e.Recovered, &e.Quarantine} {
		if r.IntN(3) == 0 {
			*d = day()
		}
	}
	window := func() (w gate.Window) {
		if r.IntN(2) == 0 {
			w.To = day()
		}
		if r.IntN(2) == 0 {
			w.Weekdays = uint8(1 + r.IntN(127))
		}
		if r.IntN(2) == 0 {
			w.Start, w.End = uint16(r.IntN(1440)), uint16(1+r.IntN(1440))
		}
		return w
	}
	e.Window = window()
	for range r.IntN(3) {
		e.AddTest(gate.Test{Kind: gate.TestKind(r.IntN(3)), Positive: r.IntN(9) == 0, Sampled: minute(day(), r.IntN(24))})
	}
	for range r.IntN(3) {
		e.AddList(gate.Membership{List: lists[r.IntN(len(lists))], Window: window()})
	}
	for range r.IntN(2) {
		e.AddOther(gate.Other{Provider: gate.Provider(1 + r.IntN(3)), Code: uint8(r.IntN(256)), Day: day()})
	}
	return e
}

func TestRandomExtrasRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		body, err := EncodeExtras(randomExtras(r), base, lists)
		if err != nil {
			t.Fatal(err)
		}
		var e gate.Extras
		if err := DecodeExtras(body, base, lists, &e); err != nil || e.Beyond {
			t.Fatalf("%x: %+v, %v", body, e, err)
		}
		if again, err := EncodeExtras(e, base, lists); err != nil || !bytes.Equal(again, body) {
			t.Fatalf("%x came back as %x, %v", body, again, err)
		}
	}
}

// FuzzExtras: whatever the bytes, reading ends and stays within bounds; what
// was understood whole has that one form.
func FuzzExtras(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 8 {
		body, err := EncodeExtras(randomExtras(r), base, lists)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, int32(base))
	}
	f.Add(appendField(nil, 31, 1, 2), int32(-1<<31))
	f.Add([]byte{0xff, 7, 1, 2, 3, 4, 5, 6, 7}, int32(1<<31-1))
	f.Fuzz(func(t *testing.T, body []byte, day int32) {
		for range AllExtras(body) { // ends
		}
		if CheckExtras(body) == nil {
			for rem, entry := range AllExtras(body) {
				if found, ok := SearchExtras(body, rem); !ok || !bytes.Equal(found, entry) {
					t.Fatalf("entry %#x is not found", rem)
				}
			}
		}
		SearchExtras(body, uint64(uint32(day)))
		if len(body) > MaxExtrasBody {
			return
		}
		var e gate.Extras
		err := DecodeExtras(body, gate.Day(day), lists, &e)
		if (err == nil) != (checkBody(body) == nil) {
			t.Fatalf("decoding says %v, checking %v", err, checkBody(body))
		}
		passable := false
		for rest := body; len(rest) > 0 && err == nil; {
			var number fieldNumber
			number, _, rest, _ = field(rest)
			passable = passable || number >= firstPassable
		}
		if err != nil || e.Beyond || passable {
			return
		}
		again, err := EncodeExtras(e, gate.Day(day), lists)
		if err != nil || !bytes.Equal(again, body) {
			t.Fatalf("%x came back as %x, %v", body, again, err)
		}
	})
}

func TestExtrasAllocateNothing(t *testing.T) {
	body, err := EncodeExtras(everything(), base, lists)
	if err != nil {
		t.Fatal(err)
	}
	value := AppendExtras(AppendExtras(nil, 7, body), 9, body)
	var e gate.Extras
	if n := testing.AllocsPerRun(100, func() {
		e = gate.Extras{}
		found, ok := SearchExtras(value, 9)
		if err := DecodeExtras(found, base, lists, &e); err != nil || !ok {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
