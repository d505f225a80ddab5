package snapshot

import (
	"gateagent/agent/gate"
	"gateagent/sync/wire"
)

// target is what the newest manifest that was taken wants.
type target struct {
	m   wire.Manifest
	gen gate.Generation // the base that it names
}

// ref gives what the manifest says of delta n; nil when it names none.
func (t *target) ref(n uint64) *wire.DeltaRef {
	if t == nil {
		return nil
	}
	list := t.m.Deltas
	if len(list) == 0 || n < list[0].N || n-list[0].N >= uint64(len(list)) {
		return nil
	}
	return &list[n-list[0].N] // they ascend without a gap
}

// situation is all that the next step depends on.
type situation struct {
	// What is in force; Version 0: nothing.
	have gate.Generation
	// The whole version from which it has grown.
	base   uint64
	digest [32]byte
	// What is wanted; nil: no manifest has been taken yet.
	want *target
	// Deltas that were verified and not applied yet, by number.
	arrived map[uint64]*delta
	// Numbers of deltas that could not be had or were of no use.
	lacking map[uint64]bool
	// The base that could not be built here, of want.
	foreign bool
	// toFetch gives the bytes of want's chunks that are not here yet.
	toFetch func() int64
}

// stepKind is what to do next.
type stepKind uint8

const (
	stepNone   stepKind = iota
	stepVouch           // record the newer manifest
	stepRead            // read delta n, without applying it yet
	stepDelta           // read delta n if need be, and apply it
	stepRebase          // build the base of the manifest from what is here
	stepBase            // fetch the base of the manifest
	stepMisfit          // nothing leads from here to there
)

// step is one step on the way to what is wanted. After each the situation is
// looked at anew, so that an interruption costs no more than the step.
type step struct {
	kind stepKind
	n    uint64 // of stepRead, stepDelta
	back bool   // of stepBase: its version is below the one in force
}

// next says what to do. It chooses the way on which fewer bytes come.
func (s *situation) next() step {
	t := s.want
	if s.have.Version == 0 {
		if t == nil {
			return step{}
		}
		return step{kind: stepBase}
	}
	n := s.have.Version + 1
	if s.takenBack() {
		return step{kind: stepBase, back: true}
	}
	if s.fits(n) {
		return step{kind: stepDelta, n: n}
	}
	switch {
	case t == nil || t.m.Ver < s.have.Version:
	case s.onBase(t):
		if t.m.Ver > s.have.Version {
			return step{kind: stepDelta, n: n}
		}
		if t.gen.Issued.After(s.have.Issued) {
			return step{kind: stepVouch}
		}
	default:
		return s.otherBase(t)
	}
	if s.gap() && !s.lacking[n] {
		return step{kind: stepDelta, n: n}
	}
	return step{}
}

// takenBack says whether the manifest takes the version in force back.
func (s *situation) takenBack() bool {
	t := s.want
	return t != nil && t.m.Ver < s.have.Version && t.m.BackFrom >= s.have.Version && t.gen.Issued.After(s.have.Issued)
}

// onBase says whether the manifest goes on from the base that is here.
func (s *situation) onBase(t *target) bool {
	return t.gen.Version == s.base && t.gen.Digest == s.digest
}

// fits says whether delta n is here and applies to what is in force.
func (s *situation) fits(n uint64) bool {
	d := s.arrived[n]
	return d != nil && !s.lacking[n] && n == s.have.Version+1 && d.on(s.base, s.digest)
}

// gap says whether a delta has come that cannot be applied for want of those
// before it, which no manifest names yet.
func (s *situation) gap() bool {
	for n, d := range s.arrived {
		if n > s.have.Version+1 && d.on(s.base, s.digest) {
			return true
		}
	}
	return false
}

// otherBase finds the way to a manifest with another base.
func (s *situation) otherBase(t *target) step {
	base := t.gen.Version
	switch {
	case base == s.have.Version && !s.foreign:
		return step{kind: stepRebase}
	case base == s.have.Version:
		return step{kind: stepBase}
	case base < s.have.Version:
		// The base is older than what is in force; with its deltas it is not.
		// They must be here first, so that the box is not left behind.
		for n := base + 1; n <= t.m.Ver; n++ {
			if s.lacking[n] {
				return step{kind: stepMisfit}
			}
			if s.arrived[n] == nil {
				return step{kind: stepRead, n: n}
			}
		}
		return step{kind: stepBase, back: true}
	}
	whole := s.toFetch()
	var cost int64
	var unread uint64
	for n := s.have.Version + 1; n <= base; n++ {
		ref, d := t.ref(n), s.arrived[n]
		switch {
		case ref == nil || ref.Base != s.base || s.lacking[n]:
			return step{kind: stepBase}
		case d == nil:
			cost += int64(ref.Size) // its chunks are not known yet
			if unread == 0 {
				unread = n
			}
		case !d.on(s.base, s.digest):
			return step{kind: stepBase}
		default:
			cost += d.size()
		}
		if cost > whole {
			return step{kind: stepBase}
		}
	}
	if unread != 0 {
		return step{kind: stepRead, n: unread}
	}
	return step{kind: stepDelta, n: s.have.Version + 1}
}
