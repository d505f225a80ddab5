package snapshot

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/wire"
)

// fetchBase brings the manifest's base into force. It waits for the broker and
// for missing chunks by itself; what it gives is the store's refusal, or that
// it was ended.
func (f *Fetcher) fetchBase(ctx context.Context, t *target, back bool) error {
	list := baseParcels(t.m)
	if err := f.dir.keep(list); err != nil {
		return storeError{err}
	}
	if err := f.spread(ctx, t, list); err != nil {
		return err
	}
	// What the store would not take in the end need not be fetched.
	w, err := f.stage(t.gen, back)
	if err == nil {
		err = w.Abort()
	}
	if err != nil {
		return storeError{err}
	}
	if err := f.room(t, list); err != nil {
		return err
	}
	f.log.Info("fetching version", "version", t.gen.Version, "chunks", len(list), "people", t.gen.People)
	f.depart(t)
	first := byTopic
	if len(list) > wire.MaxRetained {
		first = byAsking
	}
	if err := f.gather(ctx, gathering{what: fmt.Sprintf("version %d", t.gen.Version), list: list, urls: t.m.URLs, first: first}); err != nil {
		return err
	}
	return f.build(ctx, t, back)
}

func (f *Fetcher) stage(g gate.Generation, back bool) (gate.GenerationWriter, error) {
	if back {
		return f.o.Store.StageBack(g)
	}
	return f.o.Store.Stage(g)
}

// build writes the base from the chunks that are here and puts it in force.
func (f *Fetcher) build(ctx context.Context, t *target, back bool) error {
	g := t.gen
	if t.m.Ver > g.Version {
		g.Issued = f.baseIssued(ctx, t)
	}
	w, err := f.stage(g, back)
	if err != nil {
		return storeError{err}
	}
	defer w.Abort() //nolint:errcheck // the store cleans up at its next start, too
	for _, c := range t.m.Chunks {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		body, err := f.dir.get(parcel{c.Digest, c.Size})
		if err != nil {
			return err
		}
		if err := feed(w, t, c, body); err != nil {
			return err
		}
	}
	if err := w.Commit(); err != nil {
		return storeError{err}
	}
	f.log.Info("version in force", "version", g.Version)
	f.judge(func() { f.trouble = refusal{} })
	if err := f.dir.keep(nil); err != nil {
		f.log.Warn("data set: chunks are not removed", "error", err)
	}
	f.switched()
	return nil
}

// baseIssued says since when a base is out of date that deltas lead on from:
// the manifest vouches for it only together with them. The first of them is
// younger than the base and older than all that it lacks.
func (f *Fetcher) baseIssued(ctx context.Context, t *target) time.Time {
	d, err := f.readDelta(ctx, t.gen.Version+1, t)
	if err != nil {
		return time.Unix(int64(t.gen.BaseDay)*86400, 0).UTC() // very old, until the deltas are there
	}
	return d.issued
}

func (f *Fetcher) switched() {
	g, ok := f.o.Store.Generation(f.o.Set)
	if ok && f.o.OnSwitch != nil {
		f.o.OnSwitch(g)
	}
	f.tell(true)
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

func baseParcels(m wire.Manifest) []parcel {
	list := make([]parcel, len(m.Chunks))
	for i, c := range m.Chunks {
		list[i] = parcel{c.Digest, c.Size}
	}
	return list
}

func sizeOf(list []parcel) (n int64) {
	for _, p := range list {
		n += int64(p.size)
	}
	return n
}

// room says plainly when the disk cannot take the chunks that are missing and
// the file that is made of them.
func (f *Fetcher) room(t *target, list []parcel) error {
	free, err := f.dir.free()
	if err != nil {
		return storeError{err}
	}
	_, held := f.dir.missing(list)
	chunks := sizeOf(list) - held
	file := int64(t.gen.People)*int64(t.gen.Width+1) + int64(t.gen.Extras)*24 + 1<<20
	if free < chunks+file+f.o.Reserve {
		const mib = 1 << 20
		return refusal{code: codeNoRoom, detail: fmt.Sprintf("%d MiB of the disk are free; it takes %d MiB: %d for the chunks, %d for the file, and %d are left to the journal",
			free/mib, (chunks+file+f.o.Reserve)/mib, chunks/mib, file/mib, f.o.Reserve/mib)}
	}
	return nil
}

// spread waits as the manifest asks, so that a fleet does not come at once. A
// box without data does not wait, nor does one that has begun.
func (f *Fetcher) spread(ctx context.Context, t *target, list []parcel) error {
	if _, ok := f.o.Store.Generation(f.o.Set); !ok || t.m.SpreadS == 0 {
		return nil
	}
	f.mu.Lock()
	if f.start.IsZero() {
		f.start = time.Now().Add(rand.N(time.Duration(t.m.SpreadS) * time.Second))
		if _, held := f.dir.missing(list); held > 0 {
			f.start = time.Now()
		}
		if time.Until(f.start) > 0 {
			f.log.Info("the next base is fetched later, so that gates do not come at once",
				"version", t.gen.Version, "at", f.start.UTC().Truncate(time.Second), "within", time.Duration(t.m.SpreadS)*time.Second)
		}
	}
	start := f.start
	f.mu.Unlock()
	if time.Until(start) <= 0 {
		return nil
	}
	waits := func(version uint64) {
		f.count(func(st *Status) { st.Waits = version })
		f.tell(true)
	}
	waits(t.gen.Version)
	defer waits(0)
	for {
		left := time.Until(start)
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
			return nil
		case <-f.wake:
			timer.Stop()
			f.meanwhile(ctx)
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// meanwhile applies a delta that has come while a base is awaited: the data in
// force goes on being current.
func (f *Fetcher) meanwhile(ctx context.Context) {
	for ctx.Err() == nil {
		st, t := f.next()
		if st.kind != stepDelta {
			return
		}
		f.mu.Lock()
		d := f.arrived[st.n]
		f.mu.Unlock()
		if d == nil || len(d.doc.Chunks) > 0 {
			return
		}
		if err := f.applyDelta(ctx, st.n, t); err != nil {
			f.blame(st, t, err, misses)
			return
		}
	}
}
