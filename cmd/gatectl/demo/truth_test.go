package demo

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
	"gateagent/agent/pass"
	"gateagent/agent/passport"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/signed"
)

// The demo must show every verdict and at least 60 scans.
func TestTruthCoversEveryVerdict(t *testing.T) {
	seen := map[gate.Verdict]bool{}
	for _, r := range truth {
		for one := &r; one != nil; one = one.then {
			if !one.none {
				seen[one.level3], seen[one.level4] = true, true
			}
		}
	}
	for _, v := range gate.Verdicts() {
		if !seen[v] {
			t.Errorf("nobody is answered %v", v)
		}
	}
	if n := len(visitors(1, 1, 2)) + len(visitors(1, 2, 2)); n < 60 {
		t.Errorf("%d scans", n)
	}
}

// What is presented must be what the row says: a card that reads as one, with
// doubts only where the row wants them, codes that name nobody, passports and
// passes that hold.
func TestVisitorsCarryWhatTheirRowSays(t *testing.T) {
	kinds := map[shown][]gate.CredentialKind{
		card: {gate.KindCCCD, gate.KindCC}, damaged: {gate.KindCCCD, gate.KindCC}, emptyCard: {gate.KindCCCD, gate.KindCC},
		phone: {gate.KindURL, gate.KindVNeIDDynamic, gate.KindUnsupported}, personalQR: {gate.KindQRQG}, insurance: {gate.KindBHYT},
		vaccinePass: {gate.KindDCC}, visitorPass: {gate.KindPass},
	}
	w := &world{signers: map[signed.Role]signed.Signer{}}
	if err := w.makeKeys(); err != nil {
		t.Fatal(err)
	}
	var rounds [][]visitor
	for round := range 20 {
		rounds = append(rounds, visitors(uint64(round), round, 1))
	}
	if err := w.equip(rounds); err != nil {
		t.Fatal(err)
	}
	_, spki := w.health.KID()
	public, err := passport.ParsePublic(spki)
	if err != nil {
		t.Fatal(err)
	}
	kid, _ := w.health.KID()
	id, err := hex.DecodeString(kid)
	if err != nil {
		t.Fatal(err)
	}
	passports := passport.NewKeys([]passport.Key{{KID: id, Public: public}}, nil)
	passes := pass.NewKeys([]pass.Key{{Public: []byte(w.signers[signed.RolePass].TrustKey().Key)}}, nil)
	for _, come := range rounds {
		for i := range come {
			var holder passport.Holder
			for _, v := range come[i].shows() {
				c := credential.Parse([]byte(v.payload))
				if !slices.Contains(kinds[v.row.show], c.Kind) {
					t.Errorf("%s: %v", v.row.name, c.Kind)
				}
				isCard := c.Kind == gate.KindCCCD || c.Kind == gate.KindCC
				switch {
				case isCard && c.Number != v.number:
					t.Errorf("%s: a card of another number", v.row.name)
				case isCard && (c.Warnings.Doubts() >= 2) != (v.row.text != ""):
					t.Errorf("%s: %d doubts", v.row.name, c.Warnings.Doubts())
				case isCard && holder.Name != "" && !holder.Matches(c.Name, c.Born):
					t.Errorf("%s: not the holder", v.row.name)
				case !isCard && c.Number != "":
					t.Errorf("%s: it names somebody", v.row.name)
				}
				switch v.row.show {
				case vaccinePass:
					r := passports.Verify([]byte(v.payload), time.Now())
					if holder = r.Holder; r.Proof != gate.ProofGood {
						t.Errorf("%s: %v", v.row.name, r.Why)
					}
				case visitorPass:
					if r := passes.Verify([]byte(v.payload), site, gateID, nil, time.Now()); r.Proof != gate.ProofGood || !r.Single {
						t.Errorf("%s: %v", v.row.name, r.Why)
					}
				}
			}
		}
	}
}

func TestSameSeedSamePeople(t *testing.T) {
	today := time.Date(2021, 12, 17, 12, 0, 0, 0, time.UTC)
	var a, b bytes.Buffer
	n, err := writePeople(&a, 3, today, visitors(3, 1, 1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writePeople(&b, 3, today, visitors(3, 1, 1)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("one seed gave two lists")
	}
	list, err := people.Open(strings.NewReader(a.String()), people.Options{Format: people.CSV})
	if err != nil {
		t.Fatal(err)
	}
	ids, read, parser := map[gate.Number]bool{}, 0, list.Parser()
	for batch := new(people.Batch); list.Next(batch) == nil; {
		for p, problem := range parser.People(batch) {
			if problem != nil {
				t.Fatal(problem)
			}
			if ids[p.Number] {
				t.Error("a number is there twice")
			}
			ids[p.Number] = true
			read++
		}
	}
	if read != n {
		t.Errorf("%d of %d lines can be read", read, n)
	}
}

func TestQuantile(t *testing.T) {
	v := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if quantile(v, 0.5) != 6 || quantile(v, 0.99) != 10 || quantile(nil, 0.5) != 0 {
		t.Errorf("p50 %v, p99 %v", quantile(v, 0.5), quantile(v, 0.99))
	}
}
