package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/passport"
	"gateagent/sync/signed"
)

// TestPassportKeys: the passports that agent/passport is tested with are
// verified by keys that came as a trust list.
func TestPassportKeys(t *testing.T) {
	b, err := os.ReadFile("../../agent/passport/testdata/passports.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Text, Certificate, KID, Want string
		At                                 time.Time
	}
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		der, err := base64.StdEncoding.DecodeString(v.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		k, err := passport.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		kid := k.KID
		if v.KID != "" {
			if kid, err = base64.StdEncoding.DecodeString(v.KID); err != nil {
				t.Fatal(err)
			}
		}
		line := signed.TrustKey{
			Kid: hex.EncodeToString(kid) + ".2", Role: signed.RolePassport, Alg: k.Alg(), Key: c.RawSubjectPublicKeyInfo,
			Nbf: k.NotBefore.Unix(), Exp: k.NotAfter.Unix(),
		}
		if k.Usage == passport.UsageTest {
			line.Usage = []string{signed.UsageTest}
		}
		trust := trustList(t, []signed.TrustKey{
			{Kid: "0102030405060708", Role: signed.RolePassport, Alg: signed.AlgES256, Key: make([]byte, 91)}, line,
		})
		keys, leftOut := passportKeys(trust, "hn01", nil)
		if leftOut != 1 || keys.Len() != 1 {
			t.Errorf("%s: %d keys, %d left out", v.Name, keys.Len(), leftOut)
		}
		if got := keys.Verify([]byte(v.Text), v.At).String(); got != v.Want {
			t.Errorf("%s: got %s, want %s", v.Name, got, v.Want)
		}
		line.Sites = []string{"hn02"}
		if keys, _ := passportKeys(trustList(t, []signed.TrustKey{line}), "hn01", nil); keys.Len() != 0 {
			t.Error("a key of another site is taken")
		}
		line.Sites, line.Usage = nil, []string{signed.UsageNone}
		keys, _ = passportKeys(trustList(t, []signed.TrustKey{line}), "hn01", nil)
		if r := keys.Verify([]byte(v.Text), v.At); r.Proof == gate.ProofGood {
			t.Errorf("%s: good by a key that is for something else", v.Name)
		}
	}
}

// TestManyPassportKeys: a thousand keys of document signers, some of them RSA,
// fit into a trust list.
func TestManyPassportKeys(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := x509.MarshalPKIXPublicKey(ec.Public())
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := x509.MarshalPKIXPublicKey(big.Public())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2022, 5, 1, 0, 0, 0, 0, time.UTC)
	list := signed.Trust{Aud: "hn01", Ver: 1, Iat: now.Unix(), Exp: now.AddDate(1, 0, 0).Unix()}
	for n := range 1060 {
		sum := sha256.Sum256(fmt.Append(nil, n))
		k := signed.TrustKey{
			Kid: hex.EncodeToString(sum[:8]), Role: signed.RolePassport, Alg: signed.AlgES256, Key: ecKey,
			Nbf: now.Unix(), Exp: now.AddDate(2, 0, 0).Unix(),
		}
		if n >= 1000 {
			k.Alg, k.Key = signed.AlgPS256, rsaKey
		}
		list.Keys = append(list.Keys, k)
	}
	payload, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	root, err := signed.NewSigner("root-1", signed.RoleRoot)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := root.Sign(signed.TypeTrust, payload)
	if err != nil {
		t.Fatal(err)
	}
	v := signed.NewVerifier([]signed.Root{root.Root()}, "hn01", "gate-1")
	begin := time.Now()
	trust, err := v.TakeTrust([]byte(compact), signed.Moment{Now: now, Level: gate.ClockCentral})
	if err != nil {
		t.Fatal(err)
	}
	taken := time.Since(begin)
	keys, leftOut := passportKeys(trust, "hn01", nil)
	if keys.Len() != 1060 || leftOut != 0 {
		t.Errorf("%d keys, %d left out", keys.Len(), leftOut)
	}
	t.Logf("1,000 EC and 60 RSA keys: %d of %d bytes; taken in %v, read in %v", len(compact), signed.MaxSize(signed.TypeTrust), taken, time.Since(begin)-taken)
}

func trustList(t *testing.T, keys []signed.TrustKey) signed.Trust {
	t.Helper()
	payload, err := json.Marshal(signed.Trust{Aud: "hn01", Ver: 1, Iat: 1, Exp: 2, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := signed.ParseTrust(payload)
	if err != nil {
		t.Fatal(err)
	}
	return trust
}
