package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/agent/hostile"
)

// FuzzFlags: what an operator writes as a time, hours, days, a size or a rate is
// one, within its bounds, or is refused in words.
func FuzzFlags(f *testing.F) {
	for _, s := range []string{
		"", "2026-11-24", "2026-11-24 08:00", "2026-11-24T08:00", "08:00", "24:00", "4h", "30d", "08:00-17:00", "22:00-06:00", "mon-fri", "sat,sun", "sun-mon",
		"512MiB", "2GiB", "9223372036854775807GiB", "20MB", "500KB/s", "20kb", "-1MB", "99999999999999999999d", "3660d", "0d", "1h0m0.5s", "٣٠d",
	} {
		f.Add(s)
	}
	for _, p := range hostile.Payloads("/tmp/canary") {
		if len(p.Text) < 100 {
			f.Add(p.Text)
		}
	}
	now := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		for _, isEnd := range []bool{false, true} {
			if _, err := readTime("until", s, now, now, isEnd); err != nil && err.Error() == "" {
				t.Error("refused without a word")
			}
		}
		if start, end, err := readHours(s); err == nil && s != "" && (start >= 24*60 || end > 24*60 || start == end) {
			t.Errorf("%q is from %d to %d", s, start, end)
		}
		if days, err := readWeekdays(s); err == nil && (days > 127 || days == 0 && s != "") {
			t.Errorf("%q is %b", s, days)
		}
		if n, err := parseSize(s); err == nil && n < 0 {
			t.Errorf("%q is %d bytes", s, n)
		}
		if n, err := parseRate(s); err == nil && s != "" && n < 10_000 {
			t.Errorf("%q is %d bytes a second", s, n)
		}
		if part, err := parsePart([]byte(s)); err == nil {
			into := map[string]any{}
			merge(into, part)
			merge(into, part)
		}
	})
}

// FuzzCertificates: what lies in a folder of certificates makes lines of a trust
// list, or is left out.
func FuzzCertificates(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte{0x30, 0x82, 0x01, 0x0a})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), "issuer.pem")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		ders, err := readCertificates(path)
		if err != nil {
			return
		}
		for _, der := range ders {
			k, err := passportKey(nil, der, time.Date(2021, 12, 1, 0, 0, 0, 0, time.UTC))
			if err == nil && (k.Kid == "" || len(k.Key) == 0 || k.Exp == 0) {
				t.Errorf("%+v", k)
			}
		}
	})
}
