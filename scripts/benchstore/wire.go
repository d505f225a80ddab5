package main

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/sync/wire"
)

// onWire is what a set costs on its way to a box, in bytes.
type onWire struct {
	People, Chunks  uint64
	Bare            uint64 // all words the same: what pseudonyms cost
	Words           uint64 // with the words, without check bits
	Checked         uint64 // with check bits as well
	Entropy         float64
	DeltaChanges    uint64
	Delta, DeltaDay uint64 // one message a day; 288 of them, documents included
	DayMessages     uint64
}

// measureWire codes the whole set three times.
func (n nation) measureWire(path string) (onWire, error) {
	var o onWire
	var words entropy
	code := func(s shape, bare bool) (bytes, chunks uint64, err error) {
		w := wire.NewChunkWriter(wire.CodingColumns, s.width(), block.Blocks(n.size), 0, func(c wire.Chunk, body []byte) error {
			bytes += uint64(len(body))
			chunks++
			return nil
		})
		var plain []byte
		err = n.pack(path, s, func(no uint64, value, extras []byte) error {
			if !bare {
				return w.Block(no, value, extras)
			}
			plain = plain[:0]
			for i := range len(value) / s.width() {
				rem, word, _ := block.At(value, s.width(), i)
				words.add(word)
				plain = block.AppendRecord(plain, s.width(), rem, 0, 0)
			}
			return w.Block(no, plain, nil)
		})
		if err == nil {
			err = w.Close()
		}
		return bytes, chunks, err
	}
	var err error
	if o.Bare, _, err = code(shape{}, true); err != nil {
		return o, err
	}
	if o.Words, o.Chunks, err = code(shape{}, false); err != nil {
		return o, err
	}
	if o.Checked, _, err = code(shape{check: true}, false); err != nil {
		return o, err
	}
	o.People, o.Entropy = words.n, words.bits()
	return o, n.measureDeltas(path, &o)
}

// changesADay is which share of a nation has something new on a day.
const changesADay = 0.005

// deltaMessages is how often a day central may send them: every five minutes.
const deltaMessages = 288

// measureDeltas codes a day's changes in one message and in many.
func (n nation) measureDeltas(path string, o *onWire) error {
	all, err := n.changes(path, changesADay)
	if err != nil {
		return err
	}
	o.DeltaChanges = uint64(len(all))
	if o.Delta, err = sizeOf(all); err != nil {
		return err
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for part := range slices.Chunk(all, (len(all)+deltaMessages-1)/deltaMessages) {
		slices.SortFunc(part, wire.CompareChanges)
		size, err := sizeOf(part)
		if err != nil {
			return err
		}
		o.DeltaDay += size
		o.DayMessages++
	}
	return nil
}

// sizeOf gives the bytes of a delta: its document, signed, and what that names.
func sizeOf(changes []gate.Change) (uint64, error) {
	pieces, err := wire.EncodeChanges(changes, block.Width)
	if err != nil {
		return 0, err
	}
	doc := wire.DeltaDoc{
		Aud: setName, N: 2, Iat: 1_700_000_000, Exp: 1_700_600_000, Base: 1, BaseDigest: fmt.Sprintf("%064x", 1),
		Coding: wire.CodingChanges, Count: uint64(len(changes)), People: uint64(len(changes)),
	}
	messages := doc.PutChanges(pieces, uint64(len(changes)))
	payload, err := doc.Marshal()
	if err != nil {
		return 0, err
	}
	const header, signature = 80, 86 // of a JWS, with both dots
	size := uint64(header + (len(payload)*4+2)/3 + signature)
	for _, m := range messages {
		size += uint64(len(m))
	}
	return size, nil
}

// changes draws which people have something new, one in ten of them removed or
// added, in the order of the set.
func (n nation) changes(path string, share float64) ([]gate.Change, error) {
	rnd := rand.New(rand.NewPCG(7, 7))
	var out []gate.Change
	blocks := block.Blocks(n.size)
	err := n.pack(path, shape{}, func(no uint64, value, _ []byte) error {
		var added []gate.Change
		taken := map[uint64]bool{}
		for i := range len(value) / block.Width {
			if rnd.Float64() >= share {
				continue
			}
			c := gate.Change{Block: no, Place: i, Word: n.word(gate.Pseudonym(rnd.Uint64()))}
			switch rnd.IntN(20) {
			case 0:
				c.Gone, c.Word = true, 0
			case 1:
				rem := rnd.Uint64() >> 24
				if _, there := block.Find(value, block.Width, rem); there || taken[rem] {
					continue
				}
				taken[rem] = true
				c.Place, c.Rem = -1, rem
				added = append(added, c)
				continue
			}
			out = append(out, c)
		}
		slices.SortFunc(added, wire.CompareChanges)
		out = append(out, added...)
		if no >= blocks {
			return fmt.Errorf("block %d of %d", no, blocks)
		}
		return nil
	})
	return out, err
}
