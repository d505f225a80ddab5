package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/agent/record"
	"gateagent/sync/wire"
)

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

// stand is a Fetcher with a store and a broker of a test's making.
type stand struct {
	*Fetcher
	t        *testing.T
	p        *press
	s        *memStore
	b        *memBroker
	dir      string
	switched []uint64
	faults   []string
}

func newStand(t *testing.T, trusted bool) *stand {
	st := &stand{t: t, p: newPress(t, trusted), s: &memStore{t: t}, dir: t.TempDir(), b: &memBroker{
		kept: make(map[string][]byte), served: make(map[string][]byte), reads: make(map[string]int), wants: make(map[string]int),
	}}
	st.restart()
	return st
}

// restart makes the Fetcher anew, as after a start of the program.
func (st *stand) restart() {
	discard := slog.New(slog.DiscardHandler)
	c := newCourier(CourierOptions{
		Origin: record.Origin{Site: "hn01", Gate: "g1"}, Topics: st.p.topics,
		Sign: func(string, []byte) []byte { return make([]byte, 64) },
	}, st.b, discard)
	st.b.mu.Lock()
	st.b.courier = c
	st.b.mu.Unlock()
	st.Fetcher = newFetcher(Options{
		Set: "vn", Topics: st.p.topics, Verifier: st.p.verifier, Moment: st.p.moment, Store: st.s, Courier: c, Dir: st.dir, Reserve: 1,
		OnSwitch: func(g gate.Generation) { st.switched = append(st.switched, g.Version) },
		OnFault:  func(f Fault) { st.faults = append(st.faults, f.Detail) },
	}, st.b, discard)
}

func (st *stand) publish(e edition) {
	st.b.mu.Lock()
	maps.Copy(st.b.kept, e.chunks)
	st.b.mu.Unlock()
	st.TakeManifest(e.manifest)
}

func (st *stand) want(what string, version uint64, fault string) {
	st.t.Helper()
	s := st.Status()
	if s.Version != version || !strings.Contains(s.Fault.Detail, fault) || (fault == "") != (s.Fault == Fault{}) {
		st.t.Errorf("%s: version %d, fault %q; want %d, %q", what, s.Version, s.Fault.Detail, version, fault)
	}
}

// bubble runs f beside the Fetcher in a synctest bubble.
func bubble(t *testing.T, trusted bool, f func(st *stand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t, trusted)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if err := st.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		f(st)
		cancel()
		synctest.Wait()
		if st.s.staging {
			t.Error("staging was left open")
		}
	})
}

func TestFetchAndSwitch(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.b.latency = 10 * time.Millisecond
		e := st.p.print(1, 5000, nil)
		st.publish(e)
		time.Sleep(25 * time.Millisecond)
		if s := st.Status(); s.Version != 0 || s.Target != 1 || s.Done == 0 || s.Done >= s.Chunks {
			t.Errorf("under way: %+v", s)
		}
		time.Sleep(time.Minute)
		st.want("fetched", 1, "")
		if st.b.most != window || len(st.s.blocks) == 0 {
			t.Errorf("%d chunks at once", st.b.most)
		}
		for topic, n := range st.b.reads {
			if n != 1 {
				t.Errorf("%s read %d times", topic, n)
			}
		}
		st.TakeManifest(e.manifest)
		st.publish(st.p.print(2, 3000, nil))
		time.Sleep(time.Minute)
		st.want("the next version", 2, "")
		st.TakeManifest(e.manifest)
		st.want("an older one", 2, "older_version")
		st.restart()
		st.TakeManifest(e.manifest)
		st.want("an older one after a start", 2, "older_version")
		if len(st.switched) != 2 {
			t.Errorf("switched to %v", st.switched)
		}
	})
}

// A version whose file proves damaged is fetched again, without a word from
// central.
func TestDamagedVersionIsFetchedAgain(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.publish(st.p.print(1, 400, nil))
		synctest.Wait()
		st.s.mu.Lock()
		st.s.damaged = true
		st.s.mu.Unlock()
		st.want("damaged", 0, "")
		time.Sleep(time.Minute)
		synctest.Wait()
		st.want("fetched again", 1, "")
		if len(st.switched) != 2 {
			t.Errorf("switched to %v", st.switched)
		}
	})
}

func TestVouch(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 500, nil)
		st.publish(e)
		synctest.Wait()
		again := e.m
		again.Iat += 3600
		again.Exp += 3600
		st.TakeManifest(st.p.reprint(again))
		synctest.Wait()
		st.want("vouched for", 1, "")
		if g, _ := st.s.Generation("vn"); g.Issued != issued.Add(time.Hour) || st.s.vouches != 1 {
			t.Errorf("issued %v after %d", g.Issued, st.s.vouches)
		}
		st.TakeManifest(e.manifest) // the older word of the same version
		synctest.Wait()
		if g, _ := st.s.Generation("vn"); g.Issued != issued.Add(time.Hour) {
			t.Errorf("issued %v", g.Issued)
		}
		other := st.p.print(1, 501, nil)
		st.TakeManifest(other.manifest)
		st.want("other data under the same version", 1, "other data under version 1")
	})
}

func TestManifestBeforeTrust(t *testing.T) {
	bubble(t, false, func(st *stand) {
		st.publish(st.p.print(1, 500, nil))
		synctest.Wait()
		st.want("no trust list", 0, "") // the missing list is a fault of its own
		st.p.trust()
		st.Retry()
		synctest.Wait()
		st.want("with it", 1, "")
	})
}

func TestMissingChunkComesLate(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 5000, nil)
		late := e.topics[len(e.topics)/2]
		body := e.chunks[late]
		delete(e.chunks, late)
		st.publish(e)
		time.Sleep(10 * time.Minute)
		st.want("a chunk is missing", 0, "nothing retained")
		read := st.b.reads[e.topics[0]]
		st.TakeManifest(e.manifest) // read again: no news
		st.want("a chunk is still missing", 0, "nothing retained")
		st.b.mu.Lock()
		st.b.kept[late] = body
		st.b.mu.Unlock()
		time.Sleep(10 * time.Minute)
		st.want("it came", 1, "")
		if st.b.reads[e.topics[0]] != read {
			t.Error("the first chunk was fetched again")
		}
	})
}

func TestWrongChunk(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 2000, nil)
		good := e.chunks[e.topics[1]]
		e.chunks[e.topics[1]] = append([]byte("x"), good...)
		st.publish(e)
		time.Sleep(time.Minute)
		st.want("tampered with", 0, "digest is another")
		st.b.mu.Lock()
		st.b.kept[e.topics[1]] = good
		st.b.mu.Unlock()
		time.Sleep(10 * time.Minute)
		st.want("mended", 1, "")
	})
}

func TestLinkGoesAndComes(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.b.down = true
		st.publish(st.p.print(1, 2000, nil))
		time.Sleep(time.Hour)
		st.want("no link: no fault of the data", 0, "")
		st.b.mu.Lock()
		st.b.down = false
		st.b.mu.Unlock()
		st.Up()
		synctest.Wait()
		st.want("link back", 1, "")
	})
}

func TestNewerVersionEndsTheFetching(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 5000, nil)
		delete(e.chunks, e.topics[3])
		st.publish(e)
		time.Sleep(time.Hour)
		st.publish(st.p.print(2, 400, nil))
		synctest.Wait()
		st.want("the newer one", 2, "")
	})
}

func TestSpread(t *testing.T) {
	bubble(t, true, func(st *stand) {
		spread := func(m *wire.Manifest) { m.SpreadS = 3600 }
		st.publish(st.p.print(1, 400, spread))
		synctest.Wait()
		st.want("a box without data does not wait", 1, "")
		began := time.Now()
		st.publish(st.p.print(2, 400, spread))
		for st.Status().Version < 2 && time.Since(began) < 2*time.Hour {
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if d := time.Since(began); d > time.Hour+time.Second {
			t.Errorf("waited %v", d)
		}
	})
}

// Each box of a fleet has a moment of its own, anywhere in the window.
func TestSpreadOverTheWindow(t *testing.T) {
	var early, late, same int
	last := time.Duration(0)
	for range 40 {
		bubble(t, true, func(st *stand) {
			st.publish(st.p.print(1, 100, nil))
			synctest.Wait()
			began := time.Now()
			st.publish(st.p.print(2, 100, func(m *wire.Manifest) { m.SpreadS = 3600 }))
			for st.Status().Version < 2 && time.Since(began) < 2*time.Hour {
				time.Sleep(10 * time.Second)
				synctest.Wait()
			}
			switch d := time.Since(began); {
			case d > time.Hour+10*time.Second:
				t.Errorf("waited %v", d)
			case d < 20*time.Minute:
				early++
			case d > 40*time.Minute:
				late++
			case d == last:
				same++
			}
			last = time.Since(began)
		})
	}
	if early == 0 || late == 0 || same > 5 {
		t.Errorf("of 40 boxes %d began in the first third of the window, %d in the last, %d with the one before", early, late, same)
	}
}

func TestVersionThatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*wire.Manifest)
		want   string
	}{
		"people of a chunk": {func(m *wire.Manifest) { m.Chunks[0].People--; m.Chunks[1].People++ }, "people in a chunk"},
		"blocks of a chunk": {func(m *wire.Manifest) { m.Chunks[0].Last--; m.Chunks[1].First-- }, "in a chunk of blocks"},
		"digest of it all":  {func(m *wire.Manifest) { m.Base.Digest = strings.Repeat("0", 64) }, "digest does not fit"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, true, func(st *stand) {
				st.publish(st.p.print(1, 400, nil))
				synctest.Wait()
				st.publish(st.p.print(2, 2000, c.change))
				time.Sleep(time.Minute)
				synctest.Wait()
				st.want("refused", 1, c.want)
				st.publish(st.p.print(3, 2000, nil))
				time.Sleep(time.Hour)
				st.want("the next one", 3, "")
			})
		})
	}
}

func TestStoreRefuses(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.s.refuse = errors.New("no room on the disk")
		st.publish(st.p.print(1, 400, nil))
		time.Sleep(time.Minute)
		synctest.Wait()
		st.want("no room", 0, "no room on the disk")
		st.s.mu.Lock()
		st.s.refuse = nil
		st.s.mu.Unlock()
		time.Sleep(10 * time.Minute)
		st.want("room", 1, "")
	})
}

// A full disk is for whoever is at the box, and not for central, to mend.
func TestStoreHasNoRoom(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.s.refuse = fmt.Errorf("write: %w", syscall.ENOSPC)
		st.publish(st.p.print(1, 400, nil))
		time.Sleep(time.Minute)
		synctest.Wait()
		if f := st.Status().Fault; f.Code != health.DataAwaited || f.Reason != "no_room" {
			t.Errorf("%+v", f)
		}
	})
}

func TestManifestsRefused(t *testing.T) {
	bubble(t, true, func(st *stand) {
		good := st.p.print(5, 400, nil)
		st.publish(good)
		synctest.Wait()
		expired := good.m
		expired.Ver, expired.Base.Version, expired.Exp = 6, 6, expired.Iat+1
		foreign := good.m
		foreign.Ver, foreign.Base.Version, foreign.Aud = 6, 6, "la"
		bad := good.m
		bad.Ver, bad.Base.Version, bad.Coding = 6, 6, "rows"
		for name, c := range map[string]struct {
			doc  []byte
			want string
		}{
			"expired":         {st.p.reprint(expired), "expired"},
			"of another set":  {st.p.reprint(foreign), "wrong_audience"},
			"unknown coding":  {st.p.reprint(bad), "coding"},
			"no document":     {[]byte("{}"), "malformed"},
			"cut off":         {good.manifest[:len(good.manifest)-9], "malformed"},
			"an older one":    {st.p.print(4, 400, nil).manifest, "older_version"},
			"of another type": {st.p.sign(st.p.root, "gate-trust+jws", map[string]any{"aud": "hn01", "ver": 9, "iat": 1, "exp": 9}), "wrong_type"},
		} {
			st.TakeManifest(c.doc)
			st.want(name, 5, c.want)
		}
		st.TakeManifest(nil)
		st.TakeManifest(good.manifest)
		st.want("the one in force", 5, "")
	})
}
