package cachetest

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// World is a data set that changes from version to version, the truth against
// which a store with deltas is held. What it does from one version to the next
// depends on the seed alone, so that another process can tell what any version
// holds; how a delta says it depends on the base.
type World struct {
	Set   string
	KeyID string
	Width int // bytes a record
	// Share of the people who have extras, in percent.
	Extras int
	// Steps is how many people one version changes at most.
	Steps int

	Version uint64
	seed    uint64
	all     []Citizen // ascending by pseudonym; some of them are not in the set
	lists   []string

	base     gate.Generation
	baseRems map[uint64][]uint64 // remainders of each block of the base
}

// Citizen is somebody of a World.
type Citizen struct {
	Number gate.Number
	Person gate.Pseudonym
	In     bool // whether the set has the person
	Word   gate.Word
	Check  uint16
	Body   []byte // of the extras entry; nil: none
}

// NewWorld makes version 1 with about three quarters of n people in it.
func NewWorld(n, width int, seed uint64) *World {
	w := &World{Set: SetName, KeyID: SetKeyID, Width: width, Extras: 10, Steps: 40, seed: seed, lists: []string{"staff"}}
	p := gate.NewPseudonymer(Key(1))
	for _, person := range People(n, seed) {
		w.all = append(w.all, Citizen{Number: person.Number, Person: p.Of(person.Number)})
	}
	slices.SortFunc(w.all, func(a, b Citizen) int { return cmp.Compare(a.Person, b.Person) })
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range w.all {
		if r.UintN(4) > 0 {
			w.draw(r, &w.all[i])
		}
	}
	w.Version = 1
	w.Rebase()
	return w
}

// draw gives somebody a new record.
func (w *World) draw(r *rand.Rand, c *Citizen) {
	word, err := gate.NewWord(gate.FactKind(r.UintN(6)), BaseDay+gate.Day(r.UintN(4000)), BaseDay, false)
	if err != nil {
		panic(err) // the arguments are in range
	}
	*c = Citizen{Number: c.Number, Person: c.Person, In: true, Word: word}
	if w.Width == block.WidthCheck {
		c.Check = uint16(r.Uint32())
	}
	if r.IntN(100) >= w.Extras {
		return
	}
	e := gate.Extras{FirstDose: BaseDay + gate.Day(r.IntN(1000)), Completed: BaseDay + 1000 + gate.Day(r.IntN(1000))}
	if r.IntN(3) == 0 {
		e.AddList(gate.Membership{List: w.lists[r.IntN(len(w.lists))]})
	}
	if r.IntN(3) == 0 {
		e.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: gate.Minute(27_000_000 + r.IntN(100_000))})
	}
	if c.Body, err = block.EncodeExtras(e, BaseDay, w.lists); err != nil {
		panic(err)
	}
	c.Word |= 1 << 15
}

// People gives everybody, those who are not in the set too.
func (w *World) People() []Citizen { return w.all }

// Base describes the whole version that deltas refer to now.
func (w *World) Base() gate.Generation { return w.base }

// Generation describes the version that holds now as a whole one, in as many
// blocks as the base has if they fit.
func (w *World) Generation() gate.Generation {
	g := gate.Generation{
		Set: w.Set, Version: w.Version, KeyID: w.KeyID, Width: w.Width, BaseDay: BaseDay,
		Lists: slices.Clone(w.lists), Issued: Issued(w.Version), Manifest: fmt.Appendf(nil, "manifest %d", w.Version),
	}
	for _, c := range w.all {
		if c.In {
			g.People++
			if c.Body != nil {
				g.Extras++
			}
		}
	}
	g.Blocks = block.Blocks(g.People)
	if block.Fits(g.People, w.base.Blocks) {
		g.Blocks = w.base.Blocks
	}
	digest := block.NewDigest()
	err := w.Pack(g.Blocks, func(no uint64, value, extras []byte) error {
		digest.Add(no, value)
		digest.AddExtras(no, extras)
		return nil
	})
	if err != nil {
		panic(err) // two of few people on one record
	}
	g.Digest = digest.Sum()
	return g
}

// Issued is when a version of a World was signed.
func Issued(version uint64) time.Time {
	return time.UnixMilli(1_760_000_000_000 + int64(version)*1000).UTC()
}

// Pack gives the blocks of the version that holds now.
func (w *World) Pack(blocks uint64, emit func(no uint64, value, extras []byte) error) error {
	p := block.NewPacker(blocks, w.Width, emit)
	for _, c := range w.all {
		if !c.In {
			continue
		}
		if err := p.Add(block.Row{Person: c.Person, Word: c.Word, Check: c.Check}, c.Body); err != nil {
			return err
		}
	}
	return p.Flush()
}

// Load stages the version that holds now as a whole one and puts it in force.
// Deltas refer to it from then on.
func (w *World) Load(s Stager) error {
	w.Rebase()
	g, err := s.Stage(w.base)
	if err != nil {
		return err
	}
	if err := w.Pack(w.base.Blocks, g.Block); err != nil {
		if aerr := g.Abort(); aerr != nil {
			return aerr
		}
		return err
	}
	return g.Commit()
}

// Rebase makes the version that holds now the base.
func (w *World) Rebase() {
	w.base = w.Generation()
	w.baseRems = map[uint64][]uint64{}
	for _, c := range w.all {
		if c.In {
			no, rem := block.Place(c.Person, w.base.Blocks)
			w.baseRems[no] = append(w.baseRems[no], rem)
		}
	}
}

// Step changes the world into its next version.
func (w *World) Step() (gate.Delta, []gate.Change) {
	w.Version++
	r := rand.New(rand.NewPCG(w.seed, w.Version))
	var changes []gate.Change
	var lists []string
	if r.IntN(20) == 0 && len(w.lists) < 8 {
		w.lists = append(w.lists, fmt.Sprintf("list-%d", w.Version))
		lists = slices.Clone(w.lists)
	}
	chosen := map[int]bool{}
	for range r.IntN(w.Steps + 1) {
		chosen[r.IntN(len(w.all))] = true
	}
	order := make([]int, 0, len(chosen))
	for i := range chosen {
		order = append(order, i)
	}
	slices.Sort(order)
	for _, i := range order {
		c := &w.all[i]
		if c.In && r.UintN(4) == 0 {
			*c = Citizen{Number: c.Number, Person: c.Person}
		} else {
			w.draw(r, c)
		}
		changes = append(changes, w.change(c, r.UintN(8) == 0))
	}
	people := uint64(0)
	for _, c := range w.all {
		if c.In {
			people++
		}
	}
	return gate.Delta{
		Set: w.Set, N: w.Version, Base: w.base.Version, BaseDigest: w.base.Digest,
		Issued: Issued(w.Version), Changes: uint64(len(changes)), People: people, Lists: lists,
	}, changes
}

// change says in terms of the base what has become of somebody.
func (w *World) change(c *Citizen, hashed bool) gate.Change {
	no, rem := block.Place(c.Person, w.base.Blocks)
	change := gate.Change{Block: no, Place: -1, Rem: rem, Gone: !c.In, Word: c.Word, Check: c.Check, Extras: c.Body}
	if place, ok := slices.BinarySearch(w.baseRems[no], rem); ok && !hashed {
		change.Place, change.Rem = place, 0
	}
	return change
}

// Applier takes deltas.
type Applier interface {
	Apply(d gate.Delta, changes func(each func(gate.Change) error) error) error
}

// Apply hands a delta over.
func Apply(s Applier, d gate.Delta, changes []gate.Change) error {
	scratch := make([]byte, 0, 64)
	return s.Apply(d, func(each func(gate.Change) error) error {
		for _, c := range changes {
			scratch = append(scratch[:0], c.Extras...)
			c.Extras = scratch
			err := each(c)
			clear(scratch) // it was only good until each returned
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Advance takes the world to a version without saying how.
func (w *World) Advance(version uint64) {
	for w.Version < version {
		w.Step()
	}
}

// Looker answers who is in the set.
type Looker interface {
	Facts(n gate.Number, card string) (gate.Facts, gate.DataState, error)
}

// Compare asks for every step-th person and says what is not as in the world.
func (w *World) Compare(s Looker, step int) error {
	for i := 0; i < len(w.all); i += step {
		c := &w.all[i]
		f, st, err := s.Facts(c.Number, "")
		switch {
		case err != nil:
			return err
		case st.Sets[0].Version != w.Version:
			return fmt.Errorf("version %d answers, want %d", st.Sets[0].Version, w.Version)
		case f.Found != c.In || f.Word != c.Word || f.HasExtras != (c.Body != nil):
			return fmt.Errorf("version %d: person %d is %+v, want %+v", w.Version, i, f, c)
		}
		if c.Body == nil {
			continue
		}
		var want gate.Extras
		if err := block.DecodeExtras(c.Body, BaseDay, w.lists, &want); err != nil {
			return err
		}
		got, err := block.EncodeExtras(f.Extras, BaseDay, w.lists)
		if err != nil {
			return fmt.Errorf("version %d: the extras of person %d: %w", w.Version, i, err)
		}
		if !bytes.Equal(got, c.Body) {
			return fmt.Errorf("version %d: the extras of person %d are %+v, want %+v", w.Version, i, f.Extras, want)
		}
	}
	return nil
}
