package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/pass"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/sync/brokertest"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func TestPassTimes(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 9, 30, 0, 0, zone)
	since := now.Add(time.Hour)
	for _, c := range []struct {
		text  string
		isEnd bool
		want  string // empty: refused
	}{
		{"2026-12-01", false, "2026-12-01 00:00"},
		{"2026-12-01", true, "2026-12-02 00:00"},
		{"2026-12-01 17:05", true, "2026-12-01 17:05"},
		{"2026-12-01T17:05", true, "2026-12-01 17:05"},
		{"17:05", true, "2026-11-24 17:05"},
		{"24:00", true, "2026-11-25 00:00"},
		{"90m", true, "2026-11-24 12:00"},
		{"2d", true, "2026-11-26 10:30"},
		{"", true, ""},
		{"24:01", true, ""},
		{"7:5", true, ""},
		{"-4h", true, ""},
		{"0d", true, ""},
		{"90s", true, ""},
		{"2026-02-30", true, ""},
		{"1e3d", true, ""},
	} {
		got, err := readTime("until", c.text, now, since, c.isEnd)
		if text := got.Format("2006-01-02 15:04"); (err == nil) != (c.want != "") || err == nil && text != c.want {
			t.Errorf("%q: %s, %v; want %q", c.text, text, err, c.want)
		}
	}
}

func TestPassHours(t *testing.T) {
	for text, want := range map[string][2]uint16{
		"": {}, "08:00-17:00": {480, 1020}, "22:00-06:00": {1320, 360}, "08:00-24:00": {480, 1440}, "08:00-00:00": {480, 1440}, "8:00 - 9:30": {480, 570},
	} {
		if a, b, err := readHours(text); err != nil || a != want[0] || b != want[1] {
			t.Errorf("%q: %d, %d, %v", text, a, b, err)
		}
	}
	for _, text := range []string{"8-17", "08:00", "08:00-08:00", "24:00-08:00", "25:00-26:00", "08:00-17:60"} {
		if _, _, err := readHours(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	for text, want := range map[string]uint8{"": 0, "mon-fri": 31, "sat,sun": 96, "Sun": 64, "fri-mon": 113, "wed, mon": 5} {
		if got, err := readWeekdays(text); err != nil || got != want {
			t.Errorf("%q: %b, %v", text, got, err)
		}
	}
	for _, text := range []string{"monday", "mon-", ",", "mon fri"} {
		if _, err := readWeekdays(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// TestPassTravels: a pass for one entry at two gates is used at one, and the
// list says so, once.
func TestPassTravels(t *testing.T) {
	broker := brokertest.Start(t)
	dir := t.TempDir()
	keys, entries, secret := filepath.Join(dir, "keys"), filepath.Join(dir, "entries.jsonl"), filepath.Join(dir, "pass")
	if err := os.WriteFile(secret, []byte("a fictional passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctl := func(args ...string) string {
		t.Helper()
		var out, complaint strings.Builder
		args = append(args, "--passphrase-file", secret)
		if code := run(t.Context(), args, strings.NewReader(""), &out, &complaint); code != 0 {
			t.Fatalf("gatectl %s: %s", strings.Join(args[:2], " "), complaint.String())
		}
		return out.String()
	}
	ctl("keygen", "--dir", keys, "--only", "pass", "--site", "hn01")
	var id pass.ID
	for _, gates := range []string{"north", "north,south"} { // the second travels
		out := ctl("pass", "issue", "--keys", keys, "--site", "hn01", "--name", "Tám", "--until", "4h", "--single", "--gate", gates)
		text, _, _ := strings.Cut(strings.TrimPrefix(out, "pass "), ":")
		var err error
		if id, err = pass.ParseID(text); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
	}
	_, key, err := signed.LoadSecret(filepath.Join(keys, "entry-hn01.jwk"), signed.EntrySet)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.FromEntry(record.Origin{Site: "hn01", Gate: "north"}, record.Epoch{1}, 1, gate.Entry{
		Time: time.Now(), Lane: "main", Verdict: gate.Allow, Reasons: []gate.Reason{gate.ReasonPass}, Credential: gate.KindPass,
		Subject: gate.NewPseudonymer(key).OfPass(id), HasSubject: true, Policy: gate.PolicyRef{ID: "p", Version: 1}, DataAge: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	event, err := record.Link{Seq: 1, Record: r}.Event()
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entries, append(line, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	spent := []string{"pass", "spent", "--keys", keys, "--site", "hn01", "--entries", entries, "--broker", broker.URL()}
	if out := ctl(spent...); !strings.Contains(out, ": passes revoked 0, spent 1;") {
		t.Errorf("at first: %s", out)
	}
	if out := ctl(spent...); out != "" {
		t.Errorf("again: %s", out)
	}
	signer, err := keyring.Open(keys).Signer(signed.RolePass, []byte("a fictional passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signer.Open(signed.TypeRevoked, "hn01", broker.Retained("gate/v1/hn01/revoked"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := wire.ParseRevoked(payload)
	if err != nil || len(list.Spent) != 1 || list.Spent[0].ID != wire.PassID(id) || list.Spent[0].Exp < time.Now().Unix() || len(list.Passes) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}
