package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// Bounds of the deltas that wait to be applied: as many as a manifest names,
// and twice the largest document. What does not fit is read by its topic when
// its turn comes.
const (
	maxArrived      = wire.MaxDeltas
	maxArrivedBytes = 1 << 20
)

// delta is one that was verified.
type delta struct {
	doc    wire.DeltaDoc
	dom    gate.Delta
	digest string // of the document
	bytes  int    // of the document
	issued time.Time
}

// on says whether the delta refers to that base.
func (d *delta) on(base uint64, digest [32]byte) bool {
	return d.dom.Base == base && d.dom.BaseDigest == digest
}

// size gives the bytes that it takes to bring all of it.
func (d *delta) size() int64 {
	n := int64(d.bytes)
	for _, p := range d.doc.Chunks {
		n += int64(p.Size)
	}
	return n
}

// TakeDelta takes a delta as it came on the topic of number n; an empty body
// means that the topic was cleared. One that is in force already, or that no
// manifest has led to yet, is passed over without a word: brokers deliver what
// they keep again and again.
func (f *Fetcher) TakeDelta(n uint64, compact []byte) {
	if len(compact) == 0 {
		return
	}
	f.take.Lock()
	defer f.take.Unlock()
	have, inForce := f.o.Store.Generation(f.o.Set)
	want := f.wanted()
	switch {
	case inForce && n <= have.Version:
		f.count(func(st *Status) { st.Stale++ })
		return
	case !inForce && want == nil:
		return // it will be read when it is known to be needed
	}
	// What the manifest has left behind the broker keeps a little longer, for
	// boxes that do not have the manifest yet. It may be of use, no more.
	behind := want != nil && n <= want.m.Ver && want.ref(n) == nil
	d, err := f.judgeDelta(n, compact, want)
	if err != nil {
		if behind {
			f.count(func(st *Status) { st.Stale++ })
			return
		}
		if r, ok := errors.AsType[*signed.Refusal](err); ok && r.Code == signed.CodeUnknownKey && f.o.Verifier.Trust().Ver == 0 {
			return
		}
		f.refuseDelta(err)
		return
	}
	base, digest, ok := f.o.Store.Base(f.o.Set)
	switch {
	case ok && d.on(base, digest):
	case want == nil:
		return // the manifest that leads there may be on its way
	case want.ref(n) != nil && !d.on(want.gen.Version, want.gen.Digest), behind:
		f.count(func(st *Status) { st.Stale++ }) // for boxes on another base
		return
	case !d.on(want.gen.Version, want.gen.Digest):
		f.refuseDelta(refusal{code: codeOtherBase, detail: fmt.Sprintf("delta %d changes version %d, which is neither here nor wanted", n, d.dom.Base)})
		return
	}
	f.keepDelta(d)
	f.rouse()
}

// judgeDelta verifies a delta. One that the manifest names is the very one
// that central means, for as long as the manifest is good.
func (f *Fetcher) judgeDelta(n uint64, compact []byte, want *target) (*delta, error) {
	sum := sha256.Sum256(compact)
	digest := hex.EncodeToString(sum[:])
	ref := want.ref(n)
	if ref != nil && ref.Digest != digest {
		return nil, refusal{code: codeOtherData, detail: fmt.Sprintf("delta %d is not the one that the manifest names", n)}
	}
	d, err := f.o.Verifier.Verify(signed.TypeDelta, f.o.Set, compact, f.o.Moment(), signed.Options{InForce: ref != nil})
	if err != nil {
		return nil, err
	}
	if d.Ver != n {
		return nil, refusal{code: codeMisfit, detail: fmt.Sprintf("delta %d on the topic of delta %d", d.Ver, n)}
	}
	doc, err := wire.ParseDelta(d.Payload)
	if err != nil {
		return nil, err
	}
	if b := barOf(f.last); ref == nil && b.keepsOut(n, d.Iat) {
		return nil, &signed.Refusal{Code: signed.CodeOlderVersion, Detail: fmt.Sprintf("delta %d was taken back", n)}
	}
	return &delta{doc: doc, dom: doc.Domain(), digest: digest, bytes: len(compact), issued: d.Iat}, nil
}

// keepDelta keeps a delta until its turn comes; where there is no room for it,
// those nearest to their turn stay.
func (f *Fetcher) keepDelta(d *delta) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived[d.dom.N] = d
	delete(f.lacking, d.dom.N)
	bytes := 0
	for i, n := range slices.Sorted(maps.Keys(f.arrived)) {
		if bytes += f.arrived[n].bytes; bytes > maxArrivedBytes || i >= maxArrived {
			delete(f.arrived, n)
		}
	}
}

// readDelta reads delta n by its topic.
func (f *Fetcher) readDelta(ctx context.Context, n uint64, want *target) (*delta, error) {
	f.mu.Lock()
	d := f.arrived[n]
	f.mu.Unlock()
	if d != nil {
		return d, nil
	}
	body, err := f.link.Retained(ctx, f.o.Topics.Delta(f.o.Set, n), chunkWithin)
	if err == nil && len(body) == 0 {
		err = errCleared
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("delta %d: %w", n, err)
	}
	f.take.Lock()
	d, err = f.judgeDelta(n, body, want)
	f.take.Unlock()
	if err != nil {
		return nil, err
	}
	f.keepDelta(d)
	return d, nil
}

// errCleared is a topic that was cleared while it was read.
var errCleared = errors.New("it was cleared")

// applyDelta brings what belongs to a delta and applies it.
func (f *Fetcher) applyDelta(ctx context.Context, n uint64, t *target) error {
	d, err := f.readDelta(ctx, n, t)
	if err != nil {
		return err
	}
	base, digest, ok := f.o.Store.Base(f.o.Set)
	if !ok || !d.on(base, digest) {
		return refusal{code: codeOtherBase, detail: fmt.Sprintf("delta %d changes version %d, which is not the base here", n, d.dom.Base)}
	}
	var list []parcel
	for _, p := range d.doc.Chunks {
		list = append(list, parcel{p.Digest, p.Size})
	}
	if len(list) > 0 {
		if err := f.gather(ctx, gathering{what: fmt.Sprintf("delta %d", n), list: list, urls: t.urls(), first: f.deltaWay(t)}); err != nil {
			return err
		}
	}
	var fetching error
	var decoding bool
	err = f.o.Store.Apply(d.dom, func(each func(gate.Change) error) error {
		var store error
		err := d.doc.Changes(
			func(p wire.Piece) ([]byte, error) {
				body, err := f.dir.get(parcel{p.Digest, p.Size})
				fetching = err
				return body, err
			},
			func(c gate.Change) error { store = each(c); return store },
		)
		decoding = err != nil && store == nil && fetching == nil
		return err
	})
	switch {
	case err == nil:
	case fetching != nil:
		return fetching
	case decoding:
		return fmt.Errorf("%w: %w", errBadVersion, err)
	default:
		return storeError{err}
	}
	for _, p := range list {
		if err := remove(f.dir.path(p.digest)); err != nil {
			f.log.Warn("data set: a chunk is not removed", "error", err)
		}
	}
	f.mu.Lock()
	delete(f.arrived, n)
	f.mu.Unlock()
	f.count(func(st *Status) { st.Deltas++; st.Fetched += uint64(d.bytes) })
	f.log.Info("delta in force", "version", n, "changes", d.dom.Changes)
	f.judge(func() { f.badDelta = refusal{} })
	if f.o.OnVerified != nil {
		f.o.OnVerified(d.issued)
	}
	f.switched()
	return nil
}

// deltaWay guesses where the chunks of a delta are.
func (f *Fetcher) deltaWay(t *target) way {
	if t != nil && len(t.m.Chunks) > wire.MaxRetained {
		return byAsking
	}
	return byTopic
}

func (t *target) urls() []string {
	if t == nil {
		return nil
	}
	return t.m.URLs
}

func (f *Fetcher) refuseDelta(err error) {
	r := reasonOf(err)
	f.judge(func() { f.st.Refused++; f.badDelta = r })
}
