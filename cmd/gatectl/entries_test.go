package main

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/sync/central"
)

// writeEntries keeps some entries as ingest does: of hn01/gate-1 three under the
// built-in policy, the last of them answered by on_fault, and of hn01/gate-2 two
// under version 1 of it, at level 4, the last with another policy on trial.
func writeEntries(t *testing.T, path string) {
	t.Helper()
	sink, err := central.OpenJSONL(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2021, 12, 17, 5, 0, 0, 0, time.UTC)
	const today = gate.Day(18978)
	entry := func(minute int, version uint64, facts gate.Facts) gate.Entry {
		at := noon.Add(time.Duration(minute) * time.Minute)
		in := gate.Inputs{Now: at.UnixMilli(), Credential: gate.KindCCCD, Clock: gate.ClockCentral, Facts: facts, DataAge: 60}
		d := policy.Default().Decide(in)
		return gate.Entry{
			Time: at, Lane: "main", Verdict: d.Verdict, Class: d.Class, Reasons: slices.Clone(d.ReasonList()),
			Credential: in.Credential, Policy: gate.PolicyRef{ID: policy.DefaultID, Version: version}, Clock: in.Clock,
			Data: []gate.SetVersion{{Set: "vn", Version: 3}}, DataAge: 60, Inputs: in, Subject: 0x0102030405060708, HasSubject: true,
		}
	}
	green := gate.Facts{Found: true, Word: gate.Word(gate.FactCompleted) << 12, Base: today - 40}
	red := gate.Facts{Found: true, Base: today}
	fault := entry(2, 0, gate.Facts{})
	fault.Verdict, fault.Class, fault.Reasons = gate.ManualCheck, gate.ClassNone, []gate.Reason{gate.ReasonStoreFault}
	tried := entry(4, 1, red)
	tried.Shadow = &gate.Shadow{
		Policy: gate.PolicyRef{ID: "hn01-museum"}, Verdict: gate.ManualCheck, Reasons: []gate.Reason{gate.ReasonNoFactCounts},
	}
	for i, entries := range [][]gate.Entry{
		{entry(0, 0, green), entry(1, 0, red), fault},
		{entry(3, 1, green), tried},
	} {
		origin := record.Origin{Site: "hn01", Gate: []string{"gate-1", "gate-2"}[i]}
		epoch := record.Epoch{7: byte(i + 1)}
		var links []record.Link
		add := func(r record.Record, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			l := record.Link{Seq: uint64(len(links) + 1), Record: r}
			if n := len(links); n > 0 {
				l.Prev = links[n-1].Hash()
			}
			links = append(links, l)
		}
		add(record.FromEvent(origin, epoch, 1, record.FirstEvent(noon, record.Position{}, "first_start")))
		for _, e := range entries {
			add(record.FromEntry(origin, epoch, uint64(len(links)+1), e))
		}
		var events []record.Event
		for _, l := range links {
			ev, err := l.Event()
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, ev)
		}
		if err := sink.Store(t.Context(), []central.Batch{{Origin: origin, Events: events}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
}
