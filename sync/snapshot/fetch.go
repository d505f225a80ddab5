package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

const (
	// window is how many chunks are under way at once (DESIGN §4.3).
	window = 4
	// chunkWithin is how long one may take.
	chunkWithin = 5 * time.Second
	// A chunk that does not come is asked for again after pauseFirst,
	// doubling to pauseMost; so is a version that the store did not take.
	pauseFirst = 5 * time.Second
	pauseMost  = 5 * time.Minute
	// mendLook is how often the store is asked whether it still has a version.
	mendLook = 30 * time.Second
	// A chunk that has not come so many times in a row is a fault: a cluster
	// may pass over a retained message that is only just there.
	misses = 3
)

var (
	// errWrongChunk is a chunk that is not the one its topic names.
	errWrongChunk = errors.New("its digest is another")
	// errBadVersion is a version whose parts do not fit each other although
	// each is signed for. Reading it again does not help.
	errBadVersion = errors.New("the version does not fit its manifest")
)

// Run fetches what is wanted until ctx ends. It gives nil then.
func (f *Fetcher) Run(ctx context.Context) error {
	pause := newPause()
	for ctx.Err() == nil {
		f.mu.Lock()
		t := f.target
		var fctx context.Context
		if t != nil {
			fctx, f.cancel = context.WithCancelCause(ctx)
		}
		f.mu.Unlock()
		if t == nil {
			look := time.NewTimer(mendLook)
			select {
			case <-ctx.Done():
			case <-f.wake:
			case <-look.C:
				f.mend()
			}
			look.Stop()
			continue
		}
		err := f.fetch(fctx, t)
		f.mu.Lock()
		f.cancel(nil)
		f.cancel = nil
		superseded := f.target != t
		if err == nil && !superseded {
			f.target, f.st.Target = nil, 0
		}
		f.mu.Unlock()
		switch {
		case err == nil, superseded:
			pause = newPause()
			f.judge(func() { f.trouble = "" })
		case ctx.Err() == nil:
			f.judge(func() { f.trouble = fmt.Sprintf("version %d: %v", t.gen.Version, err) })
			if errors.Is(err, errBadVersion) {
				pause.next = pauseMost
			}
			f.rest(ctx, pause.step())
		}
	}
	return nil
}

// fetch brings one version into force. It waits for the broker and for
// missing chunks by itself; what it gives is the store's refusal, or that it
// was ended.
func (f *Fetcher) fetch(ctx context.Context, t *target) error {
	if err := f.spread(ctx, t); err != nil {
		return err
	}
	if g, ok := f.o.Store.Generation(f.o.Set); ok && g.Version == t.gen.Version && g.Digest == t.gen.Digest {
		return nil // it came into force while its manifest was being read again
	}
	w, err := f.o.Store.Stage(t.gen)
	if err != nil {
		return err
	}
	defer w.Abort() //nolint:errcheck // the store cleans up at its next start, too
	f.log.Info("fetching version", "version", t.gen.Version, "chunks", len(t.m.Chunks), "people", t.gen.People)

	pause := newPause()
	missed := 0
	for done := 0; done < len(t.m.Chunks); {
		n, err := f.read(ctx, t, done, w)
		if n > 0 {
			pause, missed = newPause(), 0
		}
		done += n
		var store storeError
		switch {
		case err == nil:
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &store), errors.Is(err, errBadVersion):
			return err
		case errors.Is(err, mqttlink.ErrNotConnected):
		default:
			f.count(func(st *Status) { st.Again++ })
			if missed++; missed >= misses || errors.Is(err, errWrongChunk) {
				f.judge(func() {
					f.trouble = fmt.Sprintf("version %d, chunk %d of %d: %v", t.gen.Version, done+1, len(t.m.Chunks), err)
				})
			}
		}
		f.rest(ctx, pause.step())
	}
	if err := w.Commit(); err != nil {
		return err
	}
	f.inForce(t)
	return nil
}

func (f *Fetcher) inForce(t *target) {
	f.log.Info("version in force", "version", t.gen.Version)
	f.judge(func() { f.trouble = "" })
	f.mu.Lock()
	later := f.vouch
	f.vouch = nil
	f.mu.Unlock()
	if later != nil && later.Version == t.gen.Version {
		if err := f.o.Store.Vouch(*later); err != nil {
			f.log.Warn("data set: newer manifest not kept", "error", err)
		}
	}
	if f.o.OnSwitch != nil {
		f.o.OnSwitch(t.gen)
	}
}

// storeError marks an error of the store, for which no chunk is to blame.
type storeError struct{ err error }

func (e storeError) Error() string { return e.err.Error() }
func (e storeError) Unwrap() error { return e.err }

// read reads chunks in order from number from on, a window of them at once,
// and feeds them to w. n is how many went in before an error.
func (f *Fetcher) read(ctx context.Context, t *target, from int, w gate.GenerationWriter) (n int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	type answer struct {
		body []byte
		err  error
	}
	var ahead []chan answer
	next := from
	for {
		for len(ahead) < window && next < len(t.m.Chunks) {
			c := make(chan answer, 1)
			ahead = append(ahead, c)
			chunk := t.m.Chunks[next]
			next++
			wg.Go(func() {
				body, err := f.chunk(ctx, chunk)
				c <- answer{body, err}
			})
		}
		if len(ahead) == 0 {
			return n, nil
		}
		a := <-ahead[0]
		ahead = ahead[1:]
		if a.err != nil {
			return n, a.err
		}
		if err := feed(w, t, t.m.Chunks[from+n], a.body); err != nil {
			return n, err
		}
		n++
		f.count(func(st *Status) {
			st.Fetched += uint64(len(a.body))
			st.Done = from + n
		})
	}
}

// chunk reads one chunk and checks that it is the one.
func (f *Fetcher) chunk(ctx context.Context, c wire.Chunk) ([]byte, error) {
	body, err := f.link.Retained(ctx, f.o.Topics.Chunk(f.o.Set, c.Digest), chunkWithin)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	if len(body) != c.Size || hex.EncodeToString(sum[:]) != c.Digest {
		return nil, errWrongChunk
	}
	return body, nil
}

// feed writes the blocks of a chunk.
func feed(w gate.GenerationWriter, t *target, c wire.Chunk, body []byte) error {
	var people uint64
	var store error
	err := wire.DecodeChunk(t.m.Coding, t.gen.Width, body, func(no uint64, value, extras []byte) error {
		if no < c.First || no > c.Last {
			return fmt.Errorf("block %d in a chunk of blocks %d to %d", no, c.First, c.Last)
		}
		people += uint64(len(value) / t.gen.Width)
		store = w.Block(no, value, extras)
		return store
	})
	switch {
	case store != nil:
		return storeError{store}
	case err != nil:
		return fmt.Errorf("%w: %w", errBadVersion, err)
	case people != c.People:
		return fmt.Errorf("%w: %d people in a chunk of %d", errBadVersion, people, c.People)
	}
	return nil
}

// spread waits as the manifest asks, so that a fleet does not come at once. A
// box without data does not wait.
func (f *Fetcher) spread(ctx context.Context, t *target) error {
	if _, ok := f.o.Store.Generation(f.o.Set); !ok || t.m.SpreadS == 0 {
		return nil
	}
	timer := time.NewTimer(rand.N(time.Duration(t.m.SpreadS) * time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// rest waits d, or until there is a new connection or another target.
func (f *Fetcher) rest(ctx context.Context, d time.Duration) {
	f.mu.Lock()
	ups, t := f.ups, f.target
	f.mu.Unlock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-f.wake:
			f.mu.Lock()
			changed := f.ups != ups || f.target != t
			f.mu.Unlock()
			if changed {
				return
			}
		}
	}
}

func (f *Fetcher) count(change func(*Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.st)
}

// pause doubles.
type pause struct{ next time.Duration }

func newPause() *pause { return &pause{pauseFirst} }

// step gives the next wait: between half and all of it, at random.
func (p *pause) step() time.Duration {
	d := p.next
	p.next = min(2*d, pauseMost)
	return d/2 + rand.N(d/2)
}
