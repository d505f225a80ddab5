package replay

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"gateagent/agent/gate"
)

// Tally is what replaying found. The zero value is not usable: [New] makes one.
type Tally struct {
	Entries  int // all, those that were not replayed included
	Others   int // records that are no entries
	Erased   int // inputs were erased: cannot be decided again
	OnFault  int // no policy decided
	Bad      int // lines that cannot be used
	Problems []string

	First, Last time.Time
	Gates       map[string]int         // entries by "/site/gate"
	Policies    map[gate.PolicyRef]int // entries by the policy that is named in them

	// Again counts entries decided again by the policy they name, Differ those
	// of them that came out another way, which must not be.
	Again, Differ int
	Wrong         []Wrong
	// AgainBy counts the entries decided again by the policy they name, and
	// NotGiven those whose policy was not at hand.
	AgainBy, NotGiven map[gate.PolicyRef]int

	// Shadows counts entries by the policy that was on trial.
	Shadows map[gate.PolicyRef]int
	// Tried counts entries decided by the new policy, or by one on trial.
	Tried   int
	Matrix  [numVerdicts]Row // by recorded verdict
	Reasons int              // same verdict, other class or reasons
	changes map[changeKey]*Change

	examples int
}

// Row counts entries by new verdict.
type Row [numVerdicts]int

const numVerdicts = int(gate.Allow) + 1

// Wrong is an entry that its own policy decides otherwise now.
type Wrong struct {
	At            Place
	Policy        gate.PolicyRef
	Recorded, Now Outcome
}

// Outcome is a decision as people read it.
type Outcome struct {
	Verdict gate.Verdict
	Class   gate.Class
	Reasons []gate.Reason
}

func outcomeOf(d *gate.Decision) Outcome {
	return Outcome{d.Verdict, d.Class, slices.Clone(d.ReasonList())}
}

// Change is one way in which entries come out otherwise.
type Change struct {
	From, To   gate.Verdict
	Was, Is    gate.Reason // the first reason of each; "" for none
	Entries    int
	Examples   []Place
	Strictness int // of To above From: > 0 stricter, < 0 laxer
}

type changeKey struct {
	from, to gate.Verdict
	was, is  gate.Reason
}

// maxProblems bounds how many lines are named, and how many wrong entries.
const maxProblems = 20

// New makes an empty tally that names so many examples of each change.
func New(examples int) *Tally { return newTally(examples) }

func newTally(examples int) *Tally {
	return &Tally{
		Gates: map[string]int{}, Policies: map[gate.PolicyRef]int{}, Shadows: map[gate.PolicyRef]int{},
		AgainBy: map[gate.PolicyRef]int{}, NotGiven: map[gate.PolicyRef]int{}, changes: map[changeKey]*Change{}, examples: examples,
	}
}

func (t *Tally) problem(text string) {
	if t.Bad++; len(t.Problems) < maxProblems {
		t.Problems = append(t.Problems, text)
	}
}

func (t *Tally) entry(e *Entry) {
	t.Entries++
	t.Gates[e.At.Source]++
	t.Policies[e.Policy]++
	t.span(e.Time, e.Time)
}

func (t *Tally) span(first, last time.Time) {
	if t.First.IsZero() || !first.IsZero() && first.Before(t.First) {
		t.First = first
	}
	if last.After(t.Last) {
		t.Last = last
	}
}

func (t *Tally) differs(e *Entry, d *gate.Decision) {
	if t.Differ++; len(t.Wrong) < maxProblems {
		t.Wrong = append(t.Wrong, Wrong{e.At, e.Policy, Outcome{e.Verdict, e.Class, e.Reasons}, outcomeOf(d)})
	}
}

func (t *Tally) tried(e *Entry, d *gate.Decision) {
	t.Tried++
	t.Matrix[e.Verdict][d.Verdict]++
	if e.Verdict == d.Verdict {
		if !e.Same(d) {
			t.Reasons++
		}
		return
	}
	key := changeKey{from: e.Verdict, to: d.Verdict}
	if len(e.Reasons) > 0 {
		key.was = e.Reasons[0]
	}
	if d.N > 0 {
		key.is = d.Reasons[0]
	}
	c := t.changes[key]
	if c == nil {
		c = &Change{From: key.from, To: key.to, Was: key.was, Is: key.is, Strictness: Strictness(key.to) - Strictness(key.from)}
		t.changes[key] = c
	}
	if c.Entries++; len(c.Examples) < t.examples {
		c.Examples = append(c.Examples, e.At)
	}
}

// merge adds what came later in the file.
func (t *Tally) merge(o *Tally) {
	t.Entries += o.Entries
	t.Others += o.Others
	t.Erased += o.Erased
	t.OnFault += o.OnFault
	t.Bad += o.Bad
	t.Problems = append(t.Problems, o.Problems[:min(len(o.Problems), maxProblems-len(t.Problems))]...)
	t.span(o.First, o.Last)
	for k, n := range o.Gates {
		t.Gates[k] += n
	}
	for _, x := range [...]struct{ mine, more map[gate.PolicyRef]int }{
		{t.Policies, o.Policies}, {t.Shadows, o.Shadows}, {t.AgainBy, o.AgainBy}, {t.NotGiven, o.NotGiven},
	} {
		for k, n := range x.more {
			x.mine[k] += n
		}
	}
	t.Again += o.Again
	t.Differ += o.Differ
	t.Wrong = append(t.Wrong, o.Wrong[:min(len(o.Wrong), maxProblems-len(t.Wrong))]...)
	t.Tried += o.Tried
	for i := range o.Matrix {
		for j := range o.Matrix[i] {
			t.Matrix[i][j] += o.Matrix[i][j]
		}
	}
	t.Reasons += o.Reasons
	for k, c := range o.changes {
		mine := t.changes[k]
		if mine == nil {
			t.changes[k] = c
			continue
		}
		mine.Entries += c.Entries
		mine.Examples = append(mine.Examples, c.Examples[:min(len(c.Examples), t.examples-len(mine.Examples))]...)
	}
}

// Changes gives the ways in which entries come out otherwise, the most frequent
// first.
func (t *Tally) Changes() []*Change {
	return slices.SortedFunc(maps.Values(t.changes), func(a, b *Change) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To),
			cmp.Compare(a.Was, b.Was), cmp.Compare(a.Is, b.Is))
	})
}

// Changed counts the entries whose verdict is another, and of these those for
// which the new policy is stricter and laxer; the rest shut the gate in another
// way.
func (t *Tally) Changed() (all, stricter, laxer int) {
	for _, c := range t.changes {
		all += c.Entries
		switch {
		case c.Strictness > 0:
			stricter += c.Entries
		case c.Strictness < 0:
			laxer += c.Entries
		}
	}
	return all, stricter, laxer
}

// Strictness orders verdicts by how far they keep the gate shut. Being asked
// for another code, refused, and refused with an alarm are one: all of them
// leave the person outside.
func Strictness(v gate.Verdict) int {
	switch v {
	case gate.Allow:
		return 0
	case gate.AllowNotice:
		return 1
	case gate.ManualCheck:
		return 2
	}
	return 3
}
