package credential_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
	"gateagent/agent/hostile"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/unicode/norm"
)

// lines decodes a JSONL file, one value a line.
func lines[T any](t testing.TB, path string) []T {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []T
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		var v T
		if err := json.Unmarshal(sc.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out = append(out, v)
	}
	return out
}

type fixture struct {
	Name, Raw, Kind, Number, Born, Issued, Expires, Holder string
	Warn                                                   []string
}

func reasons(f gate.ClaimFlags) []string {
	var out []string
	for _, r := range f.AppendReasons(nil) {
		out = append(out, string(r))
	}
	return out
}

func TestParse(t *testing.T) {
	for _, want := range lines[fixture](t, "testdata/payloads.jsonl") {
		t.Run(want.Name, func(t *testing.T) {
			c := credential.Parse([]byte(want.Raw))
			got := fixture{
				Name: want.Name, Raw: want.Raw, Kind: c.Kind.String(), Number: string(c.Number),
				Holder: c.Name, Warn: reasons(c.Warnings),
			}
			isCard := c.Kind == gate.KindCCCD || c.Kind == gate.KindCC
			for to, d := range map[*string]gate.Date{&got.Born: c.Born, &got.Issued: c.Issued, &got.Expires: c.Expires} {
				if isCard || !d.IsZero() {
					*to = d.String()
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// sample is a payload with what a reader of PAYLOADS.md expects of it, in the
// form of the samples that are shipped beside that page.
type sample struct {
	Name, Raw, Kind string
	Expect          map[string]any
}

// TestSharedSamples runs the fixtures that the project's papers ship beside
// the payload description, where they are at hand.
func TestSharedSamples(t *testing.T) {
	path := os.Getenv("GATEAGENT_PAYLOAD_SAMPLES")
	if path == "" {
		path = "../../../shared/testdata/payload-samples.jsonl"
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the shared payload samples are not here (set GATEAGENT_PAYLOAD_SAMPLES): %v", err)
	}
	if n, checked := runSamples(t, path); n < 23 || checked < 80 {
		t.Errorf("%d samples, %d values compared", n, checked)
	}
}

// TestSamples runs more of the same form, of every kind.
func TestSamples(t *testing.T) {
	if n, checked := runSamples(t, "testdata/samples.jsonl"); n < 80 || checked < 140 {
		t.Errorf("%d samples, %d values compared", n, checked)
	}
}

func runSamples(t *testing.T, path string) (n, checked int) {
	samples := lines[sample](t, path)
	for _, s := range samples {
		t.Run(s.Name, func(t *testing.T) {
			c := credential.Parse([]byte(s.Raw))
			kind := strings.Replace(s.Kind, "unknown", "unsupported", 1)
			if c.Kind.String() != kind {
				t.Fatalf("kind %v, want %v", c.Kind, kind)
			}
			got := credential.Split([]byte(s.Raw))
			if got == nil {
				got = map[string]any{}
			}
			got["warn"] = []any{}
			for _, r := range reasons(c.Warnings) {
				got["warn"] = append(got["warn"].([]any), r)
			}
			got["expires"] = any(nil)
			if !c.Expires.IsZero() {
				got["expires"] = c.Expires.String()
			}
			for key, want := range s.Expect {
				checked++
				if diff := cmp.Diff(want, got[key]); diff != "" {
					t.Errorf("%s: -want +got:\n%s", key, diff)
				}
			}
			// What the claim keeps of it.
			id, _ := got["id"].(string)
			if c.Kind == gate.KindCCCD || c.Kind == gate.KindCC || c.Kind == gate.KindQRQG && got["masked"] == false && gate.Number(id).Valid() {
				if string(c.Number) != id {
					t.Error("the claim has another number")
				}
			} else if c.Number != "" {
				t.Error("the claim has a number")
			}
			if got["masked"] != nil && (c.Warnings.Has(gate.FlagMasked) != got["masked"] || c.Warnings.Has(gate.FlagProxy) != got["proxy"]) {
				t.Errorf("flags %v", reasons(c.Warnings))
			}
			kept := fmt.Sprintf("%q %q %q", string(c.Number), c.Name, c.Card)
			for _, key := range []string{"old", "qid"} {
				if v, _ := got[key].(string); v != "" && strings.Contains(kept, v) {
					t.Errorf("the claim keeps %s", key)
				}
			}
		})
	}
	return len(samples), checked
}

// TestExtension: the tokens of the national QR are told by shape, in any order.
func TestExtension(t *testing.T) {
	for ext, want := range map[string]string{
		"1<GD4010123456789<0912000000": "insurance phone sex",
		"1<GD4010*******<0912******":   "insurance phone sex",
		"GD4010*******<1":              "insurance sex", // as one article shows it, four digits short
		"0912000000<2<QID0FICTIVE02":   "phone qid sex",
		"+84912000000<84912000000":     "phone phone",
		"0123456789<0":                 "insurance sex",
		"MEUCIQDx+/x==":                "other",
		"":                             "",
		" < <":                         "",
		"<<<<<<<<<<<<1":                "",
	} {
		got := credential.Split([]byte("******000017|A|1990-**-**|0|Q|" + ext))
		var names []string
		for _, n := range got["tokens"].([]any) {
			names = append(names, n.(string))
		}
		slices.Sort(names)
		if have := strings.Join(names, " "); have != want {
			t.Errorf("%q: %s, want %s", ext, have, want)
		}
	}
}

// card prints a card as the ministry would.
func card(born, issued string) string {
	return "001090000017||Nguyễn Văn Mẫu|" + born + "|Nam|x|" + issued
}

// TestExpiry states the law (renewal at 14, 25, 40 and 60; issued within the
// two years before: good to the next age; from 58 on for ever) by examples
// around every limit.
func TestExpiry(t *testing.T) {
	for _, tt := range []struct{ born, issued, want string }{
		{"01062017", "10082024", "2031-06-01"}, // seven years old: to 14
		{"01062010", "31052022", "2024-06-01"}, // the day before 12
		{"01062010", "01062022", "2035-06-01"}, // on the day of 12: to 25
		{"15071990", "14072013", "2015-07-15"},
		{"15071990", "15072013", "2030-07-15"},
		{"10011982", "09012020", "2022-01-10"},
		{"10011982", "10012020", "2042-01-10"},
		{"05051963", "04052021", "2023-05-05"}, // the day before 58
		{"05051963", "05052021", "-"},
		{"01011930", "01062021", "-"},
		{"29022004", "01062021", "2029-03-01"}, // no 29 February in 2029
		{"29022004", "28022027", "2029-03-01"},
		{"29022004", "01032027", "2044-02-29"}, // 23 on 1 March
	} {
		t.Run(tt.born+" "+tt.issued, func(t *testing.T) {
			if got := credential.Parse([]byte(card(tt.born, tt.issued))).Expires.String(); got != tt.want {
				t.Errorf("expires %s, want %s", got, tt.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	prefix := "001090000017||Nguyễn Văn Mẫu|15071990|Nam|"
	suffix := "|20082021"
	fill := func(n int) []byte {
		return []byte(prefix + strings.Repeat("x", n-len(prefix)-len(suffix)) + suffix)
	}
	if got := credential.Parse(fill(gate.MaxPayload)).Kind; got != gate.KindCCCD {
		t.Errorf("a payload of %d bytes is %v", gate.MaxPayload, got)
	}
	if got := credential.Parse(fill(gate.MaxPayload + 1)).Kind; got != gate.KindUnsupported {
		t.Errorf("a payload of %d bytes is %v", gate.MaxPayload+1, got)
	}
	if got := credential.Parse([]byte(card("15071990", "2008\xff021"))).Kind; got != gate.KindUnsupported {
		t.Errorf("a payload that is not UTF-8 is %v", got)
	}
}

// TestNothingElseIsKept: address, old number and the fields 7 to 10 must not
// be reachable through the claim.
func TestNothingElseIsKept(t *testing.T) {
	raw := "001217000039|OLDNUMBER|Nguyễn Minh Nhỏ|01062017|Nam|ADDRESS|10082024|SEVEN|EIGHT|NINE|TEN"
	c := credential.Parse([]byte(raw))
	dump := fmt.Sprintf("%q %q %+v %+v %+v", string(c.Number), c.Name, c.Born, c.Issued, c.Expires)
	for _, word := range []string{"OLDNUMBER", "ADDRESS", "SEVEN", "EIGHT", "NINE", "TEN"} {
		if strings.Contains(dump, word) {
			t.Errorf("%s is kept: %s", word, dump)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, c); strings.Contains(s, "217000") || strings.Contains(s, "Nguy") {
			t.Errorf("%s prints a citizen: %s", verb, s)
		}
	}
}

// TestBoundedAllocation: nothing that fits a code makes the parser take more
// than a few times its size.
func TestBoundedAllocation(t *testing.T) {
	for name, unit := range map[string]string{
		"bars": "|", "letters": "x", "combining marks": "\u0302", "expands under NFC": "\U0001D160", "hangul": "\u1100\u1161",
	} {
		payload := []byte(strings.Repeat(unit, gate.MaxPayload/len(unit)))
		if got := testing.AllocsPerRun(10, func() { credential.Parse(payload) }); got > 16 {
			t.Errorf("%s: %.0f allocations", name, got)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		credential.Parse(payload)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got > 16*gate.MaxPayload {
			t.Errorf("%s: %d bytes allocated", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, fx := range lines[fixture](f, "testdata/payloads.jsonl") {
		f.Add([]byte(fx.Raw))
	}
	for _, p := range hostile.Payloads("/tmp/canary") {
		f.Add([]byte(p.Text))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		mine := bytes.Clone(payload)
		c := credential.Parse(mine)
		want := c
		want.Name, want.Number = strings.Clone(c.Name), gate.Number(strings.Clone(string(c.Number)))
		clear(mine)
		if c != want {
			t.Fatal("the claim shares memory with the payload")
		}
		if again := credential.Parse(payload); again != c {
			t.Fatalf("read twice, read differently: %#v, %#v", c, again)
		}
		isCard := c.Kind == gate.KindCCCD || c.Kind == gate.KindCC
		if c.Kind == gate.KindUnreadable || c.Kind > gate.KindURL {
			t.Fatalf("kind %v", c.Kind)
		}
		if c.Kind != gate.KindUnsupported && (len(payload) > gate.MaxPayload || !utf8.Valid(payload)) {
			t.Fatalf("%v beyond the limits", c.Kind)
		}
		switch {
		case !isCard && c.Kind != gate.KindQRQG && c.Kind != gate.KindBHYT:
			if c != (gate.Claim{Kind: c.Kind, Warnings: c.Warnings & gate.FlagControlChars}) || c.Warnings != 0 && c.Kind != gate.KindUnsupported {
				t.Fatalf("a kind that is only recognised claims %#v", c)
			}
			return
		case isCard != c.Number.Valid() && c.Kind != gate.KindQRQG, c.Number != "" && !c.Number.Valid():
			t.Fatalf("%v with number %q", c.Kind, string(c.Number))
		case c.Kind == gate.KindBHYT && (c.Number != "" || c.Warnings != 0), c.Warnings.Has(gate.FlagMasked) && c.Number != "":
			t.Fatalf("%v names somebody", c.Kind)
		case !isCard && (!c.Issued.IsZero() || !c.Expires.IsZero() || c.Card != ""):
			t.Fatalf("%v is issued", c.Kind)
		}
		if !norm.NFC.IsNormalString(c.Name) || len(c.Name) > 200 || strings.ContainsFunc(c.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("name %q", c.Name)
		}
		if !isCard && c.Born.IsZero() {
			return
		}
		if c.Born.Year < 1 || c.Born.Year > 9999 || c.Born.Month > 12 || c.Born.DayOfMonth > 31 {
			t.Fatalf("born %v", c.Born)
		}
		if !c.Expires.IsZero() && !c.Expires.Valid() {
			t.Fatalf("expires %v", c.Expires)
		}
	})
}

func BenchmarkParseCard(b *testing.B) {
	payload := []byte(card("15071990", "20082021"))
	b.ReportAllocs()
	for b.Loop() {
		credential.Parse(payload)
	}
}
