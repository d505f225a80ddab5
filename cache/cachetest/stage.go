package cachetest

import (
	"fmt"
	"log/slog"

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

// StagePeople is how many people each version of a stage child has.
const StagePeople = 20_000

// stageForEver publishes one version after the other and prints "acked
// <version>" once it is in force.
func stageForEver(dir string) error {
	s, err := cache.OpenSets(SetsOptions(dir), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	version := uint64(0)
	if g, ok := s.Generation(SetName); ok {
		version = g.Version
	}
	fmt.Println("open", version)
	key := Key(1)
	rows := make([]block.Row, 0, StagePeople)
	p := gate.NewPseudonymer(key)
	for _, person := range VersionPeople(0, StagePeople) {
		rows = append(rows, block.Row{Person: p.Of(person.Number)})
	}
	if err := block.Sort(rows); err != nil {
		return err
	}
	for {
		version++
		for i := range rows {
			rows[i].Word = gate.Word(version & 0xfff)
		}
		if err := Load(s, Describe(SetName, version, SetKeyID, rows), rows); err != nil {
			return err
		}
		fmt.Println("acked", version)
	}
}

// SetsOptions are those of the set of stage children.
func SetsOptions(dir string) cache.SetsOptions {
	return cache.SetsOptions{
		Dir: dir, Check: Check, Reserve: 1,
		Sets: []cache.SetKey{{Name: SetName, KeyID: SetKeyID, Key: Key(1), HasKey: true}},
	}
}
