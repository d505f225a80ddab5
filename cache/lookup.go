package cache

import (
	"bytes"
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// lookup is what one search needs, kept so that searching allocates nothing.
type lookup struct {
	cursors []cursors // one of each part
	key     *heldKey  // that pseudo was made with
	pseudo  *gate.Pseudonymer
	blockNo [4]byte
	body    [block.MaxExtrasBody]byte
}

// cursors of a part; a cursor belongs to one bucket and one goroutine.
type cursors struct{ blocks, extras, added, addedExtras *bbolt.Cursor }

// cursors gives those of a part; nil for buckets that it does not have.
func (p *part) cursors() (c cursors) {
	for _, b := range [...]struct {
		from *bbolt.Bucket
		to   **bbolt.Cursor
	}{{p.blocks, &c.blocks}, {p.extras, &c.extras}, {p.added, &c.added}, {p.addedExtras, &c.addedExtras}} {
		if b.from != nil {
			*b.to = b.from.Cursor()
		}
	}
	return c
}

// found is what a set says about one person. body, the extras entry, lies in
// the lookup or in the overlay; it is nil when there is none.
type found struct {
	word  gate.Word
	check uint16
	body  []byte
}

// find looks one person up and adds what it finds to m. The caller holds a
// reference. It allocates nothing once as many lookups exist as callers.
func (g *generation) find(now *grown, key *heldKey, n gate.Number, card string, m *merger) (err error) {
	l := g.take(key)
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil { // l is not put back: its cursors stand anywhere
			err = fmt.Errorf("%s: %w: %v", g.path, ErrDamaged, p)
		}
	}()
	no, rem := block.Place(l.pseudo.Of(n), g.info.Blocks)
	f, ok, err := g.record(now, l, no, rem)
	if err == nil && ok {
		mismatch := f.check != 0 && card != "" && l.pseudo.Check(n, card) != f.check
		err = m.add(f, mismatch, g.info.BaseDay, now.lists)
	}
	g.put(l)
	if err != nil {
		return fmt.Errorf("%s: block %d: %w", g.path, no, err)
	}
	return nil
}

// record finds the record of rem in block no: what has changed since the file
// was built goes before what is in it.
func (g *generation) record(now *grown, l *lookup, no, rem uint64) (f found, ok bool, err error) {
	if e, ok := now.overlay.Find(no, rem); ok {
		return found{e.Word, e.Check, e.Extras}, !e.Gone, nil
	}
	at := &l.cursors[g.partWith(no)]
	key := block.PutKey(&l.blockNo, no, g.info.Blocks)
	if f, ok, err = g.recordIn(at.blocks, at.extras, l, key, rem); ok || err != nil {
		return f, ok && f.word != block.Tombstone, err
	}
	return g.recordIn(at.added, at.addedExtras, l, key, rem)
}

// recordIn finds a record in one bucket.
func (g *generation) recordIn(blocks, extras *bbolt.Cursor, l *lookup, key []byte, rem uint64) (f found, ok bool, err error) {
	value, ok := get(blocks, key)
	if !ok {
		return found{}, false, nil
	}
	if len(value)%g.info.Width != 0 {
		return found{}, false, fmt.Errorf("%w: %d bytes are no whole number of records", ErrDamaged, len(value))
	}
	if f.word, f.check, ok = block.Search(value, g.info.Width, rem); !ok {
		return found{}, false, nil
	}
	if f.word.Extras() && f.word != block.Tombstone {
		if value, ok := get(extras, key); ok {
			if body, ok := block.SearchExtras(value, rem); ok {
				f.body = l.body[:copy(l.body[:], body)]
			}
		}
	}
	return f, true, nil
}

func get(c *bbolt.Cursor, key []byte) (value []byte, ok bool) {
	if c == nil {
		return nil, false
	}
	k, v := c.Seek(key)
	if !bytes.Equal(k, key) {
		return nil, false
	}
	return v, true
}

// take gives an idle lookup, or a new one.
func (g *generation) take(key *heldKey) *lookup {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.free); n > 0 {
		l := g.free[n-1]
		g.free = g.free[:n-1]
		if l.key == key {
			return l
		}
	}
	l := &lookup{key: key, pseudo: gate.NewPseudonymer(key.key), cursors: make([]cursors, len(g.parts))}
	for i := range g.parts {
		l.cursors[i] = g.parts[i].cursors()
	}
	return l
}

// put gives a lookup back; one whose key is no longer in use is forgotten.
func (g *generation) put(l *lookup) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.key.Load() == l.key {
		g.free = append(g.free, l)
	}
}

// useKey makes the generation answer with another key, or with none, and
// forgets what was made with the one before.
func (g *generation) useKey(key *heldKey) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.key.Load() != key {
		g.key.Store(key)
		g.free = nil
	}
}

// merger merges what the sets say about one person.
type merger struct {
	facts gate.Facts
	// blocked is true once the word is a blocking one.
	blocked bool
	// unmet is true when a word's extras flag promised what was not there.
	unmet bool
	sets  int // that know the person
}

func blocks(w gate.Word) bool {
	return w.Kind() == gate.FactPositive || w.Kind() == gate.FactQuarantine
}

// add takes what the next set says. A blocking word wins over others, otherwise
// the word of the first set; what the others say goes to the extras.
func (m *merger) add(f found, mismatch bool, base gate.Day, lists []string) error {
	var err error
	takesOver := m.facts.Found && !m.blocked && blocks(f.word)
	if takesOver {
		m.further(m.facts.Word, m.facts.Base) // first, because of two days of a kind the first stays
	}
	if f.body != nil {
		m.facts.HasExtras = true
		if err = block.DecodeExtras(f.body, base, lists, &m.facts.Extras); err != nil {
			err = fmt.Errorf("%w: extras: %w", ErrDamaged, err)
		}
	} else if f.word.Extras() {
		m.unmet = true
	}
	m.facts.CardMismatch = m.facts.CardMismatch || mismatch
	m.sets++
	if m.facts.Found && !takesOver {
		m.further(f.word, base)
	} else {
		m.facts.Found, m.facts.Word, m.facts.Base = true, f.word, base
	}
	m.blocked = m.blocked || blocks(f.word)
	return err
}

// further keeps a word that is not the one that counts.
func (m *merger) further(w gate.Word, base gate.Day) {
	if w.Kind() != gate.FactNothing {
		m.facts.HasExtras = true
		m.facts.Extras.AddFact(w.Kind(), base+gate.Day(w.Offset()))
	}
}

// done gives the facts once all sets were asked. What a flag promised and no
// entry kept must not be hidden by what another set says.
func (m *merger) done() gate.Facts {
	if m.unmet && (m.sets > 1 || m.facts.HasExtras) {
		m.facts.HasExtras, m.facts.Extras.Beyond = true, true
	}
	return m.facts
}

// Facts says what the sets know about n, which must be valid, and which
// versions were asked; card is [gate.Claim.Card], empty when the claim does not
// come from a card. A blocking word (positive, quarantine) of any set wins,
// otherwise the word of the first set that knows the person; what other sets
// say in words, and all extras, are merged. On an error the facts are what the
// other sets say, and the lane's on_fault decides. It allocates nothing, and
// what it gives holds nothing of the files.
func (s *Sets) Facts(n gate.Number, card string) (gate.Facts, gate.DataState, error) {
	var state gate.DataState
	if !n.Valid() {
		return gate.Facts{}, state, errors.New("look up: not a number of twelve digits")
	}
	if s.closed.Load() {
		return gate.Facts{}, state, fmt.Errorf("look up: data sets are %w", ErrClosed)
	}
	state.N = len(s.sets)
	state.Missing = state.N == 0
	var m merger
	var err error
	for i, t := range s.sets {
		state.Sets[i].Set = t.name
		g := t.inForce()
		if g == nil {
			state.Missing = true
			continue
		}
		now := g.grown.Load()
		state.Sets[i].Version = now.version
		key := g.key.Load()
		if key == nil {
			state.Missing = true
			g.release()
			continue
		}
		if at := g.asOf(now); state.AsOf == 0 || at < state.AsOf {
			state.AsOf = at
		}
		ferr := g.find(now, key, n, card, &m)
		g.release()
		if ferr != nil {
			s.faulted(t, g, ferr)
			err = errors.Join(err, ferr)
		}
	}
	if state.Missing {
		state.AsOf = 0
	}
	return m.done(), state, err
}
