package pass

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"

	"gateagent/agent/base45"
	"gateagent/agent/gate"
	"gateagent/agent/hostile"
)

// Everybody here is fictional.
var (
	key   = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	other = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	from  = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	to    = from.Add(10 * time.Hour)
)

func visitor() Claims {
	return Claims{
		ID: ID{1, 2, 3, 4, 5, 6, 7, 8}, Kind: gate.PassVisitor, Name: "Đặng Thị Hoàng Phương Nguyên Vỹ", Host: "Trần Quốc Bảo",
		Site: "hn01", From: from, To: to,
	}
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func trusted(standing func(ID) Standing) *Keys {
	return NewKeys([]Key{{Public: public(key)}}, standing)
}

func issued(t testing.TB, k ed25519.PrivateKey, c Claims) string {
	t.Helper()
	text, err := Issue(k, c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGoodPass(t *testing.T) {
	c := visitor()
	c.Gates, c.Zones, c.Single = []string{"gate-1", "gate-2"}, []string{"lobby", "garden"}, true
	c.Window = gate.Window{Weekdays: 0b11111, Start: 8 * 60, End: 17 * 60}
	text := issued(t, key, c)
	for name, text := range map[string]string{"as it is": text, "with CR": text + "\r", "with LF": text + "\n", "with NUL": text + "\x00"} {
		got := trusted(nil).Verify([]byte(text), "hn01", "gate-2", []string{"garden"}, from)
		want := Result{
			Pass: gate.Pass{
				Proof: gate.ProofGood, Kind: gate.PassVisitor, Single: true, Window: c.Window,
				From: gate.MinuteOf(from), To: gate.MinuteOf(to),
			},
			ID: c.ID, Name: c.Name, Host: c.Host,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	back, err := Inspect(text)
	if d := cmp.Diff(c, back, cmp.AllowUnexported()); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
}

// TestEachReason: one reason each, and the sooner named one when there are two.
func TestEachReason(t *testing.T) {
	good := issued(t, key, visitor())
	change := func(f func(*Claims)) string {
		c := visitor()
		f(&c)
		return issued(t, key, c)
	}
	raw := decodeText(t, good)
	flip := func(i int) string {
		b := bytes.Clone(raw)
		b[(i+len(b))%len(b)] ^= 1
		return Prefix + base45.Encode(b)
	}
	at := from.Add(time.Hour)
	for _, c := range []struct {
		name string
		text string
		now  time.Time
		gate string
		why  gate.Reason
	}{
		{"good", good, at, "gate-1", ""},
		{"empty", "", at, "gate-1", gate.ReasonPassMalformed},
		{"the prefix alone", Prefix, at, "gate-1", gate.ReasonPassMalformed},
		{"another prefix", "HC1:" + good[4:], at, "gate-1", gate.ReasonPassMalformed},
		{"lower case", strings.ToLower(good), at, "gate-1", gate.ReasonPassMalformed},
		{"cut off", good[:len(good)-3], at, "gate-1", gate.ReasonPassMalformed},
		{"something behind it", good + "000", at, "gate-1", gate.ReasonPassMalformed},
		{"line ends and NUL behind it", good + "\r\n\x00\x00", at, "gate-1", ""},
		{"a byte order mark before it", "\ufeff" + good, at, "gate-1", ""},
		{"a line feed before it", "\n" + good, at, "gate-1", gate.ReasonPassMalformed},
		{"twice", good + "\r\n" + good, at, "gate-1", gate.ReasonPassMalformed},
		{"longer than a code", good + strings.Repeat("0", maxText), at, "gate-1", gate.ReasonPassMalformed},
		{"another algorithm", flip(5), at, "gate-1", gate.ReasonPassMalformed},
		{"another key's id", flip(8), at, "gate-1", gate.ReasonPassUnknown},
		{"signed by another key", issued(t, other, visitor()), at, "gate-1", gate.ReasonPassUnknown},
		{"its signature changed", flip(-1), at, "gate-1", gate.ReasonPassForged},
		{"its claims changed", flip(40), at, "gate-1", gate.ReasonPassForged},
		{"not yet", good, from.Add(-time.Nanosecond), "gate-1", gate.ReasonPassEarly},
		{"the first instant", good, from, "gate-1", ""},
		{"the last instant", good, to.Add(-time.Nanosecond), "gate-1", ""},
		{"over", good, to, "gate-1", gate.ReasonPassExpired},
		{"another site", change(func(c *Claims) { c.Site = "hn02" }), at, "gate-1", gate.ReasonPassElsewhere},
		{"another gate", change(func(c *Claims) { c.Gates = []string{"gate-2"} }), at, "gate-1", gate.ReasonPassElsewhere},
		{"another zone", change(func(c *Claims) { c.Zones = []string{"lab"} }), at, "gate-1", gate.ReasonPassElsewhere},
		{"one of its zones", change(func(c *Claims) { c.Zones = []string{"lab", "lobby"} }), at, "gate-1", ""},
		{"gate fits, zone does not", change(func(c *Claims) { c.Gates, c.Zones = []string{"gate-1"}, []string{"lab"} }), at, "gate-1", gate.ReasonPassElsewhere},
		{"zone fits, gate does not", change(func(c *Claims) { c.Gates, c.Zones = []string{"gate-2"}, []string{"lobby"} }), at, "gate-1", gate.ReasonPassElsewhere},
		{"both fit", change(func(c *Claims) { c.Gates, c.Zones = []string{"gate-1"}, []string{"lobby"} }), at, "gate-1", ""},
		{"elsewhere and over", change(func(c *Claims) { c.Site = "hn02" }), to, "gate-1", gate.ReasonPassElsewhere},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := trusted(nil).Verify([]byte(c.text), "hn01", c.gate, []string{"lobby", "hall"}, c.now)
			if r.Why != c.why || (r.Proof == gate.ProofGood) != (c.why == "") {
				t.Errorf("%v, want %q", r, c.why)
			}
			if r.Proof == gate.ProofNone {
				t.Error("no proof at all")
			}
		})
	}
}

func decodeText(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base45.Decode([]byte(strings.TrimPrefix(text, Prefix)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestStanding(t *testing.T) {
	text := []byte(issued(t, key, visitor()))
	for standing, why := range map[Standing]gate.Reason{
		Valid: "", Revoked: gate.ReasonPassRevoked, Spent: gate.ReasonPassSpent, 99: gate.ReasonPassRevoked,
	} {
		asked := 0
		k := trusted(func(id ID) Standing {
			asked++
			if id != visitor().ID {
				t.Errorf("asked about %s", id)
			}
			return standing
		})
		if r := k.Verify(text, "hn01", "gate-1", nil, from); r.Why != why || asked != 1 {
			t.Errorf("%d: %v, asked %d times", standing, r, asked)
		}
		if r := k.Verify(text, "hn01", "gate-1", nil, to); r.Why != gate.ReasonPassExpired || asked != 1 {
			t.Errorf("an expired one: %v, asked %d times", r, asked)
		}
	}
}

func TestKeys(t *testing.T) {
	text := []byte(issued(t, key, visitor()))
	at := from.Add(time.Hour)
	for _, c := range []struct {
		name string
		keys []Key
		why  gate.Reason
	}{
		{"none", nil, gate.ReasonPassUnknown},
		{"another's", []Key{{Public: public(other)}}, gate.ReasonPassUnknown},
		{"not yet good", []Key{{Public: public(key), NotBefore: at.Add(1)}}, gate.ReasonPassUnknown},
		{"no more good", []Key{{Public: public(key), NotAfter: at}}, gate.ReasonPassUnknown},
		{"good", []Key{{Public: public(key), NotBefore: at, NotAfter: at.Add(1)}}, ""},
		{"among others", []Key{{Public: public(other)}, {Public: []byte("short")}, {Public: public(key)}}, ""},
		{"twice, once over", []Key{{Public: public(key), NotAfter: at}, {Public: public(key)}}, ""},
	} {
		if r := NewKeys(c.keys, nil).Verify(text, "hn01", "gate-1", nil, at); r.Why != c.why {
			t.Errorf("%s: %v", c.name, r)
		}
	}
}

// TestForeignForms: messages that a trusted key has signed, but that are not in
// the one form.
func TestForeignForms(t *testing.T) {
	kid := KIDOf(public(key))
	good := visitor().payload()
	build := func(tag bool, head []byte, unprotected, payload any) string {
		plain, _ := payload.([]byte)
		m := marshal([]any{head, unprotected, payload, ed25519.Sign(key, toBeSigned(head, plain))})
		if tag {
			m = append([]byte{tagSign1}, m...)
		}
		return Prefix + base45.Encode(m)
	}
	none := map[int]int{}
	claims := func(f func(map[int]any)) []byte {
		m := map[int]any{
			3: "hn01", 4: to.Unix(), 5: from.Unix(), 7: []byte{1, 2, 3, 4, 5, 6, 7, 8},
			-65537: []any{1, "Ông Å"},
		}
		f(m)
		return marshal(m)
	}
	own := func(v ...any) []byte { return claims(func(m map[int]any) { m[-65537] = v }) }
	before := []any{1, "Å", nil, []string{}, []string{}}
	window := func(v ...any) []byte { return own(append(slices.Clone(before), v)...) }
	for name, text := range map[string]string{
		"the control":            build(true, protected(kid), none, claims(func(map[int]any) {})),
		"not tagged":             build(false, protected(kid), none, good),
		"no algorithm":           build(true, marshal(map[int]any{4: kid[:]}), none, good),
		"ES256":                  build(true, marshal(map[int]any{1: -7, 4: kid[:]}), none, good),
		"no key id":              build(true, marshal(map[int]any{1: -8}), none, good),
		"a long key id":          build(true, marshal(map[int]any{1: -8, 4: make([]byte, 8)}), none, good),
		"critical":               build(true, marshal(map[int]any{1: -8, 2: []int{4}, 4: kid[:]}), none, good),
		"an unknown header":      build(true, marshal(map[int]any{1: -8, 4: kid[:], 99: 1}), none, good),
		"key id outside":         build(true, marshal(map[int]any{1: -8}), map[int]any{4: kid[:]}, good),
		"an unprotected header":  build(true, protected(kid), map[int]any{99: 1}, good),
		"detached":               build(true, protected(kid), none, nil),
		"an empty payload":       build(true, protected(kid), none, []byte{}),
		"no map":                 build(true, protected(kid), none, marshal([]int{1})),
		"something behind":       build(true, protected(kid), none, append(bytes.Clone(good), 0)),
		"an unknown claim":       build(true, protected(kid), none, claims(func(m map[int]any) { m[6] = from.Unix() })),
		"our claim, more":        build(true, protected(kid), none, own(1, "Å", nil, []string{}, []string{}, []int{31}, 1)),
		"no end":                 build(true, protected(kid), none, claims(func(m map[int]any) { delete(m, 4) })),
		"float times":            build(true, protected(kid), none, claims(func(m map[int]any) { m[4] = float64(to.Unix()) })),
		"seconds":                build(true, protected(kid), none, claims(func(m map[int]any) { m[4] = to.Unix() + 1 })),
		"the year 9999":          build(true, protected(kid), none, claims(func(m map[int]any) { m[4] = int64(253402300740) })),
		"a huge time":            build(true, protected(kid), none, claims(func(m map[int]any) { m[4] = int64(1)<<62 + 28 })),
		"before 1970":            build(true, protected(kid), none, claims(func(m map[int]any) { m[5] = -60 })),
		"ends first":             build(true, protected(kid), none, claims(func(m map[int]any) { m[5] = to.Unix() })),
		"several sites":          build(true, protected(kid), none, claims(func(m map[int]any) { m[3] = []string{"hn01"} })),
		"a site that is none":    build(true, protected(kid), none, claims(func(m map[int]any) { m[3] = "HN01" })),
		"a short id":             build(true, protected(kid), none, claims(func(m map[int]any) { m[7] = []byte{1} })),
		"a long id":              build(true, protected(kid), none, claims(func(m map[int]any) { m[7] = make([]byte, 17) })),
		"an id of zeros":         build(true, protected(kid), none, claims(func(m map[int]any) { m[7] = make([]byte, 8) })),
		"an id ending in a zero": build(true, protected(kid), none, claims(func(m map[int]any) { m[7] = []byte{1, 2, 3, 4, 5, 6, 7, 8, 0} })),
		"nobody":                 build(true, protected(kid), none, own(0, "Å")),
		"a kind of later":        build(true, protected(kid), none, own(5, "Å")),
		"no name":                build(true, protected(kid), none, own(1)),
		"a number for a name":    build(true, protected(kid), none, own(1, 1)),
		"a name not packed":      build(true, protected(kid), none, own(1, "Lê Văn Tám")),
		"packed badly":           build(true, protected(kid), none, own(1, []byte{0xfe, 0xee})),
		"a name not in NFC":      build(true, protected(kid), none, own(1, "e\u0302 Å")),
		"right to left":          build(true, protected(kid), none, own(1, "Å \u202egnat")),
		"ANSI":                   build(true, protected(kid), none, own(1, "\x1b[2JÅ")),
		"a name of 65 letters":   build(true, protected(kid), none, own(1, strings.Repeat("Å", 65))),
		"entries: 2":             build(true, protected(kid), none, own(33, "Å", nil, []string{}, []string{"gate-1"})),
		"one entry, no gate":     build(true, protected(kid), none, own(17, "Å")),
		"no gates":               build(true, protected(kid), none, own(1, "Å", nil, []string{}, []string{})),
		"a gate twice":           build(true, protected(kid), none, own(1, "Å", nil, []string{}, []string{"gate-1", "gate-1"})),
		"many gates":             build(true, protected(kid), none, own(1, "Å", nil, []string{}, strings.Fields(strings.Repeat("g ", 17)))),
		"null for gates":         build(true, protected(kid), none, own(1, "Å", nil, []string{}, nil)),
		"null for zones":         build(true, protected(kid), none, own(1, "Å", nil, nil, []string{"gate-1"})),
		"a window of six":        build(true, protected(kid), none, window(0, 0, 0, 0, 0, 1)),
		"a window of zeros":      build(true, protected(kid), none, window(0)),
		"eight weekdays":         build(true, protected(kid), none, window(128)),
		"the hour 25":            build(true, protected(kid), none, window(0, 0, 1500)),
		"negative hours":         build(true, protected(kid), none, window(0, -1, 100)),
		"hours of 65536 more":    build(true, protected(kid), none, window(0, 65536, 65636)),
		"negative days":          build(true, protected(kid), none, window(0, 0, 0, -5)),
	} {
		r := trusted(nil).Verify([]byte(text), "hn01", "gate-1", nil, from)
		if want := gate.ReasonPassMalformed; name != "the control" && r.Why != want || name == "the control" && r.Proof != gate.ProofGood {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// TestOtherCodings: the good message in codings that mean the same.
func TestOtherCodings(t *testing.T) {
	good := decodeText(t, issued(t, key, visitor()))
	swap := func(old, new []byte) []byte {
		out := bytes.Replace(good, old, new, 1)
		if bytes.Equal(out, good) {
			t.Fatalf("there is no %x", old)
		}
		return out
	}
	for name, m := range map[string][]byte{
		"the tag in two bytes": append([]byte{0xd8, 18}, good[1:]...),
		"tagged as a CWT":      append([]byte{0xd8, 61}, good...),
		"tagged twice":         append([]byte{tagSign1}, good...),
		"an indefinite array":  append(append([]byte{tagSign1, 0x9f}, good[2:]...), 0xff),
		"the array in two":     swap([]byte{tagSign1, 0x84}, []byte{tagSign1, 0x98, 4}),
		"the length in three":  swap([]byte{0x58, 0x40}, []byte{0x59, 0, 0x40}),
		"no unprotected map":   swap([]byte{0xa0, 0x58}, []byte{0xf6, 0x58}),
		"an indefinite map":    swap([]byte{0xa0, 0x58}, []byte{0xbf, 0xff, 0x58}),
	} {
		if r := trusted(nil).Verify([]byte(Prefix+base45.Encode(m)), "hn01", "gate-1", nil, from); r.Why != gate.ReasonPassMalformed {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	for name, f := range map[string]func(*Claims){
		"nobody":            func(c *Claims) { c.Kind = 0 },
		"no kind":           func(c *Claims) { c.Kind = 9 },
		"no name":           func(c *Claims) { c.Name = "" },
		"a blank name":      func(c *Claims) { c.Name = " A" },
		"a line feed":       func(c *Claims) { c.Name = "A\nB" },
		"no UTF-8":          func(c *Claims) { c.Host = "\xff" },
		"not NFC":           func(c *Claims) { c.Host = "e\u0302" },
		"no site":           func(c *Claims) { c.Site = "" },
		"single, no gate":   func(c *Claims) { c.Single = true },
		"a gate's name":     func(c *Claims) { c.Gates = []string{"a/b"} },
		"a zone twice":      func(c *Claims) { c.Zones = []string{"a", "a"} },
		"seconds":           func(c *Claims) { c.From = c.From.Add(time.Second) },
		"nanoseconds":       func(c *Claims) { c.From = c.From.Add(1) },
		"ends first":        func(c *Claims) { c.To = c.From },
		"for ever":          func(c *Claims) { c.To = c.From.AddDate(12, 0, 0) },
		"no hours":          func(c *Claims) { c.Window = gate.Window{Start: 60, End: 60} },
		"too many hours":    func(c *Claims) { c.Window.End = 1441 },
		"the last day":      func(c *Claims) { c.Window = gate.Window{From: 20, To: 19} },
		"too many weekdays": func(c *Claims) { c.Window.Weekdays = 0x80 },
	} {
		c := visitor()
		f(&c)
		if text, err := Issue(key, c); err == nil {
			t.Errorf("%s: %d characters", name, len(text))
		} else if strings.Contains(err.Error(), "Đặng") {
			t.Errorf("%s: the error names somebody: %v", name, err)
		}
	}
	if _, err := Issue(nil, visitor()); err == nil {
		t.Error("without a key")
	}
}

// TestIssueDraws: an id each, and no text that ends with a blank.
func TestIssueDraws(t *testing.T) {
	seen := map[ID]bool{}
	for range 300 {
		c := visitor()
		c.ID = ID{}
		text := issued(t, key, c)
		back, err := Inspect(text)
		if err != nil || back.ID == (ID{}) || seen[back.ID] || strings.HasSuffix(text, " ") {
			t.Fatalf("%v, %v", back, err)
		}
		seen[back.ID] = true
	}
}

func TestID(t *testing.T) {
	for _, s := range []string{"0102030405060708", "0102030405060700", "010203040506070809", "0102030405060708090a0b0c0d0e0f10"} {
		if id, err := ParseID(s); err != nil || id.String() != s {
			t.Errorf("%s: %v, %v", s, id, err)
		}
	}
	for _, s := range []string{"", "01", "0102030405060708 ", "010203040506070G", "010203040506070A", "010203040506070800", strings.Repeat("0", 16), strings.Repeat("1", 34), "01020304050607081"} {
		if id, err := ParseID(s); err == nil {
			t.Errorf("%q is %v", s, id)
		}
	}
}

// TestSilent: nothing that prints values prints names.
func TestSilent(t *testing.T) {
	c := visitor()
	r := trusted(nil).Verify([]byte(issued(t, key, c)), "hn01", "gate-1", nil, from)
	late := trusted(nil).Verify([]byte(issued(t, key, c)), "hn01", "gate-1", nil, to)
	var b strings.Builder
	for _, v := range []any{c, &c, r, &r, late, struct{ R Result }{r}} {
		fmt.Fprintf(&b, "%v %+v %#v %s\n", v, v, v, v)
	}
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "pass", r, "claims", c)
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "pass", r, "claims", c)
	j, err := json.Marshal(r)
	if b.Write(j); err != nil || strings.Contains(b.String(), "Vỹ") || strings.Contains(b.String(), "Bảo") {
		t.Error(b.String())
	}
}

// TestSizes: what fits which code at error correction M. 30 letters, a host
// and two zones fit version 9, of 262 characters, whatever the diacritics.
func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       func(*Claims)
		version int
	}{
		{"30 letters, a host, two zones", func(c *Claims) { c.Zones = []string{"lobby", "garden"} }, 9},
		{"without host and zones", func(c *Claims) { c.Host = "" }, 8},
		{"another name", func(c *Claims) {
			c.Name = "Nguyễn Thị Ngọc Diễm Hằng Hiền"
			c.Zones = []string{"lobby", "garden"}
		}, 9},
		{"the capitals of a card", func(c *Claims) { c.Name, c.Zones = strings.ToUpper(c.Name), []string{"lobby", "garden"} }, 9},
		{"and one entry, at a gate", func(c *Claims) { c.Zones, c.Gates, c.Single = []string{"lobby", "lab"}, []string{"gate-1"}, true }, 9},
		{"and a window", func(c *Claims) {
			c.Zones = []string{"lobby", "lab"}
			c.Window = gate.Window{Weekdays: 0b11111, Start: 8 * 60, End: 17 * 60}
		}, 9},
		{"ASCII", func(c *Claims) {
			c.Name, c.Host, c.Zones = "Alexandra Bartholomew-Whitfield", "John Smith", []string{"lobby", "garden"}
		}, 9},
		{"everything", func(c *Claims) {
			c.Name, c.Host = strings.Repeat("Å", maxName), strings.Repeat("Å", maxName)
			for i := range maxPlaces {
				c.Zones = append(c.Zones, fmt.Sprintf("zone-%02d-%s", i, strings.Repeat("z", maxLabel-8)))
				c.Gates = append(c.Gates, fmt.Sprintf("gate-%02d-%s", i, strings.Repeat("g", maxLabel-8)))
			}
		}, 40},
	} {
		p := visitor()
		c.f(&p)
		text, err := Issue(key, p)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		q, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := q.GetVersion().GetVersionNumber()
		t.Logf("%-32s name of %2d letters, %2d bytes; claims %3d bytes; text %4d characters: version %d-M",
			c.name, utf8.RuneCountInString(p.Name), len(p.Name), len(p.payload()), len(text), got)
		if got > c.version {
			t.Errorf("%s: version %d, not %d", c.name, got, c.version)
		}
		if r := trusted(nil).Verify([]byte(text), "hn01", first(p.Gates, "gate-1"), p.Zones, from); r.Proof != gate.ProofGood {
			t.Errorf("%s: %v", c.name, r)
		}
	}
}

func first(s []string, none string) string {
	if len(s) == 0 {
		return none
	}
	return s[0]
}

func FuzzVerify(f *testing.F) {
	c := visitor()
	f.Add([]byte(issued(f, key, c)))
	c.Gates, c.Zones, c.Single = []string{"gate-1"}, []string{"lobby"}, true
	c.Window = gate.Window{Weekdays: 31, Start: 480, End: 1020, From: 20000, To: 30000}
	c.Name, c.Host = "ÅSE Ørsted", "TRẦN VĂN BẢO"
	f.Add([]byte(issued(f, key, c)))
	f.Add([]byte(issued(f, other, c)))
	for _, s := range []string{"", "GP1: ", "GP1:000", "GP1:::::::", "HC1:6BF", "GP1:BB8\n", "GP1:%69 VD92EX0"} {
		f.Add([]byte(s))
	}
	for _, p := range hostile.Payloads("/tmp/canary") {
		f.Add([]byte(p.Text))
	}
	keys := trusted(nil)
	known := map[string]bool{issued(f, key, visitor()): true, issued(f, key, c): true}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		r := keys.Verify(text, "hn01", "gate-1", []string{"lobby"}, from)
		if !bytes.Equal(text, before) {
			t.Fatal("the text was changed")
		}
		if r.Proof == gate.ProofGood && !known[strings.TrimRight(strings.TrimPrefix(string(text), "\ufeff"), "\r\n\x00\t")] {
			t.Fatalf("%q is good", text)
		}
	})
}

// FuzzClaims: what is signed by a trusted key is as strictly read as the rest.
func FuzzClaims(f *testing.F) {
	c := visitor()
	f.Add(c.payload())
	c.Gates, c.Single, c.Window = []string{"gate-1"}, true, gate.Window{Weekdays: 31, Start: 480, End: 1020, From: 20000, To: 30000}
	f.Add(c.payload())
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parsePayload(b)
		if err != nil {
			return
		}
		if !bytes.Equal(c.payload(), b) {
			t.Fatalf("%x and %x are the same", b, c.payload())
		}
		if _, err := Issue(key, c); err != nil && !strings.Contains(err.Error(), "do not fit") {
			t.Fatalf("it is read and not issued: %v", err)
		}
	})
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"", "Lê Văn Tám", "LÊ VĂN TÁM", "Lê văn Tám", "Khách 12", "Å", "a", "Nguyễn Thị Minh Khai (Phòng 2)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if packed, ok := pack(s); ok {
			if back, ok := unpack(packed); !ok || back != s {
				t.Fatalf("%q became %q", s, back)
			}
		}
		if back, ok := unpack([]byte(s)); ok && !utf8.ValidString(back) {
			t.Fatalf("%x is %q", s, back)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	text := []byte(issued(b, key, visitor()))
	k := trusted(nil)
	b.ReportAllocs()
	for b.Loop() {
		if r := k.Verify(text, "hn01", "gate-1", nil, from); r.Proof != gate.ProofGood {
			b.Fatal(r)
		}
	}
}
