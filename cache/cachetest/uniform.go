package cachetest

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
)

// Uniform is a set of any size that is nowhere in memory: each of its blocks has
// the same 62 remainders. Nobody can be looked up in it; it is for measuring
// what deltas cost.
type Uniform struct {
	Blocks uint64
	Width  int
}

// Generation describes version 1, the base.
func (u Uniform) Generation() gate.Generation {
	g := gate.Generation{
		Set: SetName, Version: 1, KeyID: SetKeyID, People: u.Blocks * block.PerBlock, Blocks: u.Blocks, Width: u.Width,
		BaseDay: BaseDay, Issued: Issued(1), Manifest: []byte("manifest 1"),
	}
	digest := block.NewDigest()
	_ = u.each(func(no uint64, value, _ []byte) error { digest.Add(no, value); return nil })
	g.Digest = digest.Sum()
	return g
}

func (u Uniform) each(emit func(no uint64, value, extras []byte) error) error {
	const gap = 1 << 40 / block.PerBlock
	value := make([]byte, 0, block.PerBlock*u.Width)
	for no := range u.Blocks {
		value = value[:0]
		for i := range uint64(block.PerBlock) {
			value = block.AppendRecord(value, u.Width, i*gap, gate.Word(no+i)&0x5fff, uint16(no))
		}
		if err := emit(no, value, nil); err != nil {
			return err
		}
	}
	return nil
}

// Load puts version 1 in force.
func (u Uniform) Load(s Stager) (gate.Generation, error) {
	g := u.Generation()
	w, err := s.Stage(g)
	if err != nil {
		return g, err
	}
	if err := u.each(w.Block); err != nil {
		return g, err
	}
	return g, w.Commit()
}

// Apply makes version n: so many people, spread evenly, get another word.
func (u Uniform) Apply(s Applier, base gate.Generation, n uint64, changes int) error {
	each := func(do func(gate.Change) error) error {
		r := rand.New(rand.NewPCG(n, 5))
		step := base.People / uint64(changes)
		for i := range changes {
			at := uint64(i)*step + r.Uint64N(step)
			if err := do(gate.Change{Block: at / block.PerBlock, Place: int(at % block.PerBlock), Word: gate.Word(r.UintN(0x6000)), Check: 7}); err != nil {
				return err
			}
		}
		return nil
	}
	return s.Apply(gate.Delta{
		Set: base.Set, N: n, Base: base.Version, BaseDigest: base.Digest,
		Issued: Issued(n), Changes: uint64(changes), People: base.People,
	}, each)
}

// LargeDelta is how many changes the child of [MeasureLargeDelta] applies in
// one: half a percent of 98 million people.
const LargeDelta = 490_000

// LargeOptions are those of the sets of that child, which fold or never do.
func LargeOptions(dir string, fold bool) cache.SetsOptions {
	o := SetsOptions(dir)
	if o.FoldBytes = 1 << 30; fold {
		o.FoldBytes = 1
	}
	return o
}

// MeasureLargeDelta applies one large delta to the Uniform set in dir in a child
// process, which folds it if told so, and gives how much anonymous memory that
// had at most, in bytes.
func MeasureLargeDelta(dir string, fold bool) (int64, error) {
	role := "large"
	if fold {
		role = "large-fold"
	}
	cmd := child(context.Background(), role, dir)
	out, err := cmd.CombinedOutput()
	var peak int64
	if _, serr := fmt.Sscanf(string(out), "peak %d", &peak); err != nil || serr != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return peak, nil
}

func largeDelta(dir string, fold bool) error {
	s, err := cache.OpenSets(LargeOptions(dir, fold), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	base, ok := s.Generation(SetName)
	if !ok {
		return fmt.Errorf("no set: %+v", s.Status())
	}
	stop := make(chan struct{})
	var peak int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			if now, err := Anonymous(); err == nil {
				peak = max(peak, now)
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	u := Uniform{Blocks: base.Blocks, Width: base.Width}
	next := base.Version + 1
	base.Version, _, _ = s.Base(SetName)
	err = u.Apply(s, base, next, LargeDelta)
	close(stop)
	wg.Wait()
	if folded := s.Status()[0].Overlay == 0; err == nil && folded != fold {
		err = fmt.Errorf("folded: %v", folded)
	}
	if err == nil {
		fmt.Println("peak", peak)
	}
	return err
}
