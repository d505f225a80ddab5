package demo

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
	"gateagent/cmd/gatectl/people"
)

// The demo must show every verdict and at least 60 scans.
func TestTruthCoversEveryVerdict(t *testing.T) {
	seen := map[gate.Verdict]bool{}
	for _, r := range truth {
		if !r.none {
			seen[r.level3], seen[r.level4] = true, true
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
// doubts only where the row wants them.
func TestVisitorsCarryWhatTheirRowSays(t *testing.T) {
	for round := range 20 {
		for _, v := range visitors(uint64(round), round, 1) {
			c := credential.Parse([]byte(v.payload))
			isCard := c.Kind == gate.KindCCCD || c.Kind == gate.KindCC
			switch {
			case v.row.show == phone && isCard:
				t.Errorf("%s: the phone's code is taken for a card", v.row.name)
			case v.row.show != phone && (!isCard || c.Number != v.number):
				t.Errorf("%s: the payload is no card of that number", v.row.name)
			case v.row.show != phone && (c.Warnings.Doubts() >= 2) != (v.row.text != ""):
				t.Errorf("%s: %d doubts", v.row.name, c.Warnings.Doubts())
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
