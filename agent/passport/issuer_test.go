package passport

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"gateagent/agent/base45"
)

// issuer signs passports of people who do not exist, as tests need them.
type issuer struct {
	key crypto.Signer
	der []byte // its certificate
	kid []byte
}

// The certificate of every issuer here is good within these.
var (
	keyFrom = time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
	keyTo   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB, bits int) crypto.Signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newIssuer makes one whose certificate names usages by their OIDs.
func newIssuer(t testing.TB, key crypto.Signer, usages ...asn1.ObjectIdentifier) issuer {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Fictional Issuer", Country: []string{"VN"}},
		NotBefore: keyFrom, NotAfter: keyTo, UnknownExtKeyUsage: usages,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return issuer{key, der, sum[:KIDLen]}
}

func (i issuer) trusted(t testing.TB) Key {
	t.Helper()
	k, err := ParseCertificate(i.der)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// shape is how a passport is put together; the zero value is how it should be.
type shape struct {
	tags        []uint64 // outermost first; nil: that of a COSE_Sign1
	untagged    bool
	kidOutside  bool // in the unprotected header only
	kidOther    bool // another one in the unprotected header
	noKID       bool
	indefinite  bool // lengths of the certificate's maps
	alg         int64
	critical    bool
	mend        func(signature []byte) []byte
	mendPayload func(payload []byte) []byte // after it was signed
	content     func(dcc []byte) []byte     // before it is signed
	claims      map[any]any                 // instead of issuer and times
}

var (
	issuedAt  = time.Date(2022, 4, 14, 8, 0, 0, 0, time.UTC)
	expiresAt = time.Date(2023, 4, 14, 8, 0, 0, 0, time.UTC)
)

// issue gives the text of a passport.
func (i issuer) issue(t testing.TB, dcc map[string]any, s shape) string {
	t.Helper()
	return Prefix + base45.Encode(deflate(t, i.message(t, dcc, s)))
}

func (i issuer) message(t testing.TB, dcc map[string]any, s shape) []byte {
	t.Helper()
	enc := func(v any) []byte {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	content := enc(dcc)
	if s.indefinite {
		content = indefinite(t, dcc)
	}
	if s.content != nil {
		content = s.content(content)
	}
	claims := s.claims
	if claims == nil {
		claims = map[any]any{1: "VN", 4: expiresAt.Unix(), 6: issuedAt.Unix()}
	}
	claims[-260] = map[int]cbor.RawMessage{1: content}
	payload := enc(claims)

	alg := int64(AlgPS256)
	if _, ec := i.key.(*ecdsa.PrivateKey); ec {
		alg = AlgES256
	}
	if s.alg != 0 {
		alg = s.alg
	}
	protected, outside := map[int]any{1: alg, 4: i.kid}, map[int]any{}
	switch {
	case s.kidOutside:
		delete(protected, 4)
		outside[4] = i.kid
	case s.kidOther:
		outside[4] = []byte("another!")
	case s.noKID:
		delete(protected, 4)
	}
	if s.critical {
		protected[2] = []int{99}
	}
	m := Message{Alg: alg, Payload: payload, protected: enc(protected)}
	m.Signature = i.sign(t, m)
	if s.mend != nil {
		m.Signature = s.mend(m.Signature)
	}
	if s.mendPayload != nil {
		m.Payload = s.mendPayload(m.Payload)
	}
	var v any = []any{m.protected, outside, m.Payload, m.Signature}
	if s.tags == nil && !s.untagged {
		s.tags = []uint64{18}
	}
	for _, tag := range slices.Backward(s.tags) {
		v = cbor.Tag{Number: tag, Content: v}
	}
	return enc(v)
}

func (i issuer) sign(t testing.TB, m Message) []byte {
	t.Helper()
	sum := sha256.Sum256(m.signed())
	switch key := i.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		signature := make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature
	default:
		signature, err := i.key.Sign(rand.Reader, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// indefinite writes a certificate with maps and lists of indefinite length.
func indefinite(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := cbor.NewEncoder(&b)
	var write func(v any) error
	write = func(v any) error {
		switch v := v.(type) {
		case map[string]any:
			if err := e.StartIndefiniteMap(); err != nil {
				return err
			}
			for name, value := range v {
				if err := e.Encode(name); err != nil {
					return err
				}
				if err := write(value); err != nil {
					return err
				}
			}
			return e.EndIndefinite()
		case []any:
			if err := e.StartIndefiniteArray(); err != nil {
				return err
			}
			for _, value := range v {
				if err := write(value); err != nil {
					return err
				}
			}
			return e.EndIndefinite()
		}
		return e.Encode(v)
	}
	if err := write(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func deflate(t testing.TB, b []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// A person who does not exist, as a Vietnamese passport has the name.
func person() map[string]any {
	return map[string]any{"fn": "Nguyễn", "gn": "Thị Thử Nghiệm", "fnt": "NGUYEN", "gnt": "THI<THU<NGHIEM"}
}

const fictionalUCI = "URN:UVCI:01:VN:00000000000000000000000000000000"

func dccOf(kind string, event map[string]any) map[string]any {
	return map[string]any{"ver": "1.3.0", "nam": person(), "dob": "1995-09-02", kind: []any{event}}
}

func dose(n, of any) map[string]any {
	return dccOf("v", map[string]any{
		"tg": "840539006", "vp": "J07BX03", "mp": "EU/1/21/1529", "ma": "ORG-100030215", "dn": n, "sd": of,
		"dt": "2021-09-18", "co": "VN", "is": "Ban Ví Dụ", "ci": fictionalUCI,
	})
}

func sample(kind, result string) map[string]any {
	return dccOf("t", map[string]any{
		"tg": "840539006", "tt": kind, "ma": "1232", "sc": "2022-04-13T15:20:00+07:00", "tr": result,
		"tc": "Trạm Thử Nghiệm", "co": "VN", "is": "Ban Ví Dụ", "ci": fictionalUCI,
	})
}

func recovered() map[string]any {
	return dccOf("r", map[string]any{
		"tg": "840539006", "fr": "2022-01-10", "df": "2022-01-21", "du": "2022-07-09", "co": "VN", "is": "Ban Ví Dụ", "ci": fictionalUCI,
	})
}

// with changes one field of the only event.
func with(dcc map[string]any, field string, value any) map[string]any {
	for _, kind := range []string{"v", "t", "r"} {
		if list, ok := dcc[kind].([]any); ok {
			list[0].(map[string]any)[field] = value
		}
	}
	return dcc
}

// set changes one field of the certificate.
func set(dcc map[string]any, field string, value any) map[string]any {
	dcc[field] = value
	return dcc
}
