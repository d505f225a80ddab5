package replay_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/replay"
	"gateagent/sync/central"
)

// noon is a Friday noon in Hanoi.
var noon = time.Date(2021, 12, 17, 5, 0, 0, 0, time.UTC)

const today = gate.Day(18978) // 2021-12-17

// dimension is one thing that inputs differ in.
type dimension []func(*gate.Inputs)

// product gives every combination of what policies ask for.
func product() (dims []dimension, size int) {
	dims = []dimension{credentials(), facts(), clocks(), ages(), cards(), proofs()}
	size = 1
	for _, d := range dims {
		size *= len(d)
	}
	return dims, size
}

func inputsOf(dims []dimension, i int) gate.Inputs {
	in := gate.Inputs{Now: noon.Add(time.Duration(i) * time.Second).UnixMilli(), Direction: gate.Direction(i & 1)}
	for _, d := range dims {
		d[i%len(d)](&in)
		i /= len(d)
	}
	return in
}

func credentials() (d dimension) {
	for k := gate.KindUnsupported; k <= gate.KindURL; k++ {
		d = append(d, func(in *gate.Inputs) { in.Credential = k })
	}
	return d
}

func facts() dimension {
	fact := func(kind gate.FactKind, age int) func(*gate.Inputs) {
		return func(in *gate.Inputs) {
			const back = 1000
			base := today - gate.Day(age) - back
			w, err := gate.NewWord(kind, base+back, base, false)
			if err != nil {
				panic(err)
			}
			in.Facts = gate.Facts{Found: true, Word: w, Base: base}
		}
	}
	extras := func(change func(*gate.Extras)) func(*gate.Inputs) {
		return func(in *gate.Inputs) {
			fact(gate.FactNothing, 0)(in)
			in.Facts.Word |= 1 << 15
			in.Facts.HasExtras = true
			change(&in.Facts.Extras)
		}
	}
	d := dimension{func(*gate.Inputs) {}}
	for _, kind := range []gate.FactKind{gate.FactNothing, gate.FactCompleted, gate.FactBegun, gate.FactPositive, gate.FactQuarantine} {
		d = append(d, fact(kind, 20), fact(kind, -1))
	}
	return append(d,
		fact(gate.FactRecovered, 180), fact(gate.FactRecovered, 181), fact(7, 0),
		extras(func(e *gate.Extras) { e.FirstDose, e.Completed = today-40, today-1 }),
		extras(func(e *gate.Extras) {
			e.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: gate.MinuteOf(noon) - 60})
		}),
		extras(func(e *gate.Extras) { e.AddList(gate.Membership{List: "deny"}) }),
		extras(func(e *gate.Extras) {
			e.AddList(gate.Membership{List: "staff", Window: gate.Window{Weekdays: 0x1f, Start: 450, End: 1080}})
		}),
		extras(func(e *gate.Extras) { e.Window = gate.Window{From: today - 7, To: today - 1} }),
	)
}

func clocks() (d dimension) {
	for c := gate.ClockNone; c <= gate.ClockCentral; c++ {
		d = append(d, func(in *gate.Inputs) { in.Clock = c })
	}
	return d
}

func ages() (d dimension) {
	for _, age := range []int64{-1, 60, 24 * 3600, 25 * 3600, 73 * 3600} {
		d = append(d, func(in *gate.Inputs) { in.DataAge = age })
	}
	return d
}

func cards() dimension {
	return dimension{
		func(*gate.Inputs) {},
		func(in *gate.Inputs) { in.Flags = gate.FlagSexMismatch | gate.FlagBirthYearMismatch },
		func(in *gate.Inputs) { in.Flags = gate.FlagSixFields | gate.FlagMasked },
		func(in *gate.Inputs) { in.CardExpires = today },
		func(in *gate.Inputs) { in.Facts.CardMismatch = true },
	}
}

func proofs() dimension {
	return dimension{
		func(*gate.Inputs) {},
		func(in *gate.Inputs) {
			in.Passport = gate.Passport{Proof: gate.ProofGood, Matched: true, Event: gate.PassportVaccination, Dose: 2, Of: 2, Day: today - 30}
			in.Pass = gate.Pass{Proof: gate.ProofGood, Kind: gate.PassVisitor, Single: true, From: gate.MinuteOf(noon) - 60, To: gate.MinuteOf(noon) + 600}
		},
		func(in *gate.Inputs) {
			in.Passport = gate.Passport{Proof: gate.ProofBad, Why: gate.ReasonPassportExpired}
			in.Pass = gate.Pass{Proof: gate.ProofBad, Why: gate.ReasonPassSpent, Kind: gate.PassVisitor}
		},
		func(in *gate.Inputs) { in.Passages = gate.Passages{In: noon.Add(-10 * time.Minute).UnixMilli()} },
		func(in *gate.Inputs) { in.Passages = gate.Passages{Out: noon.Add(-2 * time.Minute).UnixMilli()} },
	}
}

// keep writes entries as central keeps them: chained records of some gates,
// through the sink of ingest.
func keep(t testing.TB, path string, entries []gate.Entry) {
	t.Helper()
	sink, err := central.OpenJSONL(path, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const perGate = 20_000
	var (
		origin record.Origin
		epoch  record.Epoch
		prev   record.Hash
		seq    uint64
		batch  []record.Event
	)
	flush := func() {
		if err := sink.Store(t.Context(), []central.Batch{{Events: batch}}); err != nil {
			t.Fatal(err)
		}
		batch = nil
	}
	add := func(r record.Record, err error) {
		if err != nil {
			t.Fatal(err)
		}
		l := record.Link{Seq: seq, Prev: prev, Record: r}
		ev, err := l.Event()
		if err != nil {
			t.Fatal(err)
		}
		prev = l.Hash()
		batch = append(batch, ev)
	}
	for i, e := range entries {
		if i%perGate == 0 {
			origin = record.Origin{Site: "hn01", Gate: fmt.Sprintf("gate-%d", 1+i/perGate)}
			epoch, prev, seq = record.Epoch{0, 0, 0, 0, 0, 0, 0, byte(1 + i/perGate)}, record.Hash{}, 1
			add(record.FromEvent(origin, epoch, seq, record.FirstEvent(e.Time, record.Position{}, "first_start")))
		}
		seq++
		add(record.FromEntry(origin, epoch, seq, e))
		if len(batch) == 1000 {
			flush()
		}
	}
	flush()
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
}

// everything is a policy that says something in every member.
func everything(t testing.TB) *policy.Policy {
	t.Helper()
	doc, err := os.ReadFile("../../../agent/policy/testdata/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseDraft(doc)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// decided makes the entry that a gate would have recorded.
func decided(p *policy.Policy, in gate.Inputs) gate.Entry {
	d := p.Decide(in)
	return gate.Entry{
		Time: time.UnixMilli(in.Now), Lane: "main", Direction: in.Direction, Verdict: d.Verdict, Class: d.Class,
		Reasons: slices.Clone(d.ReasonList()), Credential: in.Credential, Policy: p.Ref(), Clock: in.Clock,
		Data: []gate.SetVersion{{Set: "vn", Version: 3}}, DataAge: in.DataAge, Inputs: in,
		Subject: gate.Pseudonym(in.Now), HasSubject: true, Decode: 12 * time.Millisecond, Lookup: 40 * time.Microsecond,
	}
}

// read replays a file and says how long that took.
func read(t testing.TB, path string, o replay.Options) (*replay.Tally, time.Duration) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tally := replay.New(o.Examples)
	began := time.Now()
	if err := replay.Read(t.Context(), path, f, o, tally); err != nil {
		t.Fatal(err)
	}
	return tally, time.Since(began)
}

// TestHundredThousand replays more than 100,000 recorded entries, the whole
// product of inputs: the policy that they name gives exactly what was recorded, and
// deciding them costs at most as much again as reading them.
func TestHundredThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("writes and reads a file of entries several times")
	}
	dims, entries := product()
	if entries < 100_000 {
		t.Fatalf("the product has %d members only", entries)
	}
	was := []*policy.Policy{policy.Default(), everything(t)}
	all := make([]gate.Entry, 0, entries)
	for i := range entries {
		all = append(all, decided(was[i/7%2], inputsOf(dims, i)))
	}
	path := filepath.Join(t.TempDir(), "entries.jsonl")
	keep(t, path, all)

	recorded := func(r gate.PolicyRef) replay.Rules {
		for _, p := range was {
			if r == p.Ref() {
				return p
			}
		}
		return nil
	}
	tally, _ := read(t, path, replay.Options{Recorded: recorded, New: was[1], Examples: 3})
	if tally.Entries != entries || tally.Again != entries || tally.Tried != entries || tally.Others != 6 {
		t.Errorf("%d entries, %d decided again, %d tried, %d others", tally.Entries, tally.Again, tally.Tried, tally.Others)
	}
	if tally.Differ != 0 || tally.Bad != 0 {
		t.Errorf("%d do not come out as recorded, %d bad lines: %v %v", tally.Differ, tally.Bad, tally.Wrong, tally.Problems)
	}
	if changed, _, _ := tally.Changed(); changed == 0 || changed > entries/2 {
		t.Errorf("the other policy changes %d", changed)
	}

	// Medians of several runs, again if the machine was busy with other things.
	const most, runs, tries = 2.0, 3, 5
	ratio := 0.0
	for range tries {
		var reading, replaying []time.Duration
		for range runs {
			_, d := read(t, path, replay.Options{})
			reading = append(reading, d)
			_, d = read(t, path, replay.Options{New: was[1], Recorded: recorded, Examples: 3})
			replaying = append(replaying, d)
		}
		slices.Sort(reading)
		slices.Sort(replaying)
		ratio = float64(replaying[runs/2]) / float64(reading[runs/2])
		t.Logf("%d entries: reading them %v, deciding each twice as well %v: %.2f times", entries, reading[runs/2], replaying[runs/2], ratio)
		if ratio <= most {
			return
		}
	}
	t.Errorf("replaying takes %.2f times as long as reading, at most %.1f are wanted", ratio, most)
}

// TestReadsAsTheRecordSays: what replaying takes from a line is what the record
// in it says.
func TestReadsAsTheRecordSays(t *testing.T) {
	dims, size := product()
	path := filepath.Join(t.TempDir(), "entries.jsonl")
	var all []gate.Entry
	for i := 0; i < size; i += 97 {
		all = append(all, decided(policy.Default(), inputsOf(dims, i)))
	}
	keep(t, path, all)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range bytes.Lines(b) {
		e, ok, err := replay.ParseEntry(line)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			continue
		}
		ev, err := record.ParseEvent(bytes.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		want, err := ev.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Inputs, e.Inputs); diff != "" {
			t.Fatal(diff)
		}
		if e.Verdict != want.Verdict || e.Class != want.Class || e.Policy != want.Policy || !slices.Equal(e.Reasons, want.Reasons) ||
			!e.Time.Equal(want.Time) || e.At != (replay.Place{Source: ev.Origin().Source(), Epoch: ev.Epoch().String(), Seq: ev.Position().Seq}) {
			t.Fatalf("%+v, want %+v", e, want)
		}
		n++
	}
	if n != len(all) {
		t.Errorf("%d entries read of %d", n, len(all))
	}
}

// refuseAll is a policy that lets nobody in.
type refuseAll struct{}

func (refuseAll) Decide(gate.Inputs) gate.Decision {
	d := gate.Decision{Verdict: gate.Deny}
	d.Add(gate.ReasonClosed)
	return d
}

// TestChanges counts what a policy would have changed, whatever the number of
// workers, and leaves out what no policy decided.
func TestChanges(t *testing.T) {
	goleak.VerifyNone(t)
	at := func(i int) gate.Inputs {
		return gate.Inputs{Now: noon.Add(time.Duration(i) * time.Minute).UnixMilli(), Credential: gate.KindCCCD, Clock: gate.ClockCentral}
	}
	var all []gate.Entry
	for i := range 1000 {
		in := at(i)
		if i%2 == 0 {
			in.Facts = gate.Facts{Found: true, Word: gate.Word(gate.FactCompleted) << 12, Base: today - 100}
		}
		all = append(all, decided(policy.Default(), in))
	}
	fault := decided(policy.Default(), at(1000))
	fault.Verdict, fault.Class, fault.Reasons = gate.AllowNotice, gate.ClassNone, []gate.Reason{gate.ReasonStoreFault}
	wrong := decided(policy.Default(), at(1001))
	wrong.Verdict = gate.Allow // what no policy ever gave
	all = append(all, fault, wrong)
	path := filepath.Join(t.TempDir(), "entries.jsonl")
	keep(t, path, all)
	erase(t, path, 2)

	for _, workers := range []int{1, 2, 7} {
		tally, _ := read(t, path, replay.Options{
			New: refuseAll{}, Recorded: func(gate.PolicyRef) replay.Rules { return policy.Default() }, Examples: 2, Workers: workers,
		})
		if tally.Entries != 1002 || tally.OnFault != 1 || tally.Erased != 1 || tally.Again != 1000 || tally.Tried != 1000 {
			t.Errorf("%d workers: %+v", workers, tally)
		}
		if tally.Differ != 1 || len(tally.Wrong) != 1 || tally.Wrong[0].At.Seq != 1003 || tally.Wrong[0].Now.Verdict != gate.ManualCheck {
			t.Errorf("%d workers: %d differ: %+v", workers, tally.Differ, tally.Wrong)
		}
		changed, stricter, laxer := tally.Changed()
		if changed != 1000 || stricter != 1000 || laxer != 0 {
			t.Errorf("%d workers: %d changed, %d stricter, %d laxer", workers, changed, stricter, laxer)
		}
		var got []string
		for _, c := range tally.Changes() {
			got = append(got, fmt.Sprintf("%d %v %s -> %v %s: %v", c.Entries, c.From, c.Was, c.To, c.Is, c.Examples))
		}
		want := []string{
			"500 MANUAL_CHECK no_record -> DENY closed: [hn01/gate-1 0000000000000001 3 hn01/gate-1 0000000000000001 5]",
			"499 ALLOW vaccinated -> DENY closed: [hn01/gate-1 0000000000000001 4 hn01/gate-1 0000000000000001 6]",
			"1 ALLOW no_record -> DENY closed: [hn01/gate-1 0000000000000001 1003]",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d workers: %s", workers, diff)
		}
	}
}

// erase takes the personal part from an entry, as a gate does when it is asked.
func erase(t *testing.T, path string, seq uint64) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for line := range bytes.Lines(b) {
		ev, err := record.ParseEvent(bytes.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		if l := ev.Link(); l.Seq == seq {
			l.Record = l.Record.Erase()
			if ev, err = l.Event(); err != nil {
				t.Fatal(err)
			}
			if line, err = json.Marshal(ev); err != nil {
				t.Fatal(err)
			}
			line = append(line, '\n')
		}
		out.Write(line)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestBadLines are named, not passed over; reading goes on behind them.
func TestBadLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.jsonl")
	keep(t, path, []gate.Entry{decided(policy.Default(), gate.Inputs{Now: noon.UnixMilli(), Credential: gate.KindCCCD})})
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	entry := lines[1]
	text := strings.Join([]string{
		"nonsense\n", "\n", entry,
		strings.Replace(entry, `"inputs":"`, `"inputs":"_`, 1),
		strings.Replace(entry, `"MANUAL_CHECK"`, `"PERHAPS"`, 1),
		strings.TrimSuffix(entry, "\n")[:100], // torn, and without an end
	}, "")
	tally := replay.New(1)
	if err := replay.Read(t.Context(), "x", strings.NewReader(text), replay.Options{New: policy.Default()}, tally); err != nil {
		t.Fatal(err)
	}
	if tally.Entries != 1 || tally.Bad != 4 || len(tally.Problems) != 4 {
		t.Fatalf("%d entries, %d bad: %q", tally.Entries, tally.Bad, tally.Problems)
	}
	for i, want := range []string{"x:1: ", "x:4: ", "x:5: ", "x:6: "} {
		if !strings.HasPrefix(tally.Problems[i], want) {
			t.Errorf("problem %d: %q, want %q", i, tally.Problems[i], want)
		}
	}
	long := io.MultiReader(strings.NewReader(entry), bytes.NewReader(bytes.Repeat([]byte{'x'}, 64<<10)))
	if err := replay.Read(t.Context(), "x", long, replay.Options{}, replay.New(1)); err == nil || !strings.Contains(err.Error(), "line 2 is longer") {
		t.Errorf("a line without an end: %v", err)
	}
}
