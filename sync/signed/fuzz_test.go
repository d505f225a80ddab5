package signed

import (
	"encoding/json"
	"testing"

	"gateagent/agent/gate"
)

// FuzzTrust: a trust list that is taken is written and taken again.
func FuzzTrust(f *testing.F) {
	root, err := NewSigner("root-1", RoleRoot)
	if err != nil {
		f.Fatal(err)
	}
	policy, err := NewSigner("policy-1", RolePolicy)
	if err != nil {
		f.Fatal(err)
	}
	list := Trust{Aud: "hn01", Ver: 3, Iat: 1_640_000_000, Exp: 1_640_086_400, Floor: 1_600_000_000, Keys: []TrustKey{policy.TrustKey()}}
	for range 2 {
		b, err := json.Marshal(list)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		k := root.TrustKey()
		k.Role, k.Alg, k.Usage, k.Sites, k.Nbf, k.Exp = RolePassport, "ES256", []string{"t", "v"}, []string{"hn01"}, 1, 2
		list.Keys = append(list.Keys, k)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseTrust(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseTrust(again); err != nil {
			t.Fatalf("%s is taken and %s is not: %v", b, again, err)
		}
	})
}

// FuzzKeyFile: secrets, roots of a config and the headers of private key files.
func FuzzKeyFile(f *testing.F) {
	secret, err := EncodeSecret("vn-2021", "vn", gate.Key{7})
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewSigner("root-1", RoleRoot)
	if err != nil {
		f.Fatal(err)
	}
	private, err := EncryptKey(s, []byte("a passphrase of nobody"))
	if err != nil {
		f.Fatal(err)
	}
	for _, b := range [][]byte{secret, private, []byte(s.Root().String()), []byte("root-1:"), []byte(":"), []byte("e30.."), []byte(`{"kty":"oct","k":"","kid":"a","set":"vn"}`)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := ParseRoot(string(b)); err == nil && r.String() != string(b) {
			t.Errorf("%q and %q are one key", b, r)
		}
		if kid, key, err := parseSecret(b, "vn"); err == nil {
			again, err := EncodeSecret(kid, "vn", key)
			if err != nil {
				t.Fatal(err)
			}
			if kid2, key2, err := parseSecret(again, "vn"); err != nil || kid2 != kid || key2 != key {
				t.Errorf("another secret: %v", err)
			}
		}
		_ = checkKeyHeader(string(b))
	})
}
