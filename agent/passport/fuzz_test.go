package passport

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"testing"

	"gateagent/agent/base45"
	"gateagent/agent/gate"
	"gateagent/agent/hostile"
)

// The seeds of each step are the project's own passports, taken apart as far
// as the step begins, and what is hostile to it.

func FuzzInflate(f *testing.F) {
	for _, v := range readOwn(f) {
		if b, err := base45.Decode([]byte(v.Text[len(Prefix):])); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		if b, err := Inflate(packed); len(b) > MaxPlain || err != nil && b != nil {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, v := range readOwn(f) {
		packed, err := base45.Decode([]byte(v.Text[len(Prefix):]))
		if err != nil {
			continue
		}
		if b, err := Inflate(packed); err == nil {
			f.Add(b)
		}
	}
	f.Add([]byte{0xd8, 61, 0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40})
	f.Add(bytes.Repeat([]byte{0xd2}, 200))
	keys := NewKeys([]Key{readOwn(f)[0].key(f)}, nil)
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := ParseMessage(b); err == nil {
			_, _ = keys.Check(m, issuedAt)
		}
	})
}

func FuzzClaims(f *testing.F) {
	for _, v := range readOwn(f) {
		if m, err := Read([]byte(v.Text)); err == nil {
			f.Add(m.Payload)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseClaims(b)
		if err != nil {
			return
		}
		_ = c.Judge(issuedAt)
		content, err := ParseContent(c.Content)
		if err != nil {
			return
		}
		event, err := EventOf(c.Content)
		if err != nil || event != content.Event || event == gate.PassportNothing {
			t.Errorf("event %v, then %v: %v", content.Event, event, err)
		}
		if content.Holder.Name == "" || content.ID == "" || content.Day == 0 && content.Test == (gate.Test{}) {
			t.Error("something is missing")
		}
		if event == gate.PassportVaccination && content.Judge() == nil && (content.Dose == 0 || content.Of == 0) {
			t.Error("no dose")
		}
	})
}

func FuzzVerify(f *testing.F) {
	own := readOwn(f)
	var trusted []Key
	for _, v := range own {
		f.Add([]byte(v.Text))
		trusted = append(trusted, v.key(f))
	}
	for _, s := range []string{"", "HC1:\x00", "HC1:NCF", "HC2:NCF", "HC1:6BF"} {
		f.Add([]byte(s))
	}
	for _, p := range hostile.Payloads("/tmp/canary") {
		f.Add([]byte(p.Text))
	}
	keys := NewKeys(trusted, nil)
	good := map[string]bool{}
	for _, v := range own {
		if m, err := Read([]byte(v.Text)); err == nil {
			good[string(m.Payload)] = true
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := keys.Verify(text, issuedAt)
		switch r.Proof {
		case gate.ProofGood:
			if m, err := Read(text); err != nil || !good[string(m.Payload)] {
				t.Error("good, and nobody signed it")
			}
		case gate.ProofBad:
			if r.Why == "" {
				t.Error("bad without a reason")
			}
		default:
			t.Errorf("proof %v", r.Proof)
		}
	})
}

// FuzzCertificate: whatever is in a folder of certificates or in a trust list
// makes a key that judges and names itself, or none.
func FuzzCertificate(f *testing.F) {
	for _, v := range readOwn(f) {
		der, err := base64.StdEncoding.DecodeString(v.Certificate)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
		f.Add(der[:len(der)-1])
		spki, err := x509.MarshalPKIXPublicKey(v.key(f).Public)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(spki)
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add([]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, der []byte) {
		if k, err := ParseCertificate(der); err == nil {
			if len(k.KID) != KIDLen || k.Alg() != "ES256" && k.Alg() != "PS256" {
				t.Errorf("id %x, %s", k.KID, k.Alg())
			}
			_ = k.Judge(issuedAt)
			spki, err := x509.MarshalPKIXPublicKey(k.Public)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParsePublic(spki); err != nil {
				t.Errorf("a key that is not taken alone: %v", err)
			}
		}
		if public, err := ParsePublic(der); err == nil && public == nil {
			t.Error("no key and no error")
		}
	})
}
