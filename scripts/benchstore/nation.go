package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"sync"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// nation is a made-up people of any size. Everything about person i follows
// from i, so that nothing but pseudonyms has to be kept.
type nation struct {
	size uint64
	key  gate.Key
	base gate.Day
}

func newNation(size uint64) nation {
	key := gate.Key{}
	for i := range key {
		key[i] = byte(i*7 + 1)
	}
	return nation{size: size, key: key, base: gate.Date{Year: 2020, Month: 1, DayOfMonth: 1}.Day()}
}

// number gives the personal number of person i: all different, in no order.
func (n nation) number(i uint64) gate.Number {
	const numbers = 1_000_000_000_000
	hi, lo := bits.Mul64(i, 618_033_988_751) // prime to 10, so no two meet
	_, rest := bits.Div64(hi, lo, numbers)
	return gate.Number(fmt.Sprintf("%012d", rest))
}

// mix scatters a pseudonym, for what is drawn for the person.
func mix(x uint64) uint64 {
	x ^= x >> 31
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return x ^ x>>32
}

// word draws what is known about the person: most have completed the series
// on a day of the past ten months, more often in their middle (STORE §1 has
// much the same entropy, 7.95 bits).
func (n nation) word(p gate.Pseudonym) gate.Word {
	r := mix(uint64(p) + 1)
	day := func(first, span uint64) gate.Day {
		a, b := mix(r)%span, mix(r+1)%span
		return n.base + gate.Day(first+(a+b)/2)
	}
	kind, on := gate.FactCompleted, n.base
	switch draw := r % 1000; {
	case draw < 740:
		on = day(440, 300)
	case draw < 800:
		kind, on = gate.FactBegun, day(640, 100)
	case draw < 870:
		kind, on = gate.FactRecovered, day(520, 220)
	case draw < 880:
		kind, on = gate.FactPositive, day(730, 20)
	case draw < 885:
		kind, on = gate.FactQuarantine, day(735, 20)
	default:
		kind = gate.FactNothing
	}
	w, err := gate.NewWord(kind, on, n.base, false)
	if err != nil {
		panic(err) // all days lie within two years of the base
	}
	return w
}

func checkBits(p gate.Pseudonym) uint16 { return uint16(mix(uint64(p)+2)%65535) + 1 }

// extras draws what one person in ten has beside the word: nil for the others.
func (n nation) extras(p gate.Pseudonym) (gate.Extras, bool) {
	r := mix(uint64(p) + 3)
	if r%10 != 0 {
		return gate.Extras{}, false
	}
	var e gate.Extras
	day := n.base + gate.Day(400+mix(r)%300)
	e.FirstDose, e.LastDose = day, day+gate.Day(21+mix(r+1)%60)
	for i := range mix(r+2) % 3 {
		e.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: gate.Minute(27_300_000 + mix(r+3+i)%40_000)})
	}
	if r>>8%4 == 0 {
		e.AddList(gate.Membership{List: "staff", Window: gate.Window{To: day + 400}})
	}
	return e, true
}

// lists are the list names of the set.
var lists = []string{"staff", "visitor", "deny"}

// writePseudonyms computes the pseudonyms of all people, on all cores, and
// writes them in ascending order, 8 bytes each.
func (n nation) writePseudonyms(path string, tell func(done uint64)) error {
	all := make([]uint64, n.size)
	var wg sync.WaitGroup
	workers := uint64(runtime.NumCPU())
	step := (n.size + workers - 1) / workers
	for w := range workers {
		wg.Go(func() {
			mac := gate.NewPseudonymer(n.key)
			from, to := w*step, min((w+1)*step, n.size)
			for i := from; i < to; i++ {
				all[i] = uint64(mac.Of(n.number(i)))
				if w == 0 && i%1_000_000 == 0 {
					tell(i * workers)
				}
			}
			slices.Sort(all[min(from, to):to])
		})
	}
	wg.Wait()
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	parts := make([][]uint64, 0, workers)
	for w := range workers {
		if from, to := w*step, min((w+1)*step, n.size); from < to {
			parts = append(parts, all[from:to])
		}
	}
	var buf [8]byte
	for range n.size {
		least := 0
		for i := range parts {
			if len(parts[i]) > 0 && (len(parts[least]) == 0 || parts[i][0] < parts[least][0]) {
				least = i
			}
		}
		binary.BigEndian.PutUint64(buf[:], parts[least][0])
		parts[least] = parts[least][1:]
		if _, err := out.Write(buf[:]); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// eachPseudonym reads them back.
func eachPseudonym(path string, each func(p gate.Pseudonym) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<20)
	var buf [8]byte
	for {
		if _, err := io.ReadFull(in, buf[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(gate.Pseudonym(binary.BigEndian.Uint64(buf[:]))); err != nil {
			return err
		}
	}
}

// shape is what a version of the nation carries.
type shape struct {
	check, extras bool
}

func (s shape) width() int {
	if s.check {
		return block.WidthCheck
	}
	return block.Width
}

// pack streams a version block by block.
func (n nation) pack(path string, s shape, emit func(no uint64, value, extras []byte) error) error {
	p := block.NewPacker(block.Blocks(n.size), s.width(), emit)
	err := eachPseudonym(path, func(who gate.Pseudonym) error {
		row := block.Row{Person: who, Word: n.word(who)}
		if s.check {
			row.Check = checkBits(who)
		}
		var body []byte
		if s.extras {
			if e, ok := n.extras(who); ok {
				var err error
				if body, err = block.EncodeExtras(e, n.base, lists); err != nil {
					return err
				}
				row.Word |= 1 << 15
			}
		}
		return p.Add(row, body)
	})
	if err != nil {
		return err
	}
	return p.Flush()
}

// describe gives the generation of a version, for which all blocks have to be
// packed once.
func (n nation) describe(path string, s shape) (gate.Generation, error) {
	g := gate.Generation{
		Set: setName, Version: 1, Blocks: block.Blocks(n.size), Width: s.width(), KeyID: keyID, BaseDay: n.base, Lists: lists,
	}
	digest := block.NewDigest()
	err := n.pack(path, s, func(no uint64, value, extras []byte) error {
		digest.Add(no, value)
		digest.AddExtras(no, extras)
		g.People += uint64(len(value) / s.width())
		for range block.AllExtras(extras) {
			g.Extras++
		}
		return nil
	})
	g.Digest = digest.Sum()
	return g, err
}

// entropy counts words and gives the bits that one of them carries.
type entropy struct {
	counts [1 << 16]uint64
	n      uint64
}

func (e *entropy) add(w gate.Word) { e.counts[w]++; e.n++ }

func (e *entropy) bits() float64 {
	sum := 0.0
	for _, c := range e.counts {
		if c > 0 {
			p := float64(c) / float64(e.n)
			sum -= p * math.Log2(p)
		}
	}
	return sum
}
