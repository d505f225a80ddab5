package cachetest

import (
	"math/rand/v2"
	"testing"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// Lists are the list names of the versions made here.
var Lists = []string{"staff", "visitors", "watch"}

// Version is a whole version of a set with check bits or extras.
type Version struct {
	gate.Generation
	rows   []block.Row
	bodies map[gate.Pseudonym][]byte
}

// Make gives the version that holds people under key. Records have check bits
// when width is [block.WidthCheck]: those of [Person.Card].
func Make(t testing.TB, set string, version uint64, keyID string, key gate.Key, width int, people []Person) Version {
	t.Helper()
	v := Version{rows: Rows(t, key, people), bodies: map[gate.Pseudonym][]byte{}}
	p := gate.NewPseudonymer(key)
	for _, person := range people {
		if person.More == nil {
			continue
		}
		body, err := block.EncodeExtras(*person.More, BaseDay, Lists)
		if err != nil {
			t.Fatal(err)
		}
		v.bodies[p.Of(person.Number)] = body
	}
	if err := v.describe(set, version, keyID, width); err != nil {
		t.Fatal(err)
	}
	return v
}

// describe makes the generation fit the rows and bodies.
func (v *Version) describe(set string, version uint64, keyID string, width int) error {
	v.Generation = Describe(set, version, keyID, nil)
	v.People, v.Blocks, v.Width = uint64(len(v.rows)), block.Blocks(uint64(len(v.rows))), width
	if v.Extras = uint64(len(v.bodies)); v.Extras > 0 {
		v.Lists = Lists
	}
	digest := block.NewDigest()
	err := v.Each(func(no uint64, value, extras []byte) error {
		digest.Add(no, value)
		digest.AddExtras(no, extras)
		return nil
	})
	v.Digest = digest.Sum()
	return err
}

// Each hands over the blocks of the version in order.
func (v Version) Each(emit func(no uint64, value, extras []byte) error) error {
	p := block.NewPacker(v.Blocks, v.Width, emit)
	for _, r := range v.rows {
		if err := p.Add(r, v.bodies[r.Person]); err != nil {
			return err
		}
	}
	return p.Flush()
}

// Write gives the blocks of the version to a writer and commits.
func (v Version) Write(w gate.GenerationWriter) error {
	if err := v.Each(w.Block); err != nil {
		if aerr := w.Abort(); aerr != nil {
			return aerr
		}
		return err
	}
	return w.Commit()
}

// Load stages the version and commits it.
func (v Version) Load(s Stager) error {
	w, err := s.Stage(v.Generation)
	if err != nil {
		return err
	}
	return v.Write(w)
}

// Mixed gives a nation's share of extras to one in ten of the people. All get a
// card.
func Mixed(people []Person, seed uint64) []Person {
	r := rand.New(rand.NewPCG(seed, 11))
	for i := range people {
		people[i].Card = "card of " + string(people[i].Number)
		if e := draw(r); e != nil {
			people[i].Word |= 1 << 15
			people[i].More = e
		}
	}
	return people
}

// draw gives extras to one in ten: a second date that counts, tests of the last
// days, a quarantine beside another fact, lists, windows, another provider's
// fact.
func draw(r *rand.Rand) *gate.Extras {
	if r.IntN(10) != 0 {
		return nil
	}
	var e gate.Extras
	day := func() gate.Day { return BaseDay + gate.Day(200+r.IntN(700)) }
	test := func() {
		at := BaseDay + gate.Day(880+r.IntN(20))
		kind := gate.TestPCR
		if r.IntN(2) == 0 {
			kind = gate.TestAntigen
		}
		e.AddTest(gate.Test{Kind: kind, Positive: r.IntN(20) == 0, Sampled: gate.Minute(int(at)*24*60 + r.IntN(24)*60)})
	}
	switch n := r.IntN(100); {
	case n < 35: // a booster
		e.LastDose = day()
	case n < 45: // ill after the vaccination
		e.Positive = day()
		e.Recovered = e.Positive + 10
	case n < 75: // tested
		test()
		if r.IntN(3) == 0 {
			test()
		}
	case n < 83:
		e.Quarantine = day()
	case n < 93: // an office's people
		m := gate.Membership{List: Lists[r.IntN(2)], Window: gate.Window{To: BaseDay + 1200}}
		if r.IntN(2) == 0 {
			m.Window.Weekdays, m.Window.Start, m.Window.End = 0b0011111, 7*60, 18*60
		}
		e.AddList(m)
	case n < 96:
		e.AddList(gate.Membership{List: "watch"})
	default:
		e.AddOther(gate.Other{Provider: gate.ProviderHealthInsurance, Code: 1, Day: day()})
	}
	return &e
}
