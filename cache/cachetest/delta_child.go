package cachetest

import (
	"fmt"
	"log/slog"

	"gateagent/cache"
	"gateagent/cache/block"
)

// What the children do that change a set from version to version: apply deltas,
// fold each into the file, build each version from the one before, or take
// whole ones between deltas.
const (
	RoleDelta  = "delta"
	RoleFold   = "fold"
	RoleRebase = "rebase"
	RoleSwitch = "switch"
)

// NewDeltaWorld makes the world of these children.
func NewDeltaWorld() *World { return NewWorld(4000, block.WidthCheck, 11) }

// DeltaOptions are those of the sets of such a child.
func DeltaOptions(dir, role string) cache.SetsOptions {
	o := SetsOptions(dir)
	if role == RoleFold {
		o.FoldBytes = 1
	}
	return o
}

// deltasForEver brings one version after the other into force and prints "acked
// <version>" once it is.
func deltasForEver(dir, role string) error {
	s, err := cache.OpenSets(DeltaOptions(dir, role), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	w := NewDeltaWorld()
	if base, _, ok := s.Base(SetName); ok {
		w.Advance(base)
		w.Rebase()
		g, _ := s.Generation(SetName)
		w.Advance(g.Version)
	} else if err := w.Load(s); err != nil {
		return err
	}
	fmt.Println("open", w.Version)
	for {
		d, changes := w.Step()
		if role == RoleSwitch && w.Version%2 == 0 {
			if err := w.Load(s); err != nil {
				return err
			}
		} else if err := Apply(s, d, changes); err != nil {
			return err
		}
		fmt.Println("acked", w.Version)
		if role != RoleRebase {
			continue
		}
		switch done, err := s.Rebase(w.Generation()); {
		case err != nil:
			return err
		case !done:
			return fmt.Errorf("version %d came out as another one", w.Version)
		}
		w.Rebase()
	}
}
