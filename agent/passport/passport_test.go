package passport

import (
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
)

func day(t testing.TB, s string) gate.Day {
	t.Helper()
	d, err := gate.ParseDay(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var (
	oidTest         = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 1}
	oidVaccination  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 2}
	oidRecovery     = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 3}
	oidOldRecovery  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 0, 1847, 2021, 1, 3}
	oidSomethingOwn = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1847, 2021, 7, 7}
)

func TestVerify(t *testing.T) {
	good := newIssuer(t, ecKey(t))
	noon := time.Date(2022, 5, 1, 12, 0, 0, 0, time.UTC)
	vaccinated := gate.Passport{Proof: gate.ProofGood, Event: gate.PassportVaccination, Dose: 2, Of: 2, Day: day(t, "2021-09-18")}
	sampled := gate.MinuteOf(time.Date(2022, 4, 13, 8, 20, 0, 0, time.UTC))
	recoveredPassport := gate.Passport{
		Proof: gate.ProofGood, Event: gate.PassportRecovery, Day: day(t, "2022-01-10"), From: day(t, "2022-01-21"), To: day(t, "2022-07-09"),
	}
	testedPassport := func(kind gate.TestKind, positive bool) gate.Passport {
		return gate.Passport{
			Proof: gate.ProofGood, Event: gate.PassportTest,
			Test: gate.Test{Kind: kind, Positive: positive, Sampled: sampled},
		}
	}
	bad := func(why gate.Reason) gate.Passport { return gate.Passport{Proof: gate.ProofBad, Why: why} }
	malformed := bad(gate.ReasonPassportMalformed)
	booster := vaccinated
	booster.Dose = 3

	flip := func(b []byte) []byte { b = slices.Clone(b); b[len(b)/2] ^= 1; return b }
	tests := []struct {
		name  string
		dcc   map[string]any
		shape shape
		by    *issuer
		at    time.Time // zero: noon
		want  gate.Passport
	}{
		{name: "vaccination", dcc: dose(2, 2), want: vaccinated},
		{name: "booster", dcc: dose(3, 2), want: booster},
		{name: "PCR, negative", dcc: sample(kindPCR, resultNegative), want: testedPassport(gate.TestPCR, false)},
		{name: "PCR, positive", dcc: sample(kindPCR, resultPositive), want: testedPassport(gate.TestPCR, true)},
		{name: "antigen, negative", dcc: sample(kindAntigen, resultNegative), want: testedPassport(gate.TestAntigen, false)},
		{name: "test of another kind", dcc: sample("COVID-19 test", resultNegative), want: testedPassport(gate.TestOther, false)},
		{name: "recovery", dcc: recovered(), want: recoveredPassport},

		{name: "not tagged", dcc: dose(2, 2), shape: shape{untagged: true}, want: vaccinated},
		{name: "within a CWT tag", dcc: dose(2, 2), shape: shape{tags: []uint64{61, 18}}, want: vaccinated},
		{name: "tags the wrong way round", dcc: dose(2, 2), shape: shape{tags: []uint64{18, 61}}, want: malformed},
		{name: "tagged as something else", dcc: dose(2, 2), shape: shape{tags: []uint64{17}}, want: malformed},
		{name: "indefinite lengths", dcc: dose(2, 2), shape: shape{indefinite: true}, want: vaccinated},
		{name: "kid outside", dcc: dose(2, 2), shape: shape{kidOutside: true}, want: vaccinated},
		{name: "another kid outside", dcc: dose(2, 2), shape: shape{kidOther: true}, want: vaccinated},
		{name: "no kid", dcc: dose(2, 2), shape: shape{noKID: true}, want: bad(gate.ReasonPassportUnknown)},
		{name: "critical header", dcc: dose(2, 2), shape: shape{critical: true}, want: malformed},
		{name: "says PS256, is ES256", dcc: dose(2, 2), shape: shape{alg: AlgPS256}, want: bad(gate.ReasonPassportForged)},
		{name: "EdDSA", dcc: dose(2, 2), shape: shape{alg: -8}, want: bad(gate.ReasonPassportForged)},
		{name: "signature changed", dcc: dose(2, 2), shape: shape{mend: flip}, want: bad(gate.ReasonPassportForged)},
		{name: "signature of zeros", dcc: dose(2, 2), shape: shape{mend: func([]byte) []byte { return make([]byte, 64) }}, want: bad(gate.ReasonPassportForged)},
		{name: "signature of 96 bytes", dcc: dose(2, 2), shape: shape{mend: func(b []byte) []byte { return append(b, make([]byte, 32)...) }}, want: bad(gate.ReasonPassportForged)},
		{name: "content changed", dcc: dose(2, 2), shape: shape{mendPayload: flip}, want: bad(gate.ReasonPassportForged)},

		{name: "first second", dcc: dose(2, 2), at: issuedAt, want: vaccinated},
		{name: "before it", dcc: dose(2, 2), at: issuedAt.Add(-time.Second), want: bad(gate.ReasonPassportEarly)},
		{name: "last second", dcc: dose(2, 2), at: expiresAt, want: vaccinated},
		{name: "after it", dcc: dose(2, 2), at: expiresAt.Add(time.Second), want: bad(gate.ReasonPassportExpired)},
		{name: "times as floats", dcc: dose(2, 2), shape: shape{claims: map[any]any{4: float64(noon.Unix()) + .5, 6: 1649923200.25}}, want: vaccinated},
		{name: "no expiry", dcc: dose(2, 2), shape: shape{claims: map[any]any{6: issuedAt.Unix()}}, want: malformed},
		{name: "no time of issue", dcc: dose(2, 2), shape: shape{claims: map[any]any{4: expiresAt.Unix()}}, want: malformed},
		{name: "expiry as a text", dcc: dose(2, 2), shape: shape{claims: map[any]any{4: "2023", 6: issuedAt.Unix()}}, want: malformed},
		{name: "expiry beyond all time", dcc: dose(2, 2), shape: shape{claims: map[any]any{4: uint64(1) << 63, 6: issuedAt.Unix()}}, want: malformed},
		{name: "key not good yet", dcc: dose(2, 2), at: keyFrom.Add(-time.Second), want: bad(gate.ReasonPassportUnknown)},
		{name: "key no longer good", dcc: dose(2, 2), at: keyTo.Add(time.Second), want: bad(gate.ReasonPassportUnknown)},

		{name: "doses as whole floats", dcc: dose(2.0, 2.0), want: vaccinated},
		{name: "half a dose", dcc: dose(1.5, 2), want: malformed},
		{name: "no dose", dcc: dose(0, 2), want: malformed},
		{name: "day with a time", dcc: with(dose(2, 2), "dt", "2021-09-18T00:00:00"), want: vaccinated},
		{name: "no such day", dcc: with(dose(2, 2), "dt", "2021-02-30"), want: malformed},
		{name: "null lists", dcc: set(set(dose(2, 2), "t", nil), "r", nil), want: vaccinated},
		{name: "empty lists", dcc: set(set(dose(2, 2), "t", []any{}), "r", []any{}), want: vaccinated},
		{name: "two events of a kind", dcc: set(dose(2, 2), "v", []any{dose(1, 2)["v"].([]any)[0], dose(2, 2)["v"].([]any)[0]}), want: malformed},
		{name: "events of two kinds", dcc: set(dose(2, 2), "r", recovered()["r"]), want: malformed},
		{name: "no event", dcc: set(dose(2, 2), "v", nil), want: malformed},
		{name: "malformed birth date", dcc: set(dose(2, 2), "dob", "second of September"), want: vaccinated},
		{name: "birth date missing", dcc: set(dose(2, 2), "dob", nil), want: vaccinated},
		{name: "odd machine-readable name", dcc: set(dose(2, 2), "nam", map[string]any{"fn": "Nguyễn", "fnt": "nguyen !?", "gn": "A"}), want: vaccinated},
		{name: "no name", dcc: set(dose(2, 2), "nam", map[string]any{}), want: malformed},
		{name: "name of pictures", dcc: set(dose(2, 2), "nam", map[string]any{"fn": "Nguyễn", "gn": "😀"}), want: malformed},
		{name: "born a century ahead", dcc: set(dose(2, 2), "dob", "2095-09-02"), want: malformed},
		{name: "tested before birth", dcc: set(sample(kindPCR, resultNegative), "dob", "2095-09-02"), want: malformed},
		{name: "blanks around codes", dcc: with(dose(2, 2), "tg", " 840539006 "), want: vaccinated},
		{name: "another disease", dcc: with(dose(2, 2), "tg", "16541001"), want: malformed},
		{name: "manufacturer that cannot be", dcc: with(dose(2, 2), "ma", "ORG-99999999"), want: malformed},
		{name: "manufacturer of a later day", dcc: with(dose(2, 2), "ma", "ORG-100099999"), want: vaccinated},
		{name: "vaccine of a later day", dcc: with(dose(2, 2), "mp", "EU/1/25/2001"), want: vaccinated},
		{name: "country that is none", dcc: with(dose(2, 2), "co", "XY"), want: malformed},
		{name: "device that is none", dcc: with(sample(kindAntigen, resultNegative), "ma", "9999"), want: malformed},
		{name: "of no doses", dcc: dose(2, 0), want: malformed},
		{name: "result that is no code", dcc: with(sample(kindPCR, resultNegative), "tr", "NotDetected"), want: malformed},
		{name: "given name missing", dcc: set(dose(2, 2), "nam", map[string]any{"fn": "Nguyễn", "fnt": "NGUYEN"}), want: vaccinated},
		{name: "printed name missing", dcc: set(dose(2, 2), "nam", map[string]any{"fnt": "NGUYEN", "gnt": "THI<THU"}), want: vaccinated},
		{name: "year of birth", dcc: set(dose(2, 2), "dob", "1995"), want: vaccinated},
		{name: "month of birth", dcc: set(dose(2, 2), "dob", "1995-09"), want: vaccinated},
		{name: "birth date with a time", dcc: set(dose(2, 2), "dob", "1995-09-02T00:00:00"), want: vaccinated},
		{name: "times as floats of half the size", dcc: dose(2, 2), shape: shape{claims: map[any]any{4: float32(1 << 31), 6: float32(1 << 30)}}, want: vaccinated},
		{name: "no issuer", dcc: dose(2, 2), shape: shape{claims: map[any]any{4: expiresAt.Unix(), 6: issuedAt.Unix()}}, want: vaccinated},
		{name: "test without a result", dcc: with(sample(kindPCR, resultNegative), "tr", ""), want: malformed},
		{name: "sample without a zone", dcc: with(sample(kindPCR, resultNegative), "sc", "2022-04-13T15:20:00"), want: malformed},
		{name: "recovery that ends before it begins", dcc: with(recovered(), "du", "2022-01-20"), want: malformed},
		{name: "no identifier", dcc: with(dose(2, 2), "ci", ""), want: malformed},
		{name: "doubled field", dcc: dose(2, 2), shape: shape{content: func(b []byte) []byte {
			return append([]byte{b[0] + 1}, append([]byte{0x63, 'd', 'o', 'b', 0x60}, b[1:]...)...)
		}}, want: malformed},
		{name: "certificate as bytes", dcc: dose(2, 2), shape: shape{content: func([]byte) []byte { return []byte{0x41, 0x00} }}, want: malformed},
		{name: "deep nesting", dcc: dose(2, 2), shape: shape{content: func([]byte) []byte {
			return append(slices.Repeat([]byte{0x81}, 100), 0)
		}}, want: malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := noon
			if !tt.at.IsZero() {
				now = tt.at
			}
			got := NewKeys([]Key{good.trusted(t)}, nil).Verify([]byte(good.issue(t, tt.dcc, tt.shape)), now)
			if diff := cmp.Diff(tt.want, got.Passport); diff != "" {
				t.Error(diff)
			}
			if got.Proof != gate.ProofGood && (got.Holder != Holder{} || got.ID != [32]byte{} || got.Hashes != Hashes{}) {
				t.Error("a bad passport says who its holder is")
			}
		})
	}
}

// TestProvesNothing: such certificates have been issued, and public vectors want
// them to be read; they count for nothing.
func TestProvesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		dcc  map[string]any
		want string // of Judge; empty: it proves something
	}{
		{"vaccination", dose(1, 1), ""},
		{"booster", dose(3, 2), ""},
		{"negative", sample(kindPCR, resultNegative), ""},
		{"positive", sample(kindAntigen, resultPositive), ""},
		{"recovery of a day", with(recovered(), "du", "2022-01-21"), ""},
		{"no dose", dose(0, 2), "which dose"},
		{"of no doses", dose(9, 0), "which dose"},
		{"no result", with(sample(kindPCR, resultNegative), "tr", ""), "came out"},
		{"result left out", with(sample(kindPCR, resultNegative), "tr", nil), "came out"},
		{"result in words", with(sample(kindPCR, resultNegative), "tr", "NEGATIVO"), "came out"},
		{"result inconclusive", with(sample(kindPCR, resultNegative), "tr", "455371000124106"), "came out"},
		{"disease by another catalogue", with(sample(kindPCR, resultNegative), "tg", "94558-4"), "another disease"},
		{"disease, vaccine and maker unknown", with(with(with(with(dose(2, 2), "tg", "729999"), "vp", "729999"), "mp", "729999"), "ma", "729999"), "another disease"},
		{"recovery that ends before it begins", with(recovered(), "du", "2022-01-20"), "ends before it begins"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := cbor.Marshal(tt.dcc)
			if err != nil {
				t.Fatal(err)
			}
			c, err := ParseContent(b)
			if err != nil {
				t.Fatalf("cannot be read: %v", err)
			}
			if err := c.Judge(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestSizesOfRSA: keys of every size that is taken sign, and others do not.
func TestSizesOfRSA(t *testing.T) {
	if testing.Short() {
		t.Skip("makes long keys")
	}
	if strconv.IntSize == 32 {
		t.Skip("makes long keys, which takes a minute on 32 bits")
	}
	for _, bits := range []int{2048, 3072, 4096} {
		i := newIssuer(t, rsaKey(t, bits))
		text := []byte(i.issue(t, dose(2, 2), shape{}))
		if r := NewKeys([]Key{i.trusted(t)}, nil).Verify(text, issuedAt); r.Proof != gate.ProofGood {
			t.Errorf("%d bits: %s", bits, r)
		}
		m, err := Read(text)
		if err != nil || len(m.Signature) != bits/8 {
			t.Errorf("%d bits: a signature of %d bytes, %v", bits, len(m.Signature), err)
		}
	}
}

func TestUsage(t *testing.T) {
	events := map[string]map[string]any{"test": sample(kindPCR, resultNegative), "vaccination": dose(2, 2), "recovery": recovered()}
	for _, tt := range []struct {
		name   string
		usages []asn1.ObjectIdentifier
		good   string
	}{
		{"none", nil, "test vaccination recovery"},
		{"test", []asn1.ObjectIdentifier{oidTest}, "test"},
		{"vaccination", []asn1.ObjectIdentifier{oidVaccination}, "vaccination"},
		{"recovery", []asn1.ObjectIdentifier{oidRecovery}, "recovery"},
		{"recovery, the old form", []asn1.ObjectIdentifier{oidOldRecovery}, "recovery"},
		{"two", []asn1.ObjectIdentifier{oidTest, oidVaccination}, "test vaccination"},
		{"another purpose", []asn1.ObjectIdentifier{oidSomethingOwn}, "test vaccination recovery"},
	} {
		i := newIssuer(t, ecKey(t), tt.usages...)
		keys := NewKeys([]Key{i.trusted(t)}, nil)
		for name, dcc := range events {
			want := "passport_usage"
			if strings.Contains(tt.good, name) {
				want = "good " + name
			}
			if got := keys.Verify([]byte(i.issue(t, dcc, shape{})), issuedAt).String(); got != want {
				t.Errorf("key for %s, certificate of %s: %s, want %s", tt.name, name, got, want)
			}
		}
	}
}

func TestKeys(t *testing.T) {
	a, b := newIssuer(t, ecKey(t)), newIssuer(t, ecKey(t))
	b.kid = a.kid // two issuers, one id
	old := b.trusted(t)
	old.KID, old.NotAfter = a.kid, issuedAt
	now := old
	now.NotAfter = keyTo
	keys := NewKeys([]Key{a.trusted(t), old, now, {KID: a.kid, Public: "no key"}, {Public: old.Public}}, nil)
	if keys.Len() != 3 {
		t.Errorf("%d keys, want 3", keys.Len())
	}
	for _, i := range []issuer{a, b} {
		if r := keys.Verify([]byte(i.issue(t, dose(2, 2), shape{})), expiresAt); r.Proof != gate.ProofGood {
			t.Error(r)
		}
	}
	if r := NewKeys([]Key{old}, nil).Verify([]byte(b.issue(t, dose(2, 2), shape{})), expiresAt); r.Why != gate.ReasonPassportUnknown {
		t.Error(r)
	}
	if r := NewKeys(nil, nil).Verify([]byte(b.issue(t, dose(2, 2), shape{})), expiresAt); r.Why != gate.ReasonPassportUnknown {
		t.Error(r)
	}

	if _, err := ParseCertificate([]byte("no certificate")); err == nil {
		t.Error("taken for a certificate")
	}
	if _, err := ParseCertificateAs(nil, a.der); err == nil {
		t.Error("an empty id is taken")
	}
	named, err := ParseCertificateAs([]byte("own id"), a.der)
	if err != nil || string(named.KID) != "own id" || named.Alg() != "ES256" {
		t.Error(named.KID, named.Alg(), err)
	}
	small := newIssuer(t, rsaKey(t, 1024))
	if _, err := ParseCertificate(small.der); err == nil || !strings.Contains(err.Error(), "1024 bits") {
		t.Error("RSA of 1024 bits:", err)
	}
}

func TestRevoked(t *testing.T) {
	i := newIssuer(t, ecKey(t))
	text := []byte(i.issue(t, dose(2, 2), shape{}))
	r := NewKeys([]Key{i.trusted(t)}, nil).Verify(text, issuedAt)
	if r.ID != sha256.Sum256([]byte(fictionalUCI)) || r.Hashes.ID != Hash(r.ID[:16]) || r.Hashes.ID != HashID(fictionalUCI) {
		t.Error("the id is not over the identifier")
	}
	if r.Hashes.CountryID != HashID("VN"+fictionalUCI) {
		t.Error("country and id")
	}
	m, err := Read(text)
	if err != nil || r.Hashes.Signature != hashOf(m.Signature[:32]) {
		t.Error("signature", err)
	}
	for _, h := range []Hash{r.Hashes.ID, r.Hashes.CountryID, r.Hashes.Signature} {
		got := NewKeys([]Key{i.trusted(t)}, func(x Hash) bool { return x == h }).Verify(text, issuedAt)
		if diff := cmp.Diff(gate.Passport{Proof: gate.ProofBad, Why: gate.ReasonPassportRevoked}, got.Passport); diff != "" {
			t.Error(diff)
		}
	}
}

// TestHidden looks for a name in every way a value can be written.
func TestHidden(t *testing.T) {
	i := newIssuer(t, ecKey(t))
	text := []byte(i.issue(t, dose(2, 2), shape{}))
	r := NewKeys([]Key{i.trusted(t)}, nil).Verify(text, issuedAt)
	m, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := ParseClaims(m.Payload)
	if err != nil {
		t.Fatal(err)
	}
	content, err := ParseContent(claims.Content)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{r, &r, r.Holder, m, claims, content, []any{content, r}} {
		for _, form := range []string{"%v", "%+v", "%#v", "%s"} {
			if s := strings.ToUpper(fmt.Sprintf(form, v)); strings.Contains(s, "NGHI") || strings.Contains(s, "1995") || strings.Contains(s, "UVCI") {
				t.Errorf("%T with %s: %s", v, form, s)
			}
		}
	}
	b, err := json.Marshal(r)
	if err != nil || strings.Contains(strings.ToUpper(string(b)), "NGHI") {
		t.Errorf("%s %v", b, err)
	}
}

// TestManyKeys holds that 500 trusted keys cost no more than one and a half
// times what one costs.
func TestManyKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	i := newIssuer(t, ecKey(t))
	one := []Key{i.trusted(t)}
	many := slices.Clone(one)
	for n := range 499 {
		k := newIssuer(t, i.key).trusted(t)
		k.KID = fmt.Appendf(nil, "key %04d", n)
		many = append(many, k)
	}
	text := []byte(i.issue(t, dose(2, 2), shape{}))
	cost := func(keys *Keys) time.Duration {
		begin := time.Now()
		for range 20 {
			if r := keys.Verify(text, issuedAt); r.Proof != gate.ProofGood {
				t.Fatal(r)
			}
		}
		return time.Since(begin) / 20
	}
	a, b := NewKeys(one, nil), NewKeys(many, nil)
	ratio := 0.0
	for range 5 {
		var few, lots []time.Duration
		for range 15 {
			few, lots = append(few, cost(a)), append(lots, cost(b))
		}
		slices.Sort(few)
		slices.Sort(lots)
		ratio = float64(lots[7]) / float64(few[7])
		t.Logf("1 key %v, %d keys %v: ratio %.2f", few[7], b.Len(), lots[7], ratio)
		if ratio <= 1.5 {
			return
		}
	}
	t.Errorf("500 keys cost %.2f times what one costs", ratio)
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"ES256", "PS256"} {
		b.Run(alg, func(b *testing.B) {
			key := ecKey(b)
			if alg == "PS256" {
				key = rsaKey(b, 2048)
			}
			i := newIssuer(b, key)
			text, keys := []byte(i.issue(b, dose(2, 2), shape{})), NewKeys([]Key{i.trusted(b)}, nil)
			b.ReportAllocs()
			for b.Loop() {
				if r := keys.Verify(text, issuedAt); r.Proof != gate.ProofGood {
					b.Fatal(r)
				}
			}
		})
	}
}

// TestUnprefix: what engines put round a text is dropped, a blank is a digit.
func TestUnprefix(t *testing.T) {
	for text, want := range map[string]string{
		"HC1:6BF": "6BF", "HC1:6BF\r\n": "6BF", "HC1:6BF\x00\x00\x00\r": "6BF", "\ufeffHC1:6BF\t": "6BF", "HC1:6BF ": "6BF ", "HC1:6B\rF\n": "6B\rF", "HC1:": "",
	} {
		if got, err := Unprefix([]byte(text)); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "HC2:6BF", "\nHC1:6BF", "hc1:6BF"} {
		if got, err := Unprefix([]byte(text)); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}
