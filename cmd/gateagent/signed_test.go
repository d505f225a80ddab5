package main_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/pass"
	"gateagent/agent/passport/specimen"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/driver/drivertest"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// passport issues a passport of the n-th person: the whole series, long ago.
func (o *office) passport(n int) string {
	o.t.Helper()
	now := time.Now()
	family, given, _ := strings.Cut(someone(n).name, " ")
	text, err := o.health.Vaccination(specimen.Vaccination{
		Family: family, Given: given, Born: time.Date(1990, 7, 15, 0, 0, 0, 0, time.UTC), Dose: 2, Of: 2,
		On: now.In(gateZone).AddDate(0, 0, -60), From: now.Add(-time.Hour), To: now.Add(time.Hour),
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}

// pass issues a pass that is good now; change alters it.
func (o *office) pass(id byte, change func(*pass.Claims)) string {
	o.t.Helper()
	now := time.Now().Truncate(time.Minute)
	c := pass.Claims{
		ID: pass.ID{id, 2, 3, 4, 5, 6, 7, 8}, Kind: gate.PassVisitor, Name: "Khách Không Có Thật", Host: "Phòng Hư Cấu",
		Site: site, From: now.Add(-time.Hour), To: now.Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	text, err := pass.Issue(o.keys[signed.RolePass].Key, c)
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}

// revoke publishes the list of what is revoked.
func (o *office) revoke(ver uint64, r wire.Revoked) {
	o.t.Helper()
	now := time.Now()
	r.Aud, r.Ver, r.Iat, r.Exp = site, ver, now.Unix(), now.Add(time.Hour).Unix()
	text, err := r.Marshal()
	if err != nil {
		o.t.Fatal(err)
	}
	o.broker.Publish(o.topics.Revoked(site), o.sign(signed.TypeRevoked, signed.RolePass, text), true)
}

// personalQR is the national QR of the n-th person.
func personalQR(n int, masked bool) string {
	number, born := string(someone(n).number), "1990-07-15"
	if masked {
		number, born = "******"+number[6:], "1990-**-**"
	}
	return number + "|NGUYEN VAN THU|" + born + "|0|QID0FICTIVE01|1<GD4010*******<0912******"
}

func insuranceCard(name string) string {
	return "0123456789|" + hex.EncodeToString([]byte(name)) + "|15/07/1990|1|-|01 - 001|01/01/2024|-|05/01/2024|01010123456789|-|4|01/01/2029|0123456789abcdef-0000|4|5175|$"
}

// outcome is what an entry says, in short.
func outcome(t testing.TB, e record.Event) string {
	t.Helper()
	v, err := e.Link().Record.Entry()
	if err != nil {
		t.Fatal(err)
	}
	out := fmt.Sprintf("%v %v", v.Credential, v.Verdict)
	for _, r := range v.Reasons {
		out += " " + string(r)
	}
	if v.Needs != "" {
		out += " needs=" + v.Needs
	}
	if v.Ref != 0 {
		out += " ref"
	}
	return out
}

// quickLane is a serial lane whose people come back soon.
func quickLane(name, device string) string {
	return strings.Replace(serialLane(name, device), "[lane.scanner]", "repeat = \"500ms\"\n[lane.scanner]", 1)
}

// inForce waits until an agent has what the office published.
func (o *office) inForce(a *agent) {
	a.t.Helper()
	o.equipped(a)
	a.until("the keys of signed credentials are in force", func() bool {
		p := a.status().Proofs
		return p.PassportKeys == 1 && p.PassKeys == 1
	})
}

// TestSignedCredentials: passports and passes, codes that name nobody, and what
// is revoked, by the real program, through a power cut.
func TestSignedCredentials(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(10)
	o.publishPolicy(1, nil)
	o.revoke(1, wire.Revoked{})
	pty := drivertest.NewPTY(t)
	s := o.settings(quickLane("main", pty.Path))
	s.logLevel = "debug"
	s.shadow = policy.Default() // at level 4: version 0
	text, err := s.shadow.Marshal(policy.Header{})
	if err != nil {
		t.Fatal(err)
	}
	s.shadowFile = filepath.Join(t.TempDir(), "trial.json")
	if err := os.WriteFile(s.shadowFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, s)
	b.survive(pty)
	a := b.start()
	o.inForce(a)

	seen := 0
	var all []record.Event
	present := func(a *agent, payload, want string) {
		t.Helper()
		pty.Send(t, payload+"\r")
		seen++
		all = a.waitEntries(seen)
		if got := outcome(t, all[seen-1]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	counted := func(line string) { // a moment after the entry is written
		t.Helper()
		a.until("the metrics have "+line, func() bool {
			_, figures := a.get("/metrics")
			return strings.Contains(figures, line+"\n")
		})
	}
	once := o.pass(1, func(c *pass.Claims) { c.Single, c.Gates = true, []string{"g1", "g2"} })
	often, elsewhere := o.pass(2, nil), o.pass(3, func(c *pass.Claims) { c.Gates = []string{"g9"} })
	spentElsewhere := o.pass(4, func(c *pass.Claims) { c.Single, c.Gates = true, []string{"g1", "g2"} })
	_, strange, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := pass.Issue(strange, pass.Claims{
		Kind: gate.PassVisitor, Name: "A", Site: site,
		From: time.Now().Truncate(time.Hour), To: time.Now().Truncate(time.Hour).Add(2 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	other := person{"001090005004", "Trần Bình Không Phải", "Số 4, Phố Không Có Thật"}
	present(a, o.passport(5001), "dcc RETRY needs_card needs=card")
	present(a, someone(5001).card(), "cccd ALLOW passport no_record ref")
	present(a, someone(5002).card(), "cccd MANUAL_CHECK no_record needs=passport")
	present(a, o.passport(5002), "cccd ALLOW passport no_record ref")
	present(a, o.passport(5003), "dcc RETRY needs_card needs=card")
	present(a, other.card(), "cccd MANUAL_CHECK no_record passport_mismatch needs=passport")
	present(a, someone(1).card(), "cccd ALLOW vaccinated")
	present(a, once, "pass ALLOW pass")
	present(a, often, "pass ALLOW pass")
	present(a, elsewhere, "pass DENY pass_elsewhere")
	present(a, foreign, "pass MANUAL_CHECK pass_unknown")
	present(a, spentElsewhere[:len(spentElsewhere)-6]+"AAAAAA", "pass DENY pass_forged")
	present(a, personalQR(1, true), "qrqg MANUAL_CHECK ambiguous masked")
	present(a, personalQR(2, false), "qrqg ALLOW_NOTICE personal_code vaccinated")
	present(a, insuranceCard("Trần Văn Hư Cấu"), "bhyt MANUAL_CHECK ambiguous")
	time.Sleep(600 * time.Millisecond)
	present(a, once, "pass DENY pass_spent")
	present(a, often, "pass ALLOW pass")
	for _, want := range []string{
		`what="passport",outcome="verified"} 3`, `what="pass",outcome="verified"} 3`, `what="pass",outcome="pass_unknown"} 1`,
		`what="pass",outcome="pass_forged"} 1`, `what="pass",outcome="pass_elsewhere"} 1`, `what="spend",outcome="spent"} 1`,
	} {
		counted("gate_proofs_total{" + want)
	}
	if st := a.status(); st.Proofs.SpentPasses != 1 || st.Policy.ShadowID == "" {
		t.Errorf("%+v, shadow %q", st.Proofs, st.Policy.ShadowID)
	}

	a.kill()
	a = b.start()
	o.inForce(a)
	present(a, once, "pass DENY pass_spent")
	o.revoke(2, wire.Revoked{
		Passes: []wire.RevokedPass{{ID: wire.PassID{2, 2, 3, 4, 5, 6, 7, 8}, Exp: time.Now().Add(time.Hour).Unix()}},
		Spent:  []wire.RevokedPass{{ID: wire.PassID{4, 2, 3, 4, 5, 6, 7, 8}, Exp: time.Now().Add(time.Hour).Unix()}},
	})
	a.until("the list is in force", func() bool { return a.status().Proofs.Revoked.Version == 2 })
	present(a, often, "pass DENY pass_revoked")
	present(a, spentElsewhere, "pass DENY pass_spent")
	for _, want := range []string{
		`gate_proofs_total{what="pass",outcome="pass_spent"} 2`, `gate_proofs_total{what="pass",outcome="pass_revoked"} 1`,
		`gate_proofs_total{what="pass",outcome="verified"} 0`, `gate_proofs_total{what="passport",outcome="verified"} 0`,
		`gate_proofs_total{what="spend",outcome="spent"} 0`, "gate_passes_spent 1", "gate_revoked_version 2",
	} {
		counted(want)
	}
	a.until("the journal says that the list came into force", func() bool {
		for _, e := range a.events() {
			v, err := e.Link().Record.Event()
			if err == nil && v.Details["document"] == string(signed.TypeRevoked) && v.Details["ver"] == int64(2) {
				return v.Details["was"] == int64(1) && v.Details["count"] == int64(2) && v.Details["state"] == "in_force"
			}
		}
		return false
	})

	var subjects []gate.Pseudonym
	for _, e := range all {
		v, err := e.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if v.Shadow == nil || v.Shadow.Policy.ID != policy.DefaultID {
			t.Errorf("entry %d has no shadow", e.Link().Seq)
		}
		if v.Credential == gate.KindPass && v.HasSubject && !slices.Contains(subjects, v.Subject) {
			subjects = append(subjects, v.Subject)
		}
	}
	if len(subjects) != 4 {
		t.Errorf("%d passes have a subject, want 4", len(subjects))
	}
	tainted{
		someone(5001), someone(5002), someone(5003), other,
		{"555000111222", "Khách Không Có Thật", "Phòng Hư Cấu"},
		{"555000111222", "Trần Văn Hư Cấu", "QID0FICTIVE01"},
	}.notIn(t, a, nil)
	a.stop()
}

// TestLastPassagesSurviveARestart: who went in is known to be in after a power
// cut, from the journal.
func TestLastPassagesSurviveARestart(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(10)
	o.publishPolicy(1, func(doc map[string]any) {
		doc["passback"] = map[string]any{"in": "hard", "out": "soft", "forgive_minutes": 60}
	})
	in, out := drivertest.NewPTY(t), drivertest.NewPTY(t)
	s := o.settings(quickLane("way-in", in.Path) + strings.Replace(quickLane("way-out", out.Path), "repeat", "direction = \"out\"\nrepeat", 1))
	b := newBench(t, s)
	b.survive(in, out)
	a := b.start()
	o.inForce(a)
	seen := 0
	present := func(lane *drivertest.PTY, n int, want string) {
		t.Helper()
		lane.Send(t, someone(n).card()+"\r")
		seen++
		if got := outcome(t, a.waitEntries(seen)[seen-1]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		time.Sleep(600 * time.Millisecond)
	}
	present(in, 1, "cccd ALLOW vaccinated")
	present(in, 1, "cccd MANUAL_CHECK anti_passback vaccinated")
	present(in, 2, "cccd ALLOW vaccinated")
	present(out, 2, "cccd ALLOW vaccinated")
	present(out, 2, "cccd ALLOW_NOTICE anti_passback vaccinated")
	a.kill()
	a = b.start()
	o.inForce(a)
	a.until("the journal is read back", func() bool { return a.status().Policy.Passed == 2 })
	present(in, 1, "cccd MANUAL_CHECK anti_passback vaccinated")
	present(in, 2, "cccd ALLOW vaccinated")
	if f := fault(a.status(), "passages"); f != "" {
		t.Errorf("fault %s", f)
	}
	a.stop()

	// Without its journal the box cannot know who is in.
	if err := os.Remove(b.storage("journal", "journal.db")); err != nil {
		t.Fatal(err)
	}
	a, seen = b.start(), 0
	o.inForce(a)
	a.waitFault("passages", "passages_unknown")
	present(in, 3, "cccd MANUAL_CHECK passages_unknown vaccinated")
	present(out, 3, "cccd ALLOW_NOTICE passages_unknown vaccinated")
	present(in, 3, "cccd ALLOW vaccinated")
	a.stop()
}

// TestPassesThatCannotBeKept: where it cannot be written down that a pass was
// used, or what was written is lost, passes for one entry are for the guard and
// all else goes on.
func TestPassesThatCannotBeKept(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(10)
	o.publishPolicy(1, nil)
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(quickLane("main", pty.Path)))
	b.survive(pty)
	if err := os.MkdirAll(b.storage(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.storage("passes"), nil, 0o600); err != nil { // in the way of the folder
		t.Fatal(err)
	}
	a := b.start()
	o.inForce(a)
	seen := 0
	present := func(payload, want string) {
		t.Helper()
		pty.Send(t, payload+"\r")
		seen++
		if got := outcome(t, a.waitEntries(seen)[seen-1]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		time.Sleep(600 * time.Millisecond)
	}
	single := func(c *pass.Claims) { c.Single, c.Gates = true, []string{"g1"} }
	first, second := o.pass(1, single), o.pass(2, single)
	a.waitFault("passes", "passes_unspendable")
	present(first, "pass MANUAL_CHECK store_fault pass")
	present(o.pass(3, nil), "pass ALLOW pass")
	present(someone(1).card(), "cccd ALLOW vaccinated")
	a.kill()

	if err := os.Remove(b.storage("passes")); err != nil {
		t.Fatal(err)
	}
	a = b.start()
	o.inForce(a)
	if f := fault(a.status(), "passes"); f != "" {
		t.Errorf("fault %s", f)
	}
	present(first, "pass ALLOW pass")
	present(first, "pass DENY pass_spent")
	a.kill()

	spent := b.storage("passes", "spent.db")
	text, err := os.ReadFile(spent)
	if err != nil {
		t.Fatal(err)
	}
	for i := range text { // a memory card that has lost it
		text[i] ^= 0x5a
	}
	if err := os.WriteFile(spent, text, 0o600); err != nil {
		t.Fatal(err)
	}
	a = b.start()
	o.inForce(a)
	a.waitFault("passes", "passes_forgotten")
	present(first, "pass MANUAL_CHECK store_fault pass")
	present(second, "pass MANUAL_CHECK store_fault pass")
	present(o.pass(3, nil), "pass ALLOW pass")
	a.stop()
}
