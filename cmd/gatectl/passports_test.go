package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// signer makes the certificate of a document signer that does not exist.
func signer(t *testing.T, change func(*x509.Certificate)) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Fictional Signer"},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(2, 0, 0),
	}
	if change != nil {
		change(c)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestFolderOfCertificates(t *testing.T) {
	one := signer(t, nil)
	authority := signer(t, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	})
	expired := signer(t, func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(0, 0, -1) })
	later := signer(t, func(c *x509.Certificate) { c.NotBefore = time.Now().AddDate(0, 1, 0) })
	asPEM := func(ders ...[]byte) []byte {
		var b []byte
		for _, der := range ders {
			b = append(b, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		return b
	}
	many := func(n int) map[string][]byte { // of one key under so many ids
		files := map[string][]byte{}
		for i := range n {
			files[fmt.Sprintf("%016x.der", i)] = one
		}
		return files
	}
	for _, tt := range []struct {
		name  string
		files map[string][]byte
		keys  int
		out   []string // what is left out, and why
		err   string
	}{
		{"one as DER", map[string][]byte{"a.der": one}, 1, nil, ""},
		{"two in a file, an end in capitals", map[string][]byte{"a.PEM": asPEM(one, signer(t, nil))}, 2, nil, ""},
		{"not good yet", map[string][]byte{"a.crt": later}, 1, nil, ""},
		{"twice", map[string][]byte{"a.der": one, "b.pem": asPEM(one, one)}, 1, []string{": note: in the folder more than once, and taken once: 2 certificates"}, ""},
		{"two keys of one id", map[string][]byte{"0011223344556677.der": one, "0011223344556677.pem": signer(t, nil)}, 2, nil, ""},
		{"expired, and an authority", map[string][]byte{"a.der": one, "b.der": expired, "c.der": authority}, 1, []string{"b.der: expired on ", "c.der: of an authority"}, ""},
		{"expired alone", map[string][]byte{"b.der": expired}, 0, []string{"b.der: expired on "}, "none of the certificates"},
		{"nothing", map[string][]byte{"README.txt": one}, 0, nil, "no certificates in "},
		{"one bad file", map[string][]byte{"a.der": one, "b.der": one[:100]}, 0, nil, "b.der is no certificate"},
		{"empty file", map[string][]byte{"a.der": nil}, 0, nil, "a.der is no certificate"},
		{"three bad files", map[string][]byte{"a.der": one, "b.der": one[:100], "c.pem": []byte("c"), "d.cer": nil}, 0, []string{": ", ": ", ": "}, "3 files in "},
		{"a private key", map[string][]byte{"a.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")})}, 0, nil, "a.pem is no certificate"},
		{"as many as fit", many(maxPassports), maxPassports, nil, ""},
		{"one too many", many(maxPassports + 1), 0, nil, "1001 certificates in "},
		{"a huge file", map[string][]byte{"a.pem": make([]byte, maxCertificate+1)}, 0, nil, "a file of certificates has at most"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, b := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			keys, out, err := readPassports(dir, time.Now())
			if len(keys) != tt.keys || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d keys, %v; want %d, %q", len(keys), err, tt.keys, tt.err)
			}
			if len(out) != len(tt.out) {
				t.Fatalf("left out: %v", out)
			}
			for i, o := range out {
				if text := o.file + ": " + o.why; !strings.HasPrefix(text, tt.out[i]) {
					t.Errorf("left out: %s", text)
				}
			}
			var ids []string
			for _, k := range keys {
				ids = append(ids, k.Kid)
			}
			if !slices.IsSorted(ids) || len(slices.Compact(ids)) != len(keys) {
				t.Errorf("ids %v", ids)
			}
		})
	}
}
