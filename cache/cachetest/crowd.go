package cachetest

import (
	"iter"
	"math"
	"math/rand/v2"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// Crowd is a people of any size that is never held in memory: pseudonyms drawn
// in ascending order, spread as evenly as a keyed hash spreads them. Nobody in
// it has a number, so it is good for files, not for lookups.
type Crowd struct {
	Size   int // about so many people
	Seed   uint64
	Width  int
	Extras bool // one in ten has extras, as [Mixed] draws them
}

// Rows gives the people with the bodies of their extras.
func (c Crowd) Rows() iter.Seq2[block.Row, []byte] {
	return func(yield func(block.Row, []byte) bool) {
		r := rand.New(rand.NewPCG(c.Seed, 5))
		mean := math.Ldexp(1, 64) / float64(c.Size)
		for at := uint64(0); ; {
			gap := 1 + uint64(r.ExpFloat64()*mean)
			if at+gap < at {
				return
			}
			at += gap
			row := block.Row{Person: gate.Pseudonym(at), Word: randomWord(r), Check: uint16(1 + r.UintN(65535))}
			var body []byte
			if c.Extras {
				if e := draw(r); e != nil {
					var err error
					if body, err = block.EncodeExtras(*e, BaseDay, Lists); err != nil {
						panic(err) // what is drawn fits
					}
					row.Word |= 1 << 15
				}
			}
			if !yield(row, body) {
				return
			}
		}
	}
}

// Each hands over the blocks of the crowd in order.
func (c Crowd) Each(blocks uint64, emit func(no uint64, value, extras []byte) error) error {
	p := block.NewPacker(blocks, c.Width, emit)
	for row, body := range c.Rows() {
		if err := p.Add(row, body); err != nil {
			return err
		}
	}
	return p.Flush()
}

// Describe gives the generation of the crowd, for which it is drawn twice.
func (c Crowd) Describe(version uint64) (gate.Generation, error) {
	g := gate.Generation{
		Set: SetName, Version: version, KeyID: SetKeyID, Width: c.Width, BaseDay: BaseDay,
		Issued: time.UnixMilli(1_760_000_000_000).UTC(), Manifest: []byte("manifest"),
	}
	for _, body := range c.Rows() {
		g.People++
		if body != nil {
			g.Extras++
		}
	}
	if g.Extras > 0 {
		g.Lists = Lists
	}
	g.Blocks = block.Blocks(g.People)
	digest := block.NewDigest()
	err := c.Each(g.Blocks, func(no uint64, value, extras []byte) error {
		digest.Add(no, value)
		digest.AddExtras(no, extras)
		return nil
	})
	g.Digest = digest.Sum()
	return g, err
}
