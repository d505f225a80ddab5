package cachetest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// BaseDay is day 0 of the words made here: 2021-01-01.
const BaseDay gate.Day = 18628

// Person is one fictional person of a set.
type Person struct {
	Number gate.Number
	Word   gate.Word
	Card   string       // what the card says; empty: no check bits
	More   *gate.Extras // nil: none
}

// People makes n different fictional people, the same for the same seed. The
// numbers begin with 9, which no province does, so none is a citizen's.
func People(n int, seed uint64) []Person {
	r := rand.New(rand.NewPCG(seed, 7))
	seen := make(map[uint64]bool, n)
	out := make([]Person, 0, n)
	for len(out) < n {
		v := 900_000_000_000 + r.Uint64N(100_000_000_000)
		if seen[v] {
			continue
		}
		seen[v] = true
		out = append(out, Person{Number: gate.Number(fmt.Sprint(v)), Word: randomWord(r)})
	}
	return out
}

func randomWord(r *rand.Rand) gate.Word {
	w, err := gate.NewWord(gate.FactKind(r.UintN(6)), BaseDay+gate.Day(r.UintN(2000)), BaseDay, false)
	if err != nil {
		panic(err) // the arguments are in range
	}
	return w
}

// Key makes a key that differs by n.
func Key(n byte) (k gate.Key) {
	for i := range k {
		k[i] = n + byte(i)
	}
	return k
}

// Rows gives the people as rows under key, in the order of [block.Sort].
func Rows(t testing.TB, key gate.Key, people []Person) []block.Row {
	t.Helper()
	rows := rowsOf(key, people)
	if err := block.Sort(rows); err != nil {
		t.Fatal(err)
	}
	return rows
}

func rowsOf(key gate.Key, people []Person) []block.Row {
	p := gate.NewPseudonymer(key)
	rows := make([]block.Row, len(people))
	for i, person := range people {
		rows[i] = block.Row{Person: p.Of(person.Number), Word: person.Word}
		if person.Card != "" {
			rows[i].Check = p.Check(person.Number, person.Card)
		}
	}
	return rows
}

// Describe gives the generation that holds rows.
func Describe(set string, version uint64, keyID string, rows []block.Row) gate.Generation {
	digest := block.NewDigest()
	for no, value := range block.Pack(rows, block.Width) {
		digest.Add(no, value)
	}
	return gate.Generation{
		Set: set, Version: version, KeyID: keyID,
		People: uint64(len(rows)), Blocks: block.Blocks(uint64(len(rows))), Width: block.Width,
		BaseDay: BaseDay, Issued: time.UnixMilli(1_760_000_000_000 + int64(version)*1000).UTC(),
		Digest: digest.Sum(), Manifest: fmt.Appendf(nil, "manifest %d", version),
	}
}

// Stager takes generations.
type Stager interface {
	Stage(g gate.Generation) (gate.GenerationWriter, error)
}

// Load stages a generation and commits it.
func Load(s Stager, g gate.Generation, rows []block.Row) error {
	w, err := s.Stage(g)
	if err != nil {
		return err
	}
	for no, value := range block.Pack(rows, block.Width) {
		if err := w.Block(no, value, nil); err != nil {
			if aerr := w.Abort(); aerr != nil {
				return aerr
			}
			return err
		}
	}
	return w.Commit()
}
