package snapshot

import (
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/wire"
)

// TestNext: what is done next, and on which way fewer bytes come.
func TestNext(t *testing.T) {
	d3, d9 := [32]byte{3}, [32]byte{9}
	at := func(s int) time.Time { return issued.Add(time.Duration(s) * time.Second) }
	arrived := func(base uint64, digest [32]byte, size int, ns ...uint64) map[uint64]*delta {
		m := make(map[uint64]*delta)
		for _, n := range ns {
			m[n] = &delta{dom: gate.Delta{N: n, Base: base, BaseDigest: digest}, bytes: size}
		}
		return m
	}
	want := func(base uint64, digest [32]byte, ver uint64, issued time.Time, oldBase, from uint64, back uint64) *target {
		w := &target{gen: gate.Generation{Version: base, Digest: digest, Issued: issued}}
		w.m.Ver, w.m.BackFrom = ver, back
		for n := from; n <= ver; n++ {
			ref := wire.DeltaRef{N: n, Base: base, Size: 100}
			if n <= base {
				ref.Base = oldBase
			}
			w.m.Deltas = append(w.m.Deltas, ref)
		}
		return w
	}
	for name, c := range map[string]struct {
		version uint64 // in force, on base 3
		s       situation
		whole   int64
		next    step
	}{
		"nothing, nothing wanted":     {0, situation{}, 0, step{}},
		"nothing":                     {0, situation{want: want(3, d3, 3, at(1), 0, 4, 0)}, 1, step{kind: stepBase}},
		"in step":                     {5, situation{want: want(3, d3, 5, at(0), 0, 4, 0)}, 1, step{}},
		"a newer word":                {5, situation{want: want(3, d3, 5, at(1), 0, 4, 0)}, 1, step{kind: stepVouch}},
		"ahead of the manifest":       {6, situation{want: want(3, d3, 5, at(1), 0, 4, 0)}, 1, step{}},
		"a delta is missing":          {5, situation{want: want(3, d3, 6, at(1), 0, 4, 0)}, 1, step{kind: stepDelta, n: 6}},
		"one has come":                {5, situation{arrived: arrived(3, d3, 9, 6)}, 1, step{kind: stepDelta, n: 6}},
		"one of another base":         {5, situation{arrived: arrived(3, d9, 9, 6)}, 1, step{}},
		"one too far":                 {5, situation{arrived: arrived(3, d3, 9, 7)}, 1, step{kind: stepDelta, n: 6}},
		"one too far, in vain":        {5, situation{arrived: arrived(3, d3, 9, 7), lacking: map[uint64]bool{6: true}}, 1, step{}},
		"a new base of this version":  {9, situation{want: want(9, d9, 9, at(1), 3, 4, 0)}, 1, step{kind: stepRebase}},
		"that is not built here":      {9, situation{want: want(9, d9, 9, at(1), 3, 4, 0), foreign: true}, 1, step{kind: stepBase}},
		"a new base, deltas unread":   {7, situation{want: want(9, d9, 9, at(1), 3, 4, 0)}, 500, step{kind: stepRead, n: 8}},
		"a new base, deltas cheaper":  {7, situation{want: want(9, d9, 9, at(1), 3, 4, 0), arrived: arrived(3, d3, 200, 8, 9)}, 500, step{kind: stepDelta, n: 8}},
		"a new base, one delta here":  {7, situation{want: want(9, d9, 9, at(1), 3, 4, 0), arrived: arrived(3, d3, 200, 9)}, 500, step{kind: stepRead, n: 8}},
		"a new base, deltas dearer":   {6, situation{want: want(9, d9, 9, at(1), 3, 4, 0), arrived: arrived(3, d3, 200, 8, 9)}, 450, step{kind: stepBase}},
		"a new base, half of it here": {7, situation{want: want(9, d9, 9, at(1), 3, 4, 0)}, 150, step{kind: stepBase}},
		"a new base, a delta lacking": {7, situation{want: want(9, d9, 9, at(1), 3, 4, 0), lacking: map[uint64]bool{9: true}}, 500, step{kind: stepBase}},
		"deltas of another lineage":   {7, situation{want: want(9, d9, 9, at(1), 4, 5, 0)}, 500, step{kind: stepBase}},
		"deltas that begin too late":  {5, situation{want: want(9, d9, 9, at(1), 3, 8, 0)}, 500, step{kind: stepBase}},
		"taken back":                  {9, situation{want: want(3, d3, 5, at(1), 0, 4, 9)}, 1, step{kind: stepBase, back: true}},
		"taken back, not so far":      {9, situation{want: want(3, d3, 5, at(1), 0, 4, 8)}, 1, step{}},
		"taken back, an older word":   {9, situation{want: want(3, d3, 5, at(-1), 0, 4, 9)}, 1, step{}},
		"taken back, a delta came":    {9, situation{want: want(3, d3, 5, at(1), 0, 4, 9), arrived: arrived(3, d3, 9, 10)}, 1, step{kind: stepBase, back: true}},
		"an older base, unread":       {7, situation{want: want(5, d9, 8, at(1), 3, 4, 0)}, 1, step{kind: stepRead, n: 6}},
		"an older base, all read":     {7, situation{want: want(5, d9, 8, at(1), 3, 4, 0), arrived: arrived(5, d9, 9, 6, 7, 8)}, 1, step{kind: stepBase, back: true}},
		"an older base, lacking":      {7, situation{want: want(5, d9, 8, at(1), 3, 4, 0), lacking: map[uint64]bool{6: true}}, 1, step{kind: stepMisfit}},
	} {
		s := c.s
		if c.version > 0 {
			s.have = gate.Generation{Version: c.version, Issued: at(0)}
			s.base, s.digest = 3, d3
		}
		s.toFetch = func() int64 { return c.whole }
		if got := s.next(); got != c.next {
			t.Errorf("%s: %+v, want %+v", name, got, c.next)
		}
	}
}
