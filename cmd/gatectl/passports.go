package main

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gateagent/agent/hint"
	"gateagent/agent/passport"
	"gateagent/sync/signed"
)

// maxPassports bounds the certificates that one trust list takes; the rest of
// the list is for our own keys.
const maxPassports = 1000

// maxCertificate bounds a file of certificates, in bytes.
const maxCertificate = 4 << 20

// certificateEndings are the names of files that may hold certificates.
var certificateEndings = []string{".der", ".cer", ".crt", ".pem"}

// leftOut is a file or certificate that is of no use to a gate; without a file why
// says all.
type leftOut struct{ file, why string }

// readPassports reads the certificates of a folder, DER or PEM, as keys of the
// trust list, sorted by id, and what it leaves out, also with an error. A file whose name is 16 hexadecimal digits states
// the id that the issuer's passports name the key by; otherwise it is made from
// the certificate.
func readPassports(folder string, now time.Time) ([]signed.TrustKey, []leftOut, error) {
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, nil, fmt.Errorf("read the folder of certificates: %w", err)
	}
	var (
		keys []signed.TrustKey
		out  []leftOut
		bad  []error
	)
	for _, f := range files {
		if f.IsDir() || !slices.Contains(certificateEndings, strings.ToLower(filepath.Ext(f.Name()))) {
			continue
		}
		ders, err := readCertificates(filepath.Join(folder, f.Name()))
		kid := statedKID(f.Name())
		if kid != nil && len(ders) > 1 {
			err = hint.New("one certificate a file, or a name that is no id", "%s holds %d certificates and states one id", f.Name(), len(ders))
		}
		if err != nil {
			bad = append(bad, err)
			continue
		}
		for _, der := range ders {
			k, err := passportKey(kid, der, now)
			if err != nil {
				out = append(out, leftOut{f.Name(), err.Error()})
				continue
			}
			keys = append(keys, k)
		}
	}
	keys, twice := unique(keys)
	if twice > 0 {
		out = append(out, leftOut{why: "note: in the folder more than once, and taken once: " + count(twice, "certificate")})
	}
	switch {
	case len(bad) == 1:
		return nil, nil, bad[0]
	case len(bad) > 1:
		for _, err := range bad {
			out = append(out, leftOut{why: err.Error()})
		}
		return nil, out, hint.New("mend these files or take them out of the folder", "%d files in %s cannot be used; nothing was signed", len(bad), folder)
	case len(keys) == 0 && len(out) > 0:
		return nil, out, hint.New("leave --passports out to take all certificates off the list", "none of the certificates in %s is of use; nothing was signed", folder)
	case len(keys) == 0:
		return nil, nil, hint.New("it takes files that end in "+strings.Join(certificateEndings, ", "), "no certificates in %s", folder)
	case len(keys) > maxPassports:
		return nil, nil, hint.New("leave out the issuers that nobody here shows", "%d certificates in %s; a trust list takes %d", len(keys), folder, maxPassports)
	}
	return keys, out, nil
}

// statedKID gives the id that the name of a file states, or nil.
func statedKID(name string) []byte {
	kid, err := hex.DecodeString(strings.TrimSuffix(name, filepath.Ext(name)))
	if err != nil || len(kid) != passport.KIDLen {
		return nil
	}
	return kid
}

// readCertificates gives the certificates of a file as DER.
func readCertificates(path string) ([][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	if info.Size() > maxCertificate {
		return nil, fmt.Errorf("%s has %d bytes; a file of certificates has at most %d", path, info.Size(), maxCertificate)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a certificate: %w", err)
	}
	var ders [][]byte
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "CERTIFICATE" {
			ders = append(ders, block.Bytes)
		}
	}
	if len(ders) == 0 {
		ders = [][]byte{b}
	}
	for _, der := range ders {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, hint.New("certificates are DER or PEM", "%s is no certificate", path)
		}
	}
	return ders, nil
}

// passportKey makes the line of the trust list.
func passportKey(kid, der []byte, now time.Time) (signed.TrustKey, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return signed.TrustKey{}, fmt.Errorf("no certificate: %w", err)
	}
	if c.IsCA && c.KeyUsage&x509.KeyUsageCertSign != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return signed.TrustKey{}, errors.New("of an authority, which signs certificates and no passports")
	}
	k, err := passport.ParseCertificate(der)
	if kid != nil {
		k, err = passport.ParseCertificateAs(kid, der)
	}
	if err != nil {
		return signed.TrustKey{}, err
	}
	if now.After(k.NotAfter) {
		return signed.TrustKey{}, errors.New("expired on " + k.NotAfter.UTC().Format(time.DateOnly))
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return signed.TrustKey{}, fmt.Errorf("write the public key: %w", err)
	}
	return signed.TrustKey{
		Kid: hex.EncodeToString(k.KID), Role: signed.RolePassport, Alg: k.Alg(), Key: spki, Usage: usageLetters(k.Usage),
		Nbf: max(k.NotBefore.Unix(), 0), Exp: k.NotAfter.Unix(),
	}, nil
}

func usageLetters(u passport.Usage) []string {
	var letters []string
	for _, row := range []struct {
		usage  passport.Usage
		letter string
	}{
		{passport.UsageTest, signed.UsageTest},
		{passport.UsageVaccination, signed.UsageVaccination},
		{passport.UsageRecovery, signed.UsageRecovery},
		{passport.UsageOther, signed.UsageNone},
	} {
		if u&row.usage != 0 {
			letters = append(letters, row.letter)
		}
	}
	return letters
}

// unique sorts keys by id, drops those that are there twice, of which the one
// that is good longest stays, and tells others of one id apart by a number.
func unique(keys []signed.TrustKey) (left []signed.TrustKey, twice int) {
	all := len(keys)
	slices.SortFunc(keys, func(a, b signed.TrustKey) int {
		return cmp.Or(strings.Compare(a.Kid, b.Kid), bytes.Compare(a.Key, b.Key), cmp.Compare(b.Exp, a.Exp))
	})
	keys = slices.CompactFunc(keys, func(a, b signed.TrustKey) bool {
		return a.Kid == b.Kid && bytes.Equal(a.Key, b.Key) && slices.Equal(a.Usage, b.Usage)
	})
	twice = all - len(keys)
	n := 0
	for i := range keys {
		if i == 0 || keys[i].Kid != keys[i-1-n].Kid {
			n = 0
			continue
		}
		n++
		keys[i].Kid += fmt.Sprintf(".%d", n+1)
	}
	return keys, twice
}
