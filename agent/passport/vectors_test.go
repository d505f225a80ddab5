package passport

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"gateagent/agent/base45"
	"gateagent/agent/gate"
)

// ownVectors are passports of people who do not exist, signed by issuers that
// do not, so that the chain is held to fixed bytes also where the public
// vectors are not at hand. UPDATE_VECTORS=1 makes them anew; the keys are made
// for it and forgotten.
const ownVectors = "testdata/passports.json"

type ownVector struct {
	Name        string    `json:"name"`
	Text        string    `json:"text"`
	Certificate string    `json:"certificate"`   // DER as base64
	KID         string    `json:"kid,omitempty"` // base64; "": made from the certificate
	At          time.Time `json:"at"`
	Want        string    `json:"want"`
	Card        string    `json:"card,omitempty"` // name on the card it is shown with
	Matches     bool      `json:"matches,omitempty"`
}

// TestVietnamese makes a twin of the published Vietnamese sample (PAYLOADS
// §5.1): PS256 with a 2048 bit key, diacritics, the machine-readable form with
// <, valid for 1,021 days; of somebody who does not exist.
func TestVietnamese(t *testing.T) {
	i := newIssuer(t, rsaKey(t, 2048))
	issued := time.Date(2022, 4, 14, 3, 21, 45, 0, time.UTC)
	until := issued.AddDate(0, 0, 1021)
	text := []byte(i.issue(t, dose(2, 2), shape{claims: map[any]any{1: "VN", 4: until.Unix(), 6: issued.Unix()}}))
	m, err := Read(text)
	if err != nil || m.Alg != AlgPS256 || len(m.Signature) != 256 || len(m.KID) != KIDLen {
		t.Fatal(m.Alg, len(m.Signature), len(m.KID), err)
	}
	if n := len(text); n < 700 || n > 1000 {
		t.Errorf("%d characters; the sample has 825", n)
	}
	keys := NewKeys([]Key{i.trusted(t)}, nil)
	r := keys.Verify(text, issued.AddDate(0, 6, 0))
	if r.Proof != gate.ProofGood || r.Event != gate.PassportVaccination || r.Dose != 2 || r.Of != 2 {
		t.Fatal(r)
	}
	if !r.Holder.Matches("Nguyễn Thị Thử Nghiệm", gate.Date{Year: 1995, Month: 9, DayOfMonth: 2}) {
		t.Error("does not match the card")
	}
	if r := keys.Verify(text, until.Add(time.Second)); r.Why != gate.ReasonPassportExpired {
		t.Error(r)
	}
}

func TestOwnVectors(t *testing.T) {
	if os.Getenv("UPDATE_VECTORS") != "" {
		updateVectors(t)
	}
	vectors := readOwn(t)
	if len(vectors) < 15 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			r := NewKeys([]Key{v.key(t)}, nil).Verify([]byte(v.Text), v.At)
			if r.String() != v.Want {
				t.Errorf("got %s, want %s", r, v.Want)
			}
			if v.Card != "" && r.Holder.Matches(v.Card, gate.Date{Year: 1995, Month: 9, DayOfMonth: 2}) != v.Matches {
				t.Errorf("matches the card: want %v", v.Matches)
			}
		})
	}
}

func readOwn(t testing.TB) []ownVector {
	t.Helper()
	b, err := os.ReadFile(ownVectors)
	if err != nil {
		t.Fatal(err)
	}
	var vectors []ownVector
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	return vectors
}

func (v ownVector) key(t testing.TB) Key {
	t.Helper()
	der, err := base64.StdEncoding.DecodeString(v.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseCertificate(der)
	if v.KID != "" {
		kid, err2 := base64.StdEncoding.DecodeString(v.KID)
		if err2 != nil {
			t.Fatal(err2)
		}
		key, err = ParseCertificateAs(kid, der)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func updateVectors(t *testing.T) {
	t.Helper()
	ps, es := newIssuer(t, rsaKey(t, 2048)), newIssuer(t, ecKey(t))
	forTests := newIssuer(t, ecKey(t), oidTest)
	named := newIssuer(t, ecKey(t))
	named.kid = []byte("VN-2022\x01")
	at := issuedAt.AddDate(0, 1, 0)
	flip := func(b []byte) []byte { b[7] ^= 1; return b }
	vectors := []ownVector{
		{Name: "Vietnamese form, PS256", Text: ps.issue(t, dose(2, 2), shape{}), Certificate: b64(ps.der), Want: "good vaccination", Card: "Nguyễn Thị Thử Nghiệm", Matches: true},
		{Name: "shown with another's card", Text: ps.issue(t, dose(2, 2), shape{}), Certificate: b64(ps.der), Want: "good vaccination", Card: "Nguyễn Thị Mẫu", Matches: false},
		{Name: "PS256, changed", Text: ps.issue(t, dose(2, 2), shape{mendPayload: flip}), Certificate: b64(ps.der), Want: "passport_forged"},
		{Name: "ES256", Text: es.issue(t, dose(1, 2), shape{}), Certificate: b64(es.der), Want: "good vaccination"},
		{Name: "ES256, changed", Text: es.issue(t, dose(1, 2), shape{mend: flip}), Certificate: b64(es.der), Want: "passport_forged"},
		{Name: "PCR", Text: es.issue(t, sample(kindPCR, resultNegative), shape{}), Certificate: b64(es.der), Want: "good test"},
		{Name: "antigen", Text: es.issue(t, sample(kindAntigen, resultPositive), shape{}), Certificate: b64(es.der), Want: "good test"},
		{Name: "recovery", Text: es.issue(t, recovered(), shape{}), Certificate: b64(es.der), Want: "good recovery"},
		{Name: "not tagged", Text: es.issue(t, dose(2, 2), shape{untagged: true}), Certificate: b64(es.der), Want: "good vaccination"},
		{Name: "CWT tag", Text: es.issue(t, dose(2, 2), shape{tags: []uint64{61, 18}}), Certificate: b64(es.der), Want: "good vaccination"},
		{Name: "kid outside", Text: es.issue(t, dose(2, 2), shape{kidOutside: true}), Certificate: b64(es.der), Want: "good vaccination"},
		{Name: "kid of the issuer's own", Text: named.issue(t, dose(2, 2), shape{}), Certificate: b64(named.der), KID: b64(named.kid), Want: "good vaccination"},
		{Name: "indefinite lengths", Text: es.issue(t, dose(2, 2), shape{indefinite: true}), Certificate: b64(es.der), Want: "good vaccination"},
		{Name: "float times and doses", Text: es.issue(t, dose(2.0, 2.0), shape{claims: map[any]any{4: float64(expiresAt.Unix()) + .5, 6: float64(issuedAt.Unix()) - .5}}), Certificate: b64(es.der), Want: "good vaccination"},
		{Name: "last second", Text: es.issue(t, dose(2, 2), shape{}), Certificate: b64(es.der), At: expiresAt, Want: "good vaccination"},
		{Name: "expired", Text: es.issue(t, dose(2, 2), shape{}), Certificate: b64(es.der), At: expiresAt.Add(time.Second), Want: "passport_expired"},
		{Name: "early", Text: es.issue(t, dose(2, 2), shape{}), Certificate: b64(es.der), At: issuedAt.Add(-time.Second), Want: "passport_early"},
		{Name: "key for tests, a test", Text: forTests.issue(t, sample(kindPCR, resultNegative), shape{}), Certificate: b64(forTests.der), Want: "good test"},
		{Name: "key for tests, a vaccination", Text: forTests.issue(t, dose(2, 2), shape{}), Certificate: b64(forTests.der), Want: "passport_usage"},
		{Name: "nobody's key", Text: es.issue(t, dose(2, 2), shape{}), Certificate: b64(forTests.der), Want: "passport_unknown"},
		{Name: "two events", Text: es.issue(t, set(dose(2, 2), "r", recovered()["r"]), shape{}), Certificate: b64(es.der), Want: "passport_malformed"},
		{Name: "cut off", Text: strings.TrimRight(es.issue(t, dose(2, 2), shape{}), " ")[:300], Certificate: b64(es.der), Want: "passport_malformed"},
		{Name: "not packed", Text: Prefix + base45.Encode(es.message(t, dose(2, 2), shape{})), Certificate: b64(es.der), Want: "passport_malformed"},
		{Name: "bomb", Text: Prefix + base45.Encode(deflate(t, make([]byte, 1<<20))), Certificate: b64(es.der), Want: "passport_malformed"},
	}
	for i := range vectors {
		if vectors[i].At.IsZero() {
			vectors[i].At = at
		}
	}
	b, err := json.MarshalIndent(vectors, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll("testdata", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(ownVectors, append(b, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
