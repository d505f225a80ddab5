package wire

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func sampleRevoked() Revoked {
	return Revoked{
		Aud: "hn01", Ver: 7, Iat: 1633046400, Exp: 1635638400,
		Passes: []RevokedPass{
			{PassID{1, 2, 3, 4, 5, 6, 7}, 1633132800},
			{PassID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 1633132800},
		},
		Spent:     []RevokedPass{{PassID{8, 7, 6, 5, 4, 3, 2, 1}, 1633132860}},
		Passports: []PassportHash{{0xab, 15: 0xcd}},
	}
}

func TestRevoked(t *testing.T) {
	b, err := sampleRevoked().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "revoked.json", b)
	r, err := ParseRevoked(b)
	if d := cmp.Diff(sampleRevoked(), r); d != "" || err != nil {
		t.Fatalf("%v\n%s", err, d)
	}
	s := r.Set()
	for _, p := range r.Passes {
		if !s.Pass(p.ID) || s.Spent(p.ID) {
			t.Errorf("%x: %t %t", p.ID, s.Pass(p.ID), s.Spent(p.ID))
		}
	}
	if id := r.Spent[0].ID; s.Pass(id) || !s.Spent(id) {
		t.Errorf("%x: %t %t", id, s.Pass(id), s.Spent(id))
	}
	if !s.Passport(r.Passports[0]) || s.Passport([16]byte{1}) || s.Pass([16]byte{}) {
		t.Error("the passports")
	}
	var none *RevokedSet
	if none.Pass([16]byte{1}) || none.Spent([16]byte{1}) || none.Passport([16]byte{1}) {
		t.Error("nil holds something")
	}
	if e, err := ParseRevoked([]byte(`{"aud":"hn01","ver":1,"iat":1,"exp":2}`)); err != nil || e.Set().Pass([16]byte{1}) {
		t.Errorf("an empty list: %v", err)
	}
}

func TestRevokedRefused(t *testing.T) {
	for name, passes := range map[string]string{
		"no id":          `{"exp":1}`,
		"no exp":         `{"id":"0102030405060708"}`,
		"a negative exp": `{"id":"0102030405060708","exp":-1}`,
		"a short id":     `{"id":"01020304050607","exp":1}`,
		"a long id":      `{"id":"` + strings.Repeat("11", 17) + `","exp":1}`,
		"upper case":     `{"id":"010203040506070A","exp":1}`,
		"a needless 0":   `{"id":"010203040506070800","exp":1}`,
		"zeros":          `{"id":"0000000000000000","exp":1}`,
		"half a byte":    `{"id":"01020304050607080","exp":1}`,
		"no text":        `{"id":1,"exp":1}`,
	} {
		if _, err := ParseRevoked([]byte(`{"aud":"hn01","ver":1,"iat":1,"exp":2,"passes":[` + passes + `]}`)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	for _, hash := range []string{`"00"`, `"` + strings.Repeat("A", 32) + `"`, `1`, `"` + strings.Repeat("0", 34) + `"`} {
		if _, err := ParseRevoked([]byte(`{"aud":"hn01","ver":1,"iat":1,"exp":2,"passports":[` + hash + `]}`)); err == nil {
			t.Errorf("the hash %s was taken", hash)
		}
	}
	r := sampleRevoked()
	for n := range 4500 {
		r.Passes = append(r.Passes, RevokedPass{PassID{1, byte(n >> 8), byte(n), 7: 1}, 1633132800})
	}
	if b, err := r.Marshal(); err != nil {
		t.Errorf("4,500 passes do not fit: %v", err)
	} else if _, err := ParseRevoked(b); err != nil {
		t.Error(err)
	}
	for range 1000 {
		r.Passports = append(r.Passports, PassportHash{1})
	}
	if _, err := r.Marshal(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many: %v", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRevoked(b); err == nil {
		t.Error("too many were read")
	}
}

func TestRevokedCostsNothing(t *testing.T) {
	s := sampleRevoked().Set()
	if n := testing.AllocsPerRun(100, func() { s.Pass([16]byte{1}); s.Spent([16]byte{8}); s.Passport([16]byte{9}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzRevoked(f *testing.F) {
	b, err := sampleRevoked().Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRevoked(b)
		if err != nil {
			return
		}
		again, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseRevoked(again)
		if d := cmp.Diff(r, back, cmp.Transformer("nil", func(v []RevokedPass) []RevokedPass { return append([]RevokedPass{}, v...) }),
			cmp.Transformer("nil2", func(v []PassportHash) []PassportHash { return append([]PassportHash{}, v...) })); d != "" || err != nil {
			t.Fatalf("%v\n%s", err, d)
		}
	})
}
