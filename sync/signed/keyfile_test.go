package signed

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"gateagent/agent/gate"
)

func TestKeyFile(t *testing.T) {
	s := newSigner(t, "policy-1", RolePolicy)
	file, err := EncryptKey(s, []byte("đèn đỏ"))
	if err != nil {
		t.Fatal(err)
	}
	if seed := base64.RawURLEncoding.EncodeToString(s.Key.Seed()); strings.Contains(string(file), seed) {
		t.Error("the file shows the key")
	}
	back, err := DecryptKey(file, []byte("đèn đỏ"))
	if err != nil || back.Kid != s.Kid || back.Role != s.Role || !back.Key.Equal(s.Key) {
		t.Errorf("%v %v", back, err)
	}
	if _, err := DecryptKey(file, []byte("đèn xanh")); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := EncryptKey(s, nil); err == nil {
		t.Error("an empty passphrase was taken")
	}
}

func TestKeyFileRefusesSillyCost(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	for name, head := range map[string]string{
		"few":      `{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":1000,"p2s":"AAAA"}`,
		"many":     `{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":1000001,"p2s":"AAAA"}`,
		"huge":     `{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":9000000000000000000,"p2s":"AAAA"}`,
		"negative": `{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":-1,"p2s":"AAAA"}`,
		"none":     `{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2s":"AAAA"}`,
		"twice":    `{"alg":"PBES2-HS512+A256KW","enc":"A256GCM","p2c":200000,"p2c":1,"p2s":"AAAA"}`,
	} {
		if _, err := DecryptKey([]byte(b64([]byte(head))+".AAAA.AAAA.AAAA.AAAA"), []byte("x")); err == nil || errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	enc, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: make([]byte, 32)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := enc.Encrypt([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	direct, err := obj.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range []string{direct, "", "x", "a.b", strings.Repeat("A", maxKeyFile+1)} {
		if _, err := DecryptKey([]byte(in), make([]byte, 32)); err == nil {
			t.Errorf("%.20q was taken", in)
		}
	}
}

func TestSecret(t *testing.T) {
	var key gate.Key
	for i := range key {
		key[i] = byte(i)
	}
	b, err := EncodeSecret("vn-2021", "vn", key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "vn.jwk")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	kid, got, err := LoadSecret(path, "vn")
	if err != nil || kid != "vn-2021" || got != key {
		t.Errorf("%s %v", kid, err)
	}
	if _, _, err := LoadSecret(path, EntrySet); err == nil || !strings.Contains(err.Error(), `key of "vn"`) {
		t.Errorf("the key of another set: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadSecret(path, "vn"); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file everybody may read: %v", err)
	}
	if _, _, err := LoadSecret(filepath.Dir(path), "vn"); err == nil {
		t.Error("a directory was taken")
	}
	for name, in := range map[string]string{
		"signing key": `{"kty":"OKP","kid":"a","set":"vn","k":"` + strings.Repeat("A", 43) + `"}`,
		"short":       `{"kty":"oct","kid":"a","set":"vn","k":"AAAA"}`,
		"no kid":      `{"kty":"oct","set":"vn","k":"` + strings.Repeat("A", 43) + `"}`,
		"twice":       `{"kty":"oct","kid":"a","set":"vn","set":"vn","k":"` + strings.Repeat("A", 43) + `"}`,
		"no JSON":     `x`,
	} {
		if _, _, err := parseSecret([]byte(in), "vn"); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := EncodeSecret("a b", "vn", key); err == nil {
		t.Error("a key id with a blank was taken")
	}
}
