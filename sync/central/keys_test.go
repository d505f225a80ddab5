package central

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/sealed"
)

var someKeys = []sealed.Secret{
	{Set: "vn", Kid: "vn-1", Key: gate.Key{1}}, {Set: "vn", Kid: "vn-2", Key: gate.Key{2}}, {Set: "entry", Kid: "e-1", Key: gate.Key{3}},
}

func (b *bench) handOut(keys func(record.Origin) ([]sealed.Secret, error)) { b.c.o.Keys = keys }

// opened gives what a box can open of the answers since the last time, as
// "set kid first byte", and how many keys it was sent.
func (x *box) opened(id *identity.Identity) (got []string, sent int) {
	x.b.t.Helper()
	_, replies := x.b.answers(x.o)
	for _, r := range replies {
		for _, k := range r.Keys {
			sent++
			key, err := sealed.Open(id, sealed.Label{Site: x.o.Site, Gate: x.o.Gate, Set: k.Set, Kid: k.Kid}, k.Sealed)
			if err == nil {
				got = append(got, fmt.Sprintf("%s %s %d", k.Set, k.Kid, key[0]))
			}
		}
	}
	return got, sent
}

func pinned(t *testing.T, o record.Origin, id *identity.Identity) *Pins {
	t.Helper()
	p, err := LoadPins("", false)
	if err == nil {
		err = p.Pin(o, id.Public())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKeysAreHandedOut(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	b.pins = pinned(t, home, x.id)
	b.restart(&memory{})
	asked := map[record.Origin]int{}
	b.handOut(func(o record.Origin) ([]sealed.Secret, error) {
		asked[o]++
		return slices.Clone(someKeys), nil
	})
	b.feed(x.hello())
	want := []string{"vn vn-1 1", "vn vn-2 2", "entry e-1 3"}
	if got, sent := x.opened(x.id); !slices.Equal(got, want) || sent != 3 {
		t.Errorf("%q of %d", got, sent)
	}
	said := b.wantReports(ReportKeys)[0].Text
	if !strings.Contains(said, "vn-2") || strings.Contains(said, "key(hidden)") {
		t.Errorf("reported %q", said)
	}

	// The next hello of the same run is handed the same, and it is not told again.
	b.now = b.now.Add(10 * time.Minute)
	b.feed(x.hello())
	if got, _ := x.opened(x.id); !slices.Equal(got, want) {
		t.Errorf("the second time: %q", got)
	}
	b.wantReports()
	// The next run is.
	b.now = b.now.Add(10 * time.Minute)
	x.boot = strings.Repeat("d", 16)
	b.feed(x.hello())
	b.wantReports(ReportKeys)
	x.opened(x.id)
	// A state is no hello.
	b.feed(x.state(0))
	if _, sent := x.opened(x.id); sent != 0 {
		t.Errorf("a state was answered with %d keys", sent)
	}
	if n := b.c.Stats().Keys; n != 9 || asked[home] != 3 {
		t.Errorf("%d keys, asked %v", n, asked)
	}
}

func TestKeysAreWithheld(t *testing.T) {
	all := func(record.Origin) ([]sealed.Secret, error) { return slices.Clone(someKeys), nil }
	none := func(t *testing.T, x *box, ids ...*identity.Identity) {
		t.Helper()
		for _, id := range append(ids, x.id) {
			if got, sent := x.opened(id); len(got)+sent > 0 {
				t.Errorf("%d keys were sent, %q opened", sent, got)
			}
		}
	}
	t.Run("a gate that no list names", func(t *testing.T) {
		b := newBench(t, &memory{}, nobody(t))
		b.handOut(all)
		x := b.box(home)
		b.feed(x.hello())
		none(t, x)
		b.wantReports(ReportUnknown)
	})
	t.Run("another identity under a pinned name", func(t *testing.T) {
		b := newBench(t, &memory{}, nobody(t))
		x, thief := b.box(home), b.box(home)
		b.pins = pinned(t, home, x.id)
		b.restart(&memory{})
		b.handOut(all)
		b.feed(thief.hello())
		none(t, x, thief.id)
		b.wantReports(ReportForeign)
	})
	t.Run("a hello that the pinned identity did not sign", func(t *testing.T) {
		b := newBench(t, &memory{}, nobody(t))
		x, thief := b.box(home), b.box(home)
		b.pins = pinned(t, home, x.id)
		b.restart(&memory{})
		b.handOut(all)
		m := x.hello()
		m.body = []byte(strings.Replace(string(m.body), x.boot, strings.Repeat("e", 16), 1))
		b.feed(m)
		none(t, x, thief.id)
		b.wantReports(ReportSignature)
	})
	t.Run("an identity learnt in this run", func(t *testing.T) {
		b := newBench(t, &memory{}, learning(t))
		b.handOut(all)
		x := b.box(home)
		b.feed(x.hello())
		none(t, x)
		b.wantReports(ReportPinned, ReportWithheld)
		// Unless that is wanted.
		b.c.o.HandLearned = true
		b.now = b.now.Add(time.Hour)
		b.feed(x.hello())
		if got, _ := x.opened(x.id); len(got) != 3 {
			t.Errorf("%q", got)
		}
		// Or somebody has named it.
		b.c.o.HandLearned = false
		if err := b.pins.Pin(home, x.id.Public()); err != nil {
			t.Fatal(err)
		}
		b.feed(x.hello())
		if got, _ := x.opened(x.id); len(got) != 3 {
			t.Errorf("%q", got)
		}
	})
	t.Run("two copies of one box", func(t *testing.T) {
		b := newBench(t, &memory{}, nobody(t))
		x := b.box(home)
		b.pins = pinned(t, home, x.id)
		b.restart(&memory{})
		b.handOut(all)
		copied := *x
		copied.boot, copied.nonces = strings.Repeat("f", 16), 1000
		for range 3 {
			b.feed(x.hello(), copied.hello())
		}
		b.post.take()
		b.feed(x.hello())
		none(t, x)
		b.feed(copied.hello())
		none(t, x)
		b.now = b.now.Add(2 * time.Hour) // the copy is gone
		x.boot = strings.Repeat("9", 16)
		b.feed(x.hello())
		if got, _ := x.opened(x.id); len(got) != 3 {
			t.Errorf("long after: %q", got)
		}
	})
	t.Run("keys that cannot be read", func(t *testing.T) {
		b := newBench(t, &memory{}, nobody(t))
		x := b.box(home)
		b.pins = pinned(t, home, x.id)
		b.restart(&memory{})
		b.handOut(func(record.Origin) ([]sealed.Secret, error) { return nil, errors.New("no such folder") })
		b.feed(x.hello())
		if _, replies := b.answers(home); len(replies) != 1 || len(replies[0].Keys) != 0 {
			t.Error("the hello is to be answered without keys")
		}
		b.wantReports(ReportWithheld)
	})
}

// nobody are pins that name nobody and learn nobody.
func nobody(t *testing.T) *Pins {
	t.Helper()
	p, err := LoadPins("", false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
