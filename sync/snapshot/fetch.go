package snapshot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/mqttlink"
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
