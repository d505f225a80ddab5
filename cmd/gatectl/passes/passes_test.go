package passes

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/agent/pass"
	"gateagent/agent/record"
	"gateagent/sync/wire"
)

var now = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

func id(t *testing.T, text string) pass.ID {
	t.Helper()
	id, err := pass.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

const (
	one   = "0101010101010101"
	two   = "0202020202020202"
	three = "0303030303030303"
)

func TestRegister(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passes.jsonl")
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	soon, past := now.Add(time.Hour).Unix(), now.Add(-72*time.Hour).Unix()
	lines := []Line{
		{Time: 1, Site: "hn01", What: Issued, ID: one, Exp: soon, Kind: "visitor", Single: true, Gates: []string{"a", "b"}},
		{Time: 1, Site: "hn01", What: Issued, ID: two, Exp: soon, Kind: "visitor", Single: true, Gates: []string{"a"}},
		{Time: 1, Site: "hn01", What: Issued, ID: three, Exp: past, Kind: "visitor", Single: true, Gates: []string{"a", "b"}},
		{Time: 1, Site: "hn02", What: Issued, ID: one, Exp: past, Kind: "child"},
		{Time: 2, Site: "hn01", What: Revoked, ID: two, Exp: soon},
		{Time: 2, Site: "hn01", What: Revoked, ID: three, Exp: past},
		{Time: 2, Site: "hn01", What: Passport, ID: strings.Repeat("ab", 16)},
		{Time: 2, Site: "hn02", What: Revoked, ID: one, Exp: soon},
	}
	if err := r.Add(lines[:5]...); err != nil {
		t.Fatal(err)
	}
	if err := r.Add(lines[5:]...); err != nil {
		t.Fatal(err)
	}
	if r, err = Open(path); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(lines, r.lines); d != "" {
		t.Error(d)
	}
	if l, ok := r.Find("hn02", one); !ok || l.Exp != past {
		t.Errorf("%+v, %t", l, ok)
	}
	if _, ok := r.Find("hn03", one); ok {
		t.Error("found at another site")
	}
	if got := r.Travelling("hn01", now); len(got) != 1 || got[0].ID != one {
		t.Errorf("travelling: %+v", got)
	}
	before := wire.Revoked{
		Passes: []wire.RevokedPass{{ID: wire.PassID{9, 7: 9}, Exp: soon}, {ID: wire.PassID{8, 7: 8}, Exp: past}},
		Spent:  []wire.RevokedPass{{ID: wire.PassID{7, 7: 7}, Exp: soon}},
	}
	list, err := r.List("hn01", before, now)
	want := wire.Revoked{
		Aud: "hn01", Passes: []wire.RevokedPass{{ID: wire.PassID(id(t, two)), Exp: soon}, {ID: wire.PassID{9, 7: 9}, Exp: soon}},
		Spent: before.Spent, Passports: []wire.PassportHash{{0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab}},
	}
	if d := cmp.Diff(want, list); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	if err := r.Add(
		Line{Site: "hn01", What: Restored, ID: two}, Line{Site: "hn01", What: PassportRestored, ID: strings.Repeat("ab", 16)},
		Line{Site: "hn01", What: Spent, ID: one, Exp: soon},
	); err != nil {
		t.Fatal(err)
	}
	if list, err = r.List("hn01", list, now); err != nil || len(list.Passes) != 1 || len(list.Passports) != 0 || len(list.Spent) != 2 {
		t.Errorf("undone, and one spent: %+v, %v", list, err)
	}
	if got := r.Travelling("hn01", now); len(got) != 0 {
		t.Errorf("spent and still travelling: %+v", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestRegisterIsNotMendedInSilence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passes.jsonl")
	for name, text := range map[string]string{"cut off": `{"time":1,"si`, "no line of ours": "{}\n", "text": "hello\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if err := os.WriteFile(path, []byte(`{"time":1,"site":"hn01","what":"issued","id":"0101010101010101"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(Line{Site: "hn01", What: Revoked, ID: one}); err == nil {
		t.Error("written behind half a line")
	}
}

// TestWatch: entries name passes by their pseudonyms; those that opened count.
func TestWatch(t *testing.T) {
	key := gate.Key{1, 2, 3}
	path := filepath.Join(t.TempDir(), "entries.jsonl")
	var seq uint64
	write := func(site, who string, kind gate.CredentialKind, verdict gate.Verdict, end string) {
		t.Helper()
		seq++
		r, err := record.FromEntry(record.Origin{Site: site, Gate: "a"}, record.Epoch{1}, seq, gate.Entry{
			Time: now, Lane: "main", Verdict: verdict, Reasons: []gate.Reason{gate.ReasonPass}, Credential: kind,
			Subject: gate.NewPseudonymer(key).OfPass(id(t, who)), HasSubject: true, Policy: gate.PolicyRef{ID: "p", Version: 1}, DataAge: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		e, err := record.Link{Seq: seq, Record: r}.Event()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(string(b) + end); err != nil {
			t.Fatal(err)
		}
	}
	line := func(who string) Line {
		return Line{Site: "hn01", What: Issued, ID: who, Single: true, Gates: []string{"a", "b"}}
	}
	subjects := func(key gate.Key, who ...string) Subjects {
		s := Subjects{}
		for _, w := range who {
			if err := s.Add(key, []Line{line(w)}); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	w := NewWatch(path, "hn01")
	if _, err := w.Used(subjects(key, one)); err == nil {
		t.Error("a file that is not there was read")
	}
	write("hn01", one, gate.KindPass, gate.Deny, "\n")
	write("hn01", one, gate.KindCCCD, gate.Allow, "\n")
	write("hn02", one, gate.KindPass, gate.Allow, "\n")
	write("hn01", two, gate.KindPass, gate.AllowNotice, "\n")
	if used, err := w.Used(subjects(key, one, three)); err != nil || len(used) != 0 {
		t.Errorf("nothing was used: %+v, %v", used, err)
	}
	if used, err := w.Used(subjects(key, one, two)); err != nil || len(used) != 1 || used[0].ID != two {
		t.Errorf("issued after it was used: %+v, %v", used, err)
	}
	if used, err := w.Used(subjects(gate.Key{9}, two)); err != nil || len(used) != 0 {
		t.Errorf("under another key: %+v, %v", used, err)
	}
	write("hn01", one, gate.KindPass, gate.Allow, "")
	if used, err := w.Used(subjects(key, one)); err != nil || len(used) != 0 {
		t.Errorf("a line that is not whole: %+v, %v", used, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if used, err := w.Used(subjects(key, one)); err != nil || len(used) != 1 {
		t.Errorf("once it is: %+v, %v", used, err)
	}
}
