package snapshot

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/sync/wire"
)

// keep puts deltas on the broker, without telling anybody.
func (st *stand) keep(deltas ...leaf) {
	st.b.mu.Lock()
	defer st.b.mu.Unlock()
	for _, l := range deltas {
		st.b.kept[st.p.topics.Delta("vn", l.doc.N)] = l.signed
		maps.Copy(st.b.kept, l.chunks)
	}
}

// live delivers deltas as the broker does.
func (st *stand) live(deltas ...leaf) {
	for _, l := range deltas {
		st.TakeDelta(l.doc.N, l.signed)
	}
}

// wantRows checks what is in force against who should be there.
func (st *stand) wantRows(l leaf) {
	st.t.Helper()
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	_, got := st.s.content()
	e := st.p.printRows(l.doc.N, l.rows, nil)
	if want := e.m.Base.Digest; fmt.Sprintf("%x", got) != want {
		st.t.Errorf("what is in force at version %d is not what was published", l.doc.N)
	}
}

// base brings version 1 with n people into force.
func (st *stand) base(n int) edition {
	st.t.Helper()
	e := st.p.print(1, n, nil)
	st.publish(e)
	synctest.Wait()
	st.want("the base", 1, "")
	return e
}

func TestDeltasLive(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.base(2000)
		deltas := st.p.deltas(e, 4)
		st.live(deltas[0])
		synctest.Wait()
		st.want("one", 2, "")
		st.keep(deltas[1])
		st.live(deltas[2]) // number 3 has not come, and nothing names it yet
		synctest.Wait()
		st.want("the one before was read", 4, "")
		st.wantRows(deltas[2])
		st.live(deltas...) // the broker delivers what it keeps again
		synctest.Wait()
		st.want("again", 4, "")
		if s := st.Status(); s.Stale != 3 || s.Deltas != 3 || s.Base != 1 {
			t.Errorf("%+v", s)
		}
		if want := []uint64{1, 2, 3, 4}; !slices.Equal(st.switched, want) {
			t.Errorf("switched to %v", st.switched)
		}
		if g, _ := st.s.Generation("vn"); !g.Issued.Equal(issued.Add(4 * time.Second)) {
			t.Errorf("issued %v", g.Issued)
		}
		// The manifest that names them is no more than a vouch.
		st.publish(st.p.with(e, deltas, 60, nil))
		synctest.Wait()
		if g, _ := st.s.Generation("vn"); !g.Issued.Equal(issued.Add(60*time.Second)) || st.s.vouches != 1 {
			t.Errorf("issued %v after %d", g.Issued, st.s.vouches)
		}
	})
}

// What was lost on the way, and is not on the broker yet either, is read again
// until it is there: by itself while it is awaited, and by the manifest that
// names it once the waiting was given up.
func TestDeltaThatComesLate(t *testing.T) {
	bubble(t, true, func(st *stand) {
		deltas := st.p.deltas(st.base(2000), 4)
		st.keep(deltas[0])
		st.live(deltas[0], deltas[2])
		synctest.Wait()
		st.want("the one before is not there", 2, "")
		st.keep(deltas[1])
		time.Sleep(chunkWithin + pauseFirst)
		st.want("it was read again", 4, "")
		st.wantRows(deltas[2])
	})
	bubble(t, true, func(st *stand) {
		e := st.base(2000)
		deltas := st.p.deltas(e, 4)
		st.live(deltas[0], deltas[2])
		time.Sleep(10 * time.Minute)
		st.want("the one before does not come", 2, "delta 3")
		topic := st.p.topics.Delta("vn", 3)
		if n := st.b.reads[topic]; n != misses {
			t.Errorf("read %d times", n)
		}
		st.keep(deltas...)
		st.publish(st.p.with(e, deltas, 60, nil))
		synctest.Wait()
		st.want("by the manifest", 4, "")
	})
	bubble(t, true, func(st *stand) { // or it comes after all
		deltas := st.p.deltas(st.base(2000), 4)
		st.live(deltas[0], deltas[2])
		time.Sleep(10 * time.Minute)
		st.live(deltas[1])
		synctest.Wait()
		st.want("late", 4, "")
	})
}

func TestDeltasMissed(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.base(2000)
		deltas := st.p.deltas(e, 9)
		st.keep(deltas...)
		st.publish(st.p.with(e, deltas, 60, nil))
		synctest.Wait()
		st.want("caught up", 9, "")
		st.wantRows(deltas[7])
		for _, topic := range e.topics {
			if st.b.reads[topic] != 1 {
				t.Errorf("%s was read %d times", topic, st.b.reads[topic])
			}
		}
	})
}

// A box without data takes the base and the deltas, and its data is not younger
// than what is in force says.
func TestBaseAndDeltas(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 2000, nil)
		deltas := st.p.deltas(e, 3)
		full := st.p.with(e, deltas, 600, nil)
		st.publish(full) // the deltas are not there yet
		time.Sleep(time.Minute)
		st.want("the base", 1, "delta 2")
		if g, _ := st.s.Generation("vn"); g.Issued.After(issued) {
			t.Errorf("a base that lacks its deltas counts as issued %v", g.Issued)
		}
		st.keep(deltas...)
		time.Sleep(10 * time.Minute)
		st.want("with its deltas", 3, "")
		if g, _ := st.s.Generation("vn"); !g.Issued.Equal(issued.Add(600 * time.Second)) {
			t.Errorf("issued %v", g.Issued)
		}
	})
}

// A large delta comes in chunks.
func TestDeltaInChunks(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.base(20_000)
		l := st.p.delta(e, 2, e.rows, 3000, nil)
		if len(l.doc.Chunks) == 0 {
			t.Fatal("it is not large")
		}
		st.keep(l)
		st.live(l)
		synctest.Wait()
		st.want("applied", 2, "")
		st.wantRows(l)
		if files := st.Fetcher.dir.files(); len(files) != 0 {
			t.Errorf("%d chunks are left", len(files))
		}
	})
}

// A new base with the same content is built from what is here.
func TestRebase(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.base(2000)
		deltas := st.p.deltas(e, 5)
		st.keep(deltas...)
		next := st.p.printRows(5, deltas[3].rows, nil)
		further := st.p.deltas(next, 6)
		st.keep(further...)
		both := append(slices.Clone(deltas), further...)
		st.publish(st.p.with(next, both, 60, nil))
		synctest.Wait()
		st.want("caught up over the new base", 6, "")
		st.wantRows(further[0])
		if s := st.Status(); s.Base != 5 || st.s.rebased != 1 {
			t.Errorf("base %d after %d", s.Base, st.s.rebased)
		}
		for _, topic := range next.topics {
			if st.b.reads[topic] != 0 && e.chunks[topic] == nil {
				t.Errorf("%s was fetched", topic)
			}
		}
	})
}

// A new base whose content is another is fetched, and so is one to which the
// deltas are not to be had.
func TestBaseRatherThanDeltas(t *testing.T) {
	for name, c := range map[string]struct {
		people, changed int
		broken          func(st *stand, l *leaf)
		rebased         int
	}{
		"other content": {2000, 20, func(st *stand, l *leaf) { l.rows[0].Word ^= 1 }, 0},
		"not there": {2000, 20, func(st *stand, l *leaf) {
			delete(st.b.kept, st.p.topics.Delta("vn", l.doc.N))
		}, 0},
		"cheaper": {2000, 20, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, true, func(st *stand) {
				e := st.base(c.people)
				l := st.p.delta(e, 2, e.rows, c.changed, nil)
				st.keep(l)
				if c.broken != nil {
					c.broken(st, &l)
				}
				next := st.p.printRows(2, l.rows, nil)
				st.publish(st.p.with(next, []leaf{l}, 60, nil))
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				st.want("in force", 2, "")
				if s := st.Status(); s.Base != 2 || st.s.rebased != c.rebased {
					t.Errorf("base %d after %d", s.Base, st.s.rebased)
				}
				st.wantRows(leaf{doc: wire.DeltaDoc{N: 2}, rows: l.rows})
			})
		})
	}
}

// Going back needs a manifest that says so and is newer; nothing older undoes it.
func TestGoingBack(t *testing.T) {
	bubble(t, true, func(st *stand) {
		one := st.p.print(1, 1000, nil)
		st.publish(one)
		synctest.Wait()
		later := func(by int64, back uint64) func(*wire.Manifest) {
			return func(m *wire.Manifest) { m.Iat, m.Exp, m.BackFrom = m.Iat+by, m.Exp+by, back }
		}
		three := st.p.print(3, 900, later(100, 0))
		deltas := st.p.deltas(three, 4)
		three = st.p.with(three, deltas, 10, nil)
		st.keep(deltas...)
		st.publish(three)
		synctest.Wait()
		st.want("version 4", 4, "")

		for what, change := range map[string]func(*wire.Manifest){
			"without a word":        later(200, 0),
			"not far enough":        later(200, 3),
			"older than the newest": later(50, 9),
		} {
			st.TakeManifest(st.p.print(2, 800, change).manifest)
			synctest.Wait()
			st.want("back "+what, 4, "older_version")
		}
		back := st.p.print(2, 800, later(200, 5))
		st.publish(back)
		synctest.Wait()
		st.want("back", 2, "")

		st.TakeManifest(three.manifest)
		synctest.Wait()
		st.want("what was taken back, again", 2, "taken back")
		st.restart()
		st.TakeManifest(three.manifest)
		st.want("after a start", 2, "taken back")
		st.TakeManifest(back.manifest)
		forgets := back.m
		forgets.Iat, forgets.Exp, forgets.BackFrom = forgets.Iat+60, forgets.Exp+60, 0
		st.TakeManifest(st.p.reprint(forgets))
		st.want("forgets what was taken back", 2, "misfit")
	})
	bubble(t, true, func(st *stand) { // the replay of a going back
		st.publish(st.p.print(5, 500, nil))
		synctest.Wait()
		later := func(m *wire.Manifest) { m.Iat, m.Exp, m.BackFrom = m.Iat+100, m.Exp+100, 5 }
		back := st.p.print(3, 400, later)
		st.publish(back)
		synctest.Wait()
		st.want("back", 3, "")
		six := st.p.print(6, 450, func(m *wire.Manifest) { m.Iat, m.Exp = m.Iat+200, m.Exp+200 })
		st.publish(six)
		synctest.Wait()
		st.want("forward", 6, "")
		st.TakeManifest(back.manifest)
		synctest.Wait()
		st.want("back again", 6, "older_version")
	})
	bubble(t, true, func(st *stand) { // by deltas of the same base
		e := st.base(1000)
		deltas := st.p.deltas(e, 4)
		st.keep(deltas...)
		st.publish(st.p.with(e, deltas, 10, nil))
		synctest.Wait()
		st.want("version 4", 4, "")
		st.publish(st.p.with(e, deltas[:1], 20, func(m *wire.Manifest) { m.BackFrom = 4 }))
		synctest.Wait()
		st.want("back to version 2", 2, "")
		st.wantRows(deltas[0])
		st.live(deltas[1:]...)
		synctest.Wait()
		st.want("deltas that were taken back", 2, "taken back")
		// New ones under the same numbers are taken.
		l := st.p.delta(e, 3, deltas[0].rows, 9, func(d *wire.DeltaDoc) { d.Iat += 100; d.Exp += 100 })
		st.live(l)
		synctest.Wait()
		st.want("new ones", 3, "")
	})
}

// While a base is awaited the data in force goes on being current.
func TestDeltasWhileABaseIsAwaited(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.base(2000)
		deltas := st.p.deltas(e, 5)
		st.keep(deltas...)
		next := st.p.print(9, 3000, nil)
		for _, topic := range next.topics[4:] {
			delete(next.chunks, topic)
		}
		st.publish(next)
		time.Sleep(time.Minute)
		st.live(deltas...)
		synctest.Wait()
		st.want("the deltas", 5, "chunks are missing")
		if s := st.Status(); s.Target != 9 || s.Done != 4 {
			t.Errorf("%+v", s)
		}
	})
	bubble(t, true, func(st *stand) {
		e := st.base(2000)
		deltas := st.p.deltas(e, 3)
		st.publish(st.p.print(9, 3000, func(m *wire.Manifest) { m.SpreadS = 3600 }))
		time.Sleep(time.Millisecond)
		st.live(deltas...)
		synctest.Wait()
		s := st.Status()
		if v := s.Version; v != 3 && v != 9 {
			t.Errorf("version %d", v)
		}
		if left := time.Until(s.From); s.Version == 3 && (s.Waits != 9 || s.Target != 0 || left <= 0 || left > time.Hour) {
			t.Errorf("it waits for version %d, %v", s.Waits, left)
		}
		time.Sleep(2 * time.Hour)
		st.want("the base", 9, "")
		if s := st.Status(); s.Waits != 0 || !s.From.IsZero() {
			t.Errorf("it waits: %+v", s)
		}
	})
}

func TestDeltasRefused(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.base(1000)
		good := st.p.deltas(e, 3)
		st.keep(good...)
		other := func(change func(*wire.DeltaDoc)) []byte { return st.p.delta(e, 2, e.rows, 5, change).signed }
		bit := slices.Clone(good[0].signed)
		bit[len(bit)/2] ^= 1
		for name, c := range map[string]struct {
			n    uint64
			doc  []byte
			want string
		}{
			"another base":    {2, other(func(d *wire.DeltaDoc) { d.BaseDigest = strings.Repeat("0", 64) }), "other_base"},
			"another set":     {2, other(func(d *wire.DeltaDoc) { d.Aud = "la" }), "wrong_audience"},
			"expired":         {2, other(func(d *wire.DeltaDoc) { d.Exp = d.Iat + 1 }), "expired"},
			"another topic":   {3, good[0].signed, "misfit"},
			"cut off":         {2, good[0].signed[:len(good[0].signed)-40], ""},
			"a wrong bit":     {2, bit, ""},
			"another type":    {2, e.manifest, "wrong_type"},
			"another signer":  {2, st.p.sign(st.p.root, "gate-trust+jws", map[string]any{"aud": "hn01", "ver": 2, "iat": 1, "exp": 9}), "wrong_type"},
			"no document":     {2, []byte("{}"), "malformed"},
			"unknown coding":  {2, other(func(d *wire.DeltaDoc) { d.Coding = "rows" }), "rows"},
			"too few changes": {2, other(func(d *wire.DeltaDoc) { d.Count++ }), "changes"},
			"cut changes":     {2, other(func(d *wire.DeltaDoc) { d.Body = d.Body[:len(d.Body)/2] }), "misfit"},
		} {
			st.TakeDelta(c.n, c.doc)
			synctest.Wait()
			s := st.Status()
			if s.Version != 1 || s.Fault.Reason == "" || !strings.Contains(s.Fault.Detail, c.want) {
				t.Errorf("%s: version %d, %+v; want %q", name, s.Version, s.Fault, c.want)
			}
		}
		// One that the manifest does not mean, though signed.
		st.publish(st.p.with(e, good, 60, nil))
		st.TakeDelta(2, other(nil))
		time.Sleep(10 * time.Minute)
		st.want("the right ones", 3, "")
		st.wantRows(good[1])
	})
	bubble(t, true, func(st *stand) { // the broker keeps another one
		e := st.base(1000)
		good := st.p.deltas(e, 2)
		st.b.kept[st.p.topics.Delta("vn", 2)] = st.p.delta(e, 2, e.rows, 5, nil).signed
		st.publish(st.p.with(e, good, 60, nil))
		time.Sleep(10 * time.Minute)
		st.want("another one", 1, "not the one that the manifest names")
		st.keep(good...)
		time.Sleep(10 * time.Minute)
		st.want("the right one", 2, "")
	})
	bubble(t, true, func(st *stand) { // an expired one that the manifest names
		e := st.base(1000)
		old := st.p.delta(e, 2, e.rows, 5, func(d *wire.DeltaDoc) { d.Exp = d.Iat + 1 })
		st.keep(old)
		st.publish(st.p.with(e, []leaf{old}, 60, nil))
		synctest.Wait()
		st.want("named", 2, "")
	})
}

// What the store does not take is said, and tried again.
func TestStoreRefusesADelta(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.base(1000)
		st.s.mu.Lock()
		st.s.refuses = errors.New("no room on the disk")
		st.s.mu.Unlock()
		deltas := st.p.deltas(e, 2)
		st.keep(deltas...)
		st.publish(st.p.with(e, deltas, 60, nil))
		time.Sleep(time.Minute)
		st.want("no room", 1, "no room on the disk")
		st.s.mu.Lock()
		st.s.refuses = nil
		st.s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		st.want("room", 2, "")
	})
}

// A box without data, to which the broker delivers the deltas of the lineage
// before as well, finds nothing wrong with them.
func TestDeltasOfTheLineageBefore(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 1000, nil)
		deltas := st.p.deltas(e, 4)
		next := st.p.printRows(4, deltas[2].rows, nil)
		further := st.p.deltas(next, 5)
		st.keep(append(slices.Clone(deltas), further...)...)
		// The manifest names one of them for boxes that are behind.
		full := st.p.with(next, append(slices.Clone(deltas[2:]), further...), 60, nil)
		delete(full.chunks, full.topics[2])
		st.publish(full)
		st.live(deltas...)
		st.live(further...)
		time.Sleep(8 * time.Second)
		st.want("on the way", 0, "")
		st.publish(edition{chunks: next.chunks, manifest: full.manifest})
		st.b.mu.Lock()
		st.b.kept[full.topics[2]] = st.p.printRows(4, deltas[2].rows, nil).chunks[full.topics[2]]
		st.b.mu.Unlock()
		time.Sleep(10 * time.Minute)
		st.want("there", 5, "")
		st.live(deltas...)
		synctest.Wait()
		st.want("again", 5, "")
	})
}
