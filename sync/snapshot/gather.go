package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gateagent/agent/health"
	"gateagent/sync/mqttlink"
)

// gathering is a list of chunks to bring.
type gathering struct {
	what  string
	list  []parcel
	urls  []string
	first way
}

// gather brings the chunks of a list that are not here yet. It ends when all
// are here, when the disk does not take them, or with ctx.
func (f *Fetcher) gather(ctx context.Context, g gathering) error {
	pause, missed := newPause(), 0
	fails := make(map[string]int)
	var why error // the most telling since something came
	for {
		missing, held := f.dir.missing(g.list)
		f.count(func(st *Status) {
			st.Done, st.Chunks = len(g.list)-len(missing), len(g.list)
			st.Bytes, st.OfBytes = held, sizeOf(g.list)
		})
		f.tell(false)
		if len(missing) == 0 {
			return nil
		}
		got, err := f.round(ctx, g, missing, fails)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil:
			continue
		case isStore(err):
			return err
		}
		if got > 0 {
			pause, missed, why = newPause(), 0, nil
		}
		if !errors.Is(err, mqttlink.ErrNotConnected) {
			why = telling(g.first, why, err)
			if missed++; missed >= misses || errors.Is(why, errWrongChunk) {
				r := reasonOf(why)
				r.detail = fmt.Sprintf("%s, %d of %d chunks are missing: %s", g.what, len(missing)-got, len(g.list), r.detail)
				f.judge(func() { f.trouble = r })
			}
			if got > 0 {
				continue // waiting for it has taken its time already
			}
			if g.first == byTopic {
				// Its publisher may keep fewer on the broker, its server be away.
				if f.otherWay(g.first); missed == 1 {
					continue
				}
			}
		}
		f.rest(ctx, pause.step())
	}
}

// round goes once through the missing chunks, a window of them at a time. got
// counts those that came, err is the most telling of what went wrong. It ends
// early when the link is gone, and when nothing comes any more.
func (f *Fetcher) round(ctx context.Context, g gathering, missing []parcel, fails map[string]int) (got int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	type result struct {
		p   parcel
		w   way
		err error
	}
	results := make(chan result)
	// Those that did not come last time have had their turn.
	slices.SortStableFunc(missing, func(a, b parcel) int { return cmp.Compare(fails[a.digest], fails[b.digest]) })
	next, under, row := 0, 0, 0
	var ended bool
	for {
		for !ended && under < f.o.Courier.gate.most() && next < len(missing) {
			p := missing[next]
			w := f.way(g.first)
			next++
			under++
			wg.Go(func() {
				body, err := f.o.Courier.bring(ctx, f.o.Set, p, g.urls, w)
				if err == nil {
					if err = f.dir.put(p.digest, body); err != nil {
						err = storeError{err}
					}
				}
				select {
				case results <- result{p, w, err}:
				case <-ctx.Done():
				}
			})
		}
		if under == 0 {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, context.Cause(ctx)
		case <-f.wake:
			f.meanwhile(ctx)
		case r := <-results:
			under--
			if r.err == nil {
				got++
				row = 0
				f.came(r.p, r.w)
				continue
			}
			if ctx.Err() != nil {
				return got, context.Cause(ctx)
			}
			err = telling(g.first, err, r.err)
			switch {
			case isStore(r.err):
				return got, r.err
			case errors.Is(r.err, mqttlink.ErrNotConnected):
				ended = true
			default:
				fails[r.p.digest]++
				f.count(func(st *Status) {
					st.Again++
					if errors.Is(r.err, errWrongChunk) {
						st.Wrong++
					}
				})
				if row++; row >= f.o.Courier.gate.most() {
					ended = true
				}
			}
		}
	}
}

// telling gives the one of two errors that says more: that a chunk is not
// where it should be says more than that it is nowhere else either.
func telling(first way, a, b error) error {
	rank := func(err error) int {
		switch {
		case err == nil:
			return 0
		case errors.Is(err, mqttlink.ErrNotConnected):
			return 1
		case errors.Is(err, mqttlink.ErrNothingRetained) && first == byAsking, errors.Is(err, errNobody) && first == byTopic:
			return 2
		case errors.Is(err, mqttlink.ErrNothingRetained), errors.Is(err, errNobody):
			return 3
		default:
			return 4
		}
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// way gives how the next chunk is tried first: as the last one came.
func (f *Fetcher) way(first way) way {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.drawn {
		return f.prefer
	}
	return first
}

// otherWay has the next chunks tried the other way.
func (f *Fetcher) otherWay(first way) {
	w := f.way(first)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prefer, f.drawn = w.other(), true
}

// came takes note of a chunk that is here.
func (f *Fetcher) came(p parcel, w way) {
	f.mu.Lock()
	f.prefer, f.drawn = w, true
	f.st.Fetched += uint64(p.size)
	f.st.Done++
	f.st.Bytes += int64(p.size)
	f.meter.add(time.Now(), int64(p.size))
	stalled := faultOf(f.trouble.code) == health.DataAwaited
	f.mu.Unlock()
	if stalled { // no more: it comes
		f.judge(func() { f.trouble = refusal{} })
	}
	f.tell(false)
}
