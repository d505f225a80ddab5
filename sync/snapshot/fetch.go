package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

const (
	// What does not come or is not taken is tried again after pauseFirst,
	// doubling to pauseMost.
	pauseFirst = 5 * time.Second
	pauseMost  = 5 * time.Minute
	// mendLook is how often the store is asked whether it still has a version.
	mendLook = 30 * time.Second
	// What has not come so many times in a row is a fault: a cluster may pass
	// over a retained message that is only just there.
	misses = 3
	// tellEvery is how often progress is told.
	tellEvery = 10 * time.Second
)

// errBadVersion is a version whose parts do not fit each other although each
// is signed for. Reading it again does not help.
var errBadVersion = errors.New("it does not fit what is signed for")

// storeError marks an error of the store, for which no message is to blame.
type storeError struct{ err error }

func (e storeError) Error() string { return e.err.Error() }
func (e storeError) Unwrap() error { return e.err }

// Run brings what is wanted into force, step by step, until ctx ends. It gives
// nil then.
func (f *Fetcher) Run(ctx context.Context) error {
	pause, missed := newPause(), 0
	for ctx.Err() == nil {
		st, t := f.next()
		if st.kind == stepNone {
			pause, missed = newPause(), 0
			f.idle(ctx, t)
			continue
		}
		sctx, cancel := context.WithCancelCause(ctx)
		f.mu.Lock()
		f.cancel = cancel
		superseded := f.target != t
		f.mu.Unlock()
		if superseded { // a newer manifest came just now
			cancel(nil)
			continue
		}
		err := f.do(sctx, st, t)
		f.mu.Lock()
		f.cancel = nil
		f.mu.Unlock()
		superseded = errors.Is(context.Cause(sctx), errNewer)
		cancel(nil)
		switch {
		case err == nil, superseded:
			pause, missed = newPause(), 0
			if st.kind != stepRead {
				f.judge(func() { f.trouble = refusal{} })
			}
			continue
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was ended, which is no fault
		case errors.Is(err, errNotHeld):
			f.count(func(s *Status) { s.Again++ })
			continue // it is fetched again
		}
		if missed++; f.blame(st, t, err, missed) {
			pause.next = pauseMost
		}
		f.rest(ctx, pause.step())
	}
	return nil
}

// blame says what keeps a step from being done. last is true when there is no
// use in trying again soon.
func (f *Fetcher) blame(st step, t *target, err error, missed int) (last bool) {
	absent := errors.Is(err, mqttlink.ErrNothingRetained) || errors.Is(err, errCleared)
	switch {
	case errors.Is(err, mqttlink.ErrNotConnected):
		return false // that is the link's fault, in both senses
	case absent && missed < misses:
		return false
	}
	if st.kind == stepRead || st.kind == stepDelta {
		f.mu.Lock()
		f.lacking[st.n] = true // another way may be open
		if !absent {
			delete(f.arrived, st.n)
		}
		f.mu.Unlock()
	}
	r := reasonOf(err)
	version := st.n
	if version == 0 && t != nil {
		version = t.m.Ver
	}
	r.detail = fmt.Sprintf("version %d: %s", version, r.detail)
	f.judge(func() { f.trouble = r })
	return errors.Is(err, errBadVersion) || st.kind == stepMisfit
}

// next looks at the situation.
func (f *Fetcher) next() (step, *target) {
	have, ok := f.o.Store.Generation(f.o.Set)
	s := situation{}
	if ok {
		s.have = have
		s.base, s.digest, _ = f.o.Store.Base(f.o.Set)
	}
	f.mu.Lock()
	t := f.target
	for n := range f.arrived {
		if n <= s.have.Version && !s.returning(t, n) {
			delete(f.arrived, n)
		}
	}
	s.want, s.arrived, s.lacking, s.foreign = t, maps.Clone(f.arrived), maps.Clone(f.lacking), f.foreign
	f.mu.Unlock()
	s.toFetch = func() int64 {
		list := baseParcels(t.m)
		_, held := f.dir.missing(list)
		return sizeOf(list) - held
	}
	return s.next(), t
}

// returning says whether a delta is needed on a base that is older than what
// is in force.
func (s *situation) returning(t *target, n uint64) bool {
	return t != nil && n > t.gen.Version && n <= t.m.Ver && !s.onBase(t)
}

// idle waits for something to do. Chunks that were kept are of no more use,
// once it is known what is wanted.
func (f *Fetcher) idle(ctx context.Context, t *target) {
	if t != nil {
		if err := f.dir.keep(nil); err != nil {
			f.log.Warn("data set: chunks are not removed", "error", err)
		}
		f.judge(func() {
			if len(f.lacking) == 0 { // else it waits for a manifest that knows a way
				f.trouble = refusal{}
			}
		})
		f.arrive()
	}
	look := time.NewTimer(mendLook)
	defer look.Stop()
	select {
	case <-ctx.Done():
	case <-f.wake:
	case <-look.C:
		f.mend()
	}
}

// do takes one step.
func (f *Fetcher) do(ctx context.Context, st step, t *target) error {
	switch st.kind {
	case stepVouch:
		f.log.Info("version vouched for again", "version", t.m.Ver, "issued", t.gen.Issued)
		if err := f.o.Store.Vouch(vouched(t)); err != nil {
			return storeError{err}
		}
		return nil
	case stepRead:
		_, err := f.readDelta(ctx, st.n, t)
		return err
	case stepDelta:
		if t != nil && t.m.Ver >= st.n {
			f.depart(t)
		}
		return f.applyDelta(ctx, st.n, t)
	case stepRebase:
		return f.rebase(t)
	case stepBase:
		return f.fetchBase(ctx, t, st.back)
	default:
		return refusal{code: codeMisfit, detail: fmt.Sprintf("nothing leads from what is in force to base %d", t.gen.Version)}
	}
}

// vouched gives what the manifest says of the version that it leads to.
func vouched(t *target) gate.Generation {
	g := t.gen
	g.Version = t.m.Ver
	return g
}

// rebase has the store build the manifest's base from what is in force.
func (f *Fetcher) rebase(t *target) error {
	done, err := f.o.Store.Rebase(t.gen)
	switch {
	case err != nil:
		// Fetching it is dearer and does not need what failed here.
		f.log.Warn("data set: the new base was not built here; it is fetched", "error", err)
	case !done:
		f.log.Warn("data set: the new base differs from what was built here; it is fetched", "version", t.gen.Version)
	default:
		f.log.Info("base in force, built here", "version", t.gen.Version)
		f.switched()
		return nil
	}
	f.mu.Lock()
	f.foreign = true
	f.mu.Unlock()
	return nil
}

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

// depart says that the way to t has begun.
func (f *Fetcher) depart(t *target) {
	f.mu.Lock()
	begun := t != nil && f.st.Target != t.m.Ver
	if begun {
		f.st.Target = t.m.Ver
		f.st.Done, f.st.Chunks, f.st.Bytes, f.st.OfBytes = 0, 0, 0, 0
		f.meter = meter{}
		f.drawn = false
	}
	f.mu.Unlock()
	if begun {
		f.tell(true)
	}
}

// arrive says that nothing is under way.
func (f *Fetcher) arrive() {
	f.mu.Lock()
	was := f.st.Target
	f.st.Target, f.st.Done, f.st.Chunks, f.st.Bytes, f.st.OfBytes = 0, 0, 0, 0, 0
	f.mu.Unlock()
	if was != 0 {
		f.tell(true)
	}
}

// tell tells of progress, not too often unless it is news.
func (f *Fetcher) tell(news bool) {
	if f.o.OnProgress == nil {
		return
	}
	f.mu.Lock()
	due := news || time.Since(f.told) >= tellEvery
	if due {
		f.told = time.Now()
	}
	f.mu.Unlock()
	if due {
		f.o.OnProgress()
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
			f.meanwhile(ctx)
			f.mu.Lock()
			changed := f.ups != ups || f.target != t
			f.mu.Unlock()
			if changed {
				return
			}
		}
	}
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

// meter says how fast bytes come: over the last two spans of meterSpan.
type meter struct {
	began      time.Time
	now, since int64 // bytes of this span, and of the one before
	full       bool  // there is one before
}

const meterSpan = 10 * time.Second

func (m *meter) add(at time.Time, n int64) {
	m.turn(at)
	m.now += n
}

func (m *meter) turn(at time.Time) {
	if m.began.IsZero() {
		m.began = at
	}
	for spans := 0; at.Sub(m.began) >= meterSpan && spans < 3; spans++ {
		m.since, m.now, m.full = m.now, 0, true
		m.began = m.began.Add(meterSpan)
	}
	if at.Sub(m.began) >= meterSpan {
		*m = meter{began: at, full: true}
	}
}

func (m *meter) rate(at time.Time) int64 {
	if m.began.IsZero() {
		return 0
	}
	m.turn(at)
	over, bytes := at.Sub(m.began), m.now
	if m.full {
		over += meterSpan
		bytes += m.since
	}
	if over < time.Second {
		return 0
	}
	return int64(float64(bytes) / over.Seconds())
}
