package main_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/agent/record"
)

// chained writes records one after the other as central keeps them.
type chained struct {
	t      *testing.T
	out    bytes.Buffer
	origin record.Origin
	epoch  record.Epoch
	seq    uint64
	prev   record.Hash
}

func (c *chained) next() (record.Origin, record.Epoch, uint64) {
	c.seq++
	return c.origin, c.epoch, c.seq
}

func (c *chained) add(r record.Record, err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
	l := record.Link{Seq: c.seq, Prev: c.prev, Record: r}
	ev, err := l.Event()
	if err != nil {
		c.t.Fatal(err)
	}
	line, err := json.Marshal(ev)
	if err != nil {
		c.t.Fatal(err)
	}
	c.prev = l.Hash()
	c.out.Write(append(line, '\n'))
}

func (c *chained) entry(e gate.Entry) {
	c.t.Helper()
	o, epoch, seq := c.next()
	c.add(record.FromEntry(o, epoch, seq, e))
}

// begin starts the journal of a gate.
func (c *chained) begin(name string, epoch byte, at time.Time) {
	c.t.Helper()
	c.origin, c.epoch, c.seq, c.prev = record.Origin{Site: "hn01", Gate: name}, record.Epoch{7: epoch}, 0, record.Hash{}
	o, e, seq := c.next()
	c.add(record.FromEvent(o, e, seq, record.FirstEvent(at, record.Position{}, "first_start")))
}

// writeExplained writes entries.jsonl, with an entry of every kind that explain
// meets, and museum.json, the policy of one of them.
func writeExplained(t *testing.T, dir string) {
	t.Helper()
	noon := time.Date(2021, 12, 17, 5, 0, 0, 0, time.UTC) // a Friday noon in Hanoi
	const today = gate.Day(18978)
	lax := policy.Default().AtLevel(1)
	doc, err := lax.Marshal(policy.Header{Version: 7})
	if err != nil {
		t.Fatal(err)
	}
	doc = bytes.Replace(doc, []byte(policy.DefaultID), []byte("hn01-museum"), 1)
	museum, err := policy.ParseDraft(doc)
	if err != nil {
		t.Fatal(err)
	}
	decided := func(p *policy.Policy, kind gate.CredentialKind, f gate.Facts) gate.Entry {
		in := gate.Inputs{Now: noon.UnixMilli(), Credential: kind, Clock: gate.ClockCentral, Facts: f, DataAge: 2*3600 + 300}
		d := p.Decide(in)
		return gate.Entry{
			Time: noon, Lane: "main", Verdict: d.Verdict, Class: d.Class, Reasons: slices.Clone(d.ReasonList()), Credential: kind,
			Policy: p.Ref(), Data: []gate.SetVersion{{Set: "vn", Version: 41}, {Set: "hn01-lists", Version: 3}},
			DataAge: in.DataAge, Clock: in.Clock, Inputs: in, Subject: 0x0102030405060708, HasSubject: true,
		}
	}
	fact := func(kind gate.FactKind, age gate.Day) gate.Facts {
		return gate.Facts{Found: true, Word: gate.Word(kind) << 12, Base: today - age}
	}

	c := &chained{t: t}
	c.begin("gate-1", 1, noon)
	green := decided(policy.Default(), gate.KindCCCD, fact(gate.FactCompleted, 40))
	c.entry(green) // 2
	o, epoch, seq := c.next()
	c.add(record.FromPassage(o, epoch, seq, gate.Passage{Time: noon, Lane: "main", Ref: 2, Opened: true})) // 3
	c.entry(decided(policy.Default(), gate.KindCC, fact(gate.FactBegun, 13)))                              // 4
	o, epoch, seq = c.next()
	erased, err := record.FromEntry(o, epoch, seq, green)
	c.add(erased.Erase(), err) // 5
	fault := decided(policy.Default(), gate.KindCCCD, gate.Facts{})
	fault.Verdict, fault.Class, fault.Reasons = gate.ManualCheck, gate.ClassNone, []gate.Reason{gate.ReasonStoreFault}
	c.entry(fault) // 6
	unreadable := decided(policy.Default(), gate.KindUnreadable, gate.Facts{})
	unreadable.Count, unreadable.Data, unreadable.HasSubject = 12, nil, false
	unreadable.DataAge, unreadable.Inputs.DataAge = -1, -1
	c.entry(unreadable)                                                              // 7
	c.entry(decided(policy.Default(), gate.KindCCCD, fact(gate.FactQuarantine, -3))) // 8
	c.entry(decided(museum, gate.KindCCCD, fact(gate.FactNothing, 0)))               // 9
	tried := decided(policy.Default(), gate.KindCCCD, fact(gate.FactRecovered, 181)) // 10
	tried.Shadow = &gate.Shadow{Policy: museum.Ref(), Verdict: gate.AllowNotice, Reasons: []gate.Reason{gate.ReasonNoFactCounts}}
	c.entry(tried)
	c.begin("gate-2", 2, noon)
	c.entry(decided(policy.Default(), gate.KindCCCD, fact(gate.FactNothing, 0)))
	for name, b := range map[string][]byte{"entries.jsonl": c.out.Bytes(), "museum.json": doc} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
