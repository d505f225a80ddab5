package wire

import (
	"flag"
	"math"
	"math/rand/v2"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// people is how many the measurements are made with.
var people = flag.Int("people", 1_000_000, "people in the measured set")

// population makes a set of fictional people, block by block, without holding
// it: pseudonyms are spread evenly, so that the next is an exponential distance
// away.
type population struct {
	n, blocks uint64
	width     int
	rnd       *rand.Rand
	word      func(*rand.Rand) gate.Word
	extras    func(*rand.Rand) []byte // of a word with the flag; nil: none

	words map[gate.Word]uint64 // how often each came
	flags uint64
	body  uint64 // bytes of bodies
}

func newPopulation(n int, width int) *population {
	return &population{
		n: uint64(n), blocks: block.Blocks(uint64(n)), width: width, rnd: rand.New(rand.NewPCG(1, 2)), word: realWord,
		words: make(map[gate.Word]uint64),
	}
}

// each gives the blocks in order; value and extras are only good until f
// returns.
func (p *population) each(f func(no uint64, value, extras []byte) error) error {
	var value, extras []byte
	var no, lastRem uint64
	step := math.Exp2(64) / float64(p.n)
	at := 0.0
	for {
		at += p.rnd.ExpFloat64() * step
		if at >= math.Exp2(64) {
			break
		}
		b, rem := block.Place(gate.Pseudonym(uint64(at)|p.rnd.Uint64()&0xfff), p.blocks)
		if b != no {
			if len(value) > 0 {
				if err := f(no, value, extras); err != nil {
					return err
				}
			}
			no, value, extras = b, value[:0], extras[:0]
		} else if len(value) > 0 && rem <= lastRem {
			continue
		}
		lastRem = rem
		w := p.word(p.rnd)
		value = append(value, byte(rem>>32), byte(rem>>24), byte(rem>>16), byte(rem>>8), byte(rem), byte(w>>8), byte(w))
		if p.width == widthCheck {
			c := uint16(p.rnd.Uint32())
			value = append(value, byte(c>>8), byte(c))
		}
		p.words[w]++
		if w.Extras() && p.extras != nil {
			body := p.extras(p.rnd)
			extras = block.AppendExtras(extras, rem, body)
			p.flags++
			p.body += uint64(len(body))
		}
	}
	return f(no, value, extras)
}

// people gives how many there were, and the order-0 entropy of their words in
// bits.
func (p *population) measured() (n uint64, entropy float64) {
	for _, c := range p.words {
		n += c
	}
	for _, c := range p.words {
		entropy -= float64(c) * math.Log2(float64(c)/float64(n))
	}
	return n, entropy / float64(n)
}

// realWord draws a fact word as a population has them in the second year of a
// campaign: nine in ten have completed their series, on days that came in two
// waves and fewer on Sundays; its entropy is about 8 bits (STORE §5).
func realWord(r *rand.Rand) gate.Word {
	const year = 366 // the base day lies a year and more before the campaign
	wave := func(mid, spread float64) int {
		for {
			d := int(mid + r.NormFloat64()*spread)
			if d >= year && d < 2*year+60 && (d%7 != 3 || r.IntN(2) == 0) {
				return d
			}
		}
	}
	kind, day := gate.FactCompleted, 0
	switch x := r.IntN(1000); {
	case x < 600:
		day = wave(590, 35)
	case x < 915:
		day = wave(660, 30)
	case x < 970:
		kind, day = gate.FactBegun, wave(650, 40)
	case x < 985:
		kind, day = gate.FactRecovered, wave(620, 60)
	case x < 990:
		kind, day = gate.FactPositive, wave(720, 10)
	case x < 994:
		kind, day = gate.FactQuarantine, wave(735, 6)
	default:
		kind = gate.FactNothing
	}
	return gate.Word(kind)<<12 | gate.Word(day)
}

// withExtras draws a word as realWord does, with the extras flag for one in
// ten.
func withExtras(r *rand.Rand) gate.Word {
	w := realWord(r)
	if r.IntN(10) == 0 {
		w |= extrasFlag
	}
	return w
}

// realExtras makes the body of an entry: two doses; for a third a test as well.
func realExtras(r *rand.Rand) []byte {
	base := gate.Date{Year: 2020, Month: 1, DayOfMonth: 1}.Day()
	var e gate.Extras
	e.Completed = base + gate.Day(realWord(r).Offset())
	e.FirstDose = e.Completed - gate.Day(21+r.IntN(40))
	if r.IntN(3) == 0 {
		e.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: gate.Minute(uint32(base+730)*1440 + r.Uint32N(4*1440))})
	}
	body, err := block.EncodeExtras(e, base, nil)
	if err != nil {
		panic(err) // it is of this file's own making
	}
	return body
}
