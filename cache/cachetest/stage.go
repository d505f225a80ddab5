package cachetest

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
)

// SetName and SetKeyID name the set of stage children.
const (
	SetName  = "vn"
	SetKeyID = "k1"
)

// VersionPeople gives the people of one version of that set: the same numbers
// in each version, with a word that names the version.
func VersionPeople(version uint64, n int) []Person {
	people := People(n, 1)
	for i := range people {
		people[i].Word = gate.Word(version & 0xfff)
	}
	return people
}

// NamePeople makes everything that is known about the people name step: their
// words, and the extras that one in ten gets.
func NamePeople(people []Person, step uint64) {
	day := BaseDay + gate.Day(step&0xfff)
	for i := range people {
		people[i].Word, people[i].More = gate.Word(step&0xfff), nil
		if i%10 == 0 {
			people[i].Word |= 1 << 15
			people[i].More = &gate.Extras{LastDose: day, Completed: day}
		}
	}
}

// Names says whether facts about the i-th of those people name step.
func Names(f gate.Facts, i int, step uint64) bool {
	day := BaseDay + gate.Day(step&0xfff)
	if !f.Found || uint64(f.Word)&0xfff != step&0xfff || f.HasExtras != (i%10 == 0) {
		return false
	}
	return !f.HasExtras || f.Extras == gate.Extras{LastDose: day, Completed: day}
}

// StagePeople is how many people each version of a stage child has.
const StagePeople = 20_000

// A stage child takes one step after the other. Each puts a version in force
// whose people name the step.
type stageKind struct {
	maxFile int64 // 0: one file
	// version gives the version of a step, stepOf the step of a version.
	version, stepOf func(uint64) uint64
}

const middle = 1 << 40

func same(n uint64) uint64 { return n }

var stageKinds = map[string]stageKind{
	// one newer version after the other
	"stage": {version: same, stepOf: same},
	// the same, in parts
	"parts": {maxFile: 256 << 10, version: same, stepOf: same},
	// forward and back by turns, in parts
	"back": {
		maxFile: 256 << 10,
		version: func(step uint64) uint64 {
			if step%2 == 0 {
				return middle + step
			}
			return middle - step
		},
		stepOf: func(version uint64) uint64 {
			if version >= middle {
				return version - middle
			}
			return middle - version
		},
	},
}

// StepOf gives the step that a version of a stage child of that role is.
func StepOf(role string, version uint64) uint64 { return stageKinds[role].stepOf(version) }

// StageOptions are those of the set of a stage child of that role.
func StageOptions(role, dir string) cache.SetsOptions {
	o := SetsOptions(dir)
	o.MaxFile = stageKinds[role].maxFile
	return o
}

// stageForEver puts one version after the other in force and prints "acked
// <step>" once each is.
func stageForEver(role, dir string) error {
	kind := stageKinds[role]
	s, err := cache.OpenSets(StageOptions(role, dir), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	step := uint64(0)
	if g, ok := s.Generation(SetName); ok {
		step = kind.stepOf(g.Version)
	}
	people := People(StagePeople, 1)
	v := Version{bodies: map[gate.Pseudonym][]byte{}}
	v.rows = rowsOf(Key(1), people)
	if err := block.Sort(v.rows); err != nil {
		return err
	}
	p := gate.NewPseudonymer(Key(1))
	fmt.Println("open", step)
	for {
		step++
		NamePeople(people, step)
		if err := v.name(people, p, kind.version(step)); err != nil {
			return err
		}
		w, err := s.StageBack(v.Generation)
		if err != nil {
			return err
		}
		if err := v.Write(w); err != nil {
			return err
		}
		fmt.Println("acked", step)
	}
}

// name makes the version hold what is known about the same people now.
func (v *Version) name(people []Person, p *gate.Pseudonymer, version uint64) error {
	clear(v.bodies)
	words := make(map[gate.Pseudonym]gate.Word, len(people))
	for _, person := range people {
		who := p.Of(person.Number)
		words[who] = person.Word
		if person.More != nil {
			body, err := block.EncodeExtras(*person.More, BaseDay, Lists)
			if err != nil {
				return err
			}
			v.bodies[who] = body
		}
	}
	for i := range v.rows {
		v.rows[i].Word = words[v.rows[i].Person]
	}
	return v.describe(SetName, version, SetKeyID, block.WidthCheck)
}

// SetsOptions are those of the set of stage children.
func SetsOptions(dir string) cache.SetsOptions {
	return cache.SetsOptions{
		Dir: dir, Check: Check, Reserve: 1,
		Sets: []cache.SetKey{{Name: SetName, KeyID: SetKeyID, Key: Key(1), HasKey: true}},
	}
}

// BuildCost is what it takes to build a version.
type BuildCost struct {
	People  uint64
	Bytes   int64 // of the files
	Written int64 // passed to write calls
	Peak    int64 // anonymous memory of the whole process, at most
}

// build builds a crowd and tells what it took.
func build(c Crowd, dir string) (cost BuildCost, err error) {
	debug.SetGCPercent(100)
	g, err := c.Describe(1)
	if err != nil {
		return cost, err
	}
	s, err := cache.OpenSets(SetsOptions(dir), slog.New(slog.DiscardHandler))
	if err != nil {
		return cost, err
	}
	before, err := Written()
	if err != nil {
		return cost, err
	}
	w, err := s.Stage(g)
	if err != nil {
		return cost, err
	}
	n := 0
	err = c.Each(g.Blocks, func(no uint64, value, extras []byte) error {
		if n++; n%512 == 0 {
			anon, err := Anonymous()
			if err != nil {
				return err
			}
			cost.Peak = max(cost.Peak, anon)
		}
		return w.Block(no, value, extras)
	})
	if err != nil {
		return cost, err
	}
	if err := w.Commit(); err != nil {
		return cost, err
	}
	anon, err := Anonymous()
	if err != nil {
		return cost, err
	}
	after, err := Written()
	cost.Peak = max(cost.Peak, anon)
	cost.People, cost.Bytes, cost.Written = g.People, s.Status()[0].Bytes, after-before
	return cost, errors.Join(err, s.Close())
}
