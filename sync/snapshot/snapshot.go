// Package snapshot brings one data set down to the box: a signed manifest
// names a whole version and its chunks by digest, the chunks are read one by
// one from the broker, and the store switches to the version when all of it
// has been verified (DESIGN §4.3, §3 rule 8).
//
// It owns which version is wanted, the reading of chunks and the reasons of
// refusal. What is in force, and where it lies on the disk, is the store's; a
// half-read version is never in force. Keys and the age of data are not its
// concern.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// Store keeps the versions.
type Store interface {
	// Generation describes the version in force; ok is false when there is
	// none or it has to be fetched again.
	Generation(set string) (g gate.Generation, ok bool)
	// Stage begins to write a newer version.
	Stage(g gate.Generation) (gate.GenerationWriter, error)
	// Vouch records a newer manifest for the version in force.
	Vouch(g gate.Generation) error
}

// Reader reads what the broker keeps on one full topic. Its errors wrap those
// of sync/mqttlink.
type Reader interface {
	Retained(ctx context.Context, topic string, within time.Duration) ([]byte, error)
}

// Fault is what is wrong with the set; the zero Fault says that nothing is.
type Fault struct {
	Code   health.Code // data_refused
	Detail string
}

// Status is a set as it stands.
type Status struct {
	Set     string
	Version uint64 // in force; 0: none
	Target  uint64 // being fetched; 0: none
	// Chunks of the target: those that are in the store's staging, and all.
	Done, Chunks int
	Fetched      uint64 // bytes of chunks since the start
	Again        uint64 // chunks that had to be read again
	Refused      uint64 // manifests refused since the start
	Fault        Fault
}

// Options of a Fetcher. The callbacks may be nil.
type Options struct {
	Set      string
	Topics   wire.Topics
	Verifier *signed.Verifier
	Moment   func() signed.Moment
	Store    Store
	// OnSwitch is told when a version came into force.
	OnSwitch func(g gate.Generation)
	// OnVerified is told the `iat` of each manifest that was taken, by which
	// the clock's floor may rise.
	OnVerified func(issued time.Time)
	// OnFault is told when [Status.Fault] changes. It must not block.
	OnFault func(Fault)
}

// Fetcher keeps one set up to date.
type Fetcher struct {
	o    Options
	link Reader
	log  *slog.Logger
	wake chan struct{} // holds one token

	take sync.Mutex // held while a manifest is taken; guards the following
	held []byte     // a manifest whose key was not known
	kept []byte     // the newest that was taken

	mu     sync.Mutex // guards all following; never held while calling out
	target *target    // wanted; nil when the store has it
	vouch  *gate.Generation
	cancel context.CancelCauseFunc // ends the fetching under way
	ups    int                     // connections so far
	newest uint64                  // highest version ever taken
	// Why the last manifest was refused, and why the fetching does not get on.
	refusal, trouble string
	st               Status
}

// target is a version to fetch.
type target struct {
	m   wire.Manifest
	gen gate.Generation
}

// New makes a Fetcher and subscribes the manifest. It belongs before the
// link's Run.
func New(o Options, link *mqttlink.Link, log *slog.Logger) *Fetcher {
	f := newFetcher(o, link, log)
	link.Add(mqttlink.Subscription{
		Filter: o.Topics.Manifest(o.Set), QoS: 1, Queue: 2, MaxBody: signed.MaxSize(signed.TypeManifest),
		Handle: func(_ string, body []byte, _ bool) { f.TakeManifest(body) },
	})
	link.OnUp(f.Up)
	return f
}

func newFetcher(o Options, link Reader, log *slog.Logger) *Fetcher {
	f := &Fetcher{o: o, link: link, log: log, wake: make(chan struct{}, 1)}
	f.st.Set = o.Set
	if g, ok := o.Store.Generation(o.Set); ok {
		f.newest, f.kept = g.Version, g.Manifest
	}
	return f
}

// TakeManifest takes a manifest as it came; an empty body means that the topic
// was cleared and changes nothing. It may block for the store's disk, so it
// belongs on a queue's goroutine.
func (f *Fetcher) TakeManifest(compact []byte) {
	if len(compact) == 0 {
		return
	}
	f.take.Lock()
	defer f.take.Unlock()
	f.takeManifest(compact)
}

// Retry takes again the manifest that was refused for want of its key.
// Whoever brings new keys into force calls it.
func (f *Fetcher) Retry() {
	f.take.Lock()
	defer f.take.Unlock()
	if held := f.held; held != nil {
		f.held = nil
		f.takeManifest(held)
	}
}

func (f *Fetcher) takeManifest(compact []byte) {
	have, inForce := f.o.Store.Generation(f.o.Set)
	if inForce && string(have.Manifest) == string(compact) {
		f.judge(func() { f.refusal = "" })
		return
	}
	f.mu.Lock()
	newest := max(f.newest, have.Version)
	wanted := f.target
	f.mu.Unlock()
	d, err := f.o.Verifier.Verify(signed.TypeManifest, f.o.Set, compact, f.o.Moment(), signed.Options{AtLeast: newest})
	if err != nil {
		f.held = nil
		if r, ok := errors.AsType[*signed.Refusal](err); ok && r.Code == signed.CodeUnknownKey {
			f.held = compact // the trust list that knows it may be on its way
			if f.o.Verifier.Trust().Ver == 0 {
				return // no list at all yet: that is the fault, not this manifest
			}
		}
		f.refuse(err)
		return
	}
	m, err := wire.ParseManifest(d.Payload)
	if err != nil {
		f.refuse(err)
		return
	}
	g, err := m.Generation(compact)
	if err != nil {
		f.refuse(err)
		return
	}
	switch {
	case inForce && g.Version == have.Version:
		err = f.vouchFor(g, have)
	case wanted != nil && g.Version == wanted.gen.Version:
		err = f.vouchLater(g, wanted)
	default:
		f.want(&target{m, g})
	}
	if err != nil {
		f.refuse(err)
		return
	}
	f.kept = compact
	f.judge(func() { f.refusal = "" })
	if f.o.OnVerified != nil {
		f.o.OnVerified(d.Iat)
	}
}

// mend fetches again what the store has lost: a file that proved damaged.
func (f *Fetcher) mend() {
	if _, ok := f.o.Store.Generation(f.o.Set); ok {
		return
	}
	f.take.Lock()
	defer f.take.Unlock()
	if f.kept != nil {
		f.takeManifest(f.kept)
	}
}

// vouchFor takes a manifest that names the version in force again.
func (f *Fetcher) vouchFor(g, have gate.Generation) error {
	if g.Digest != have.Digest {
		return fmt.Errorf("other data under version %d, which is in force", g.Version)
	}
	if !g.Issued.After(have.Issued) {
		return nil
	}
	f.log.Info("version vouched for again", "version", g.Version, "issued", g.Issued)
	return f.o.Store.Vouch(g)
}

// vouchLater takes a manifest that names the version being fetched again.
func (f *Fetcher) vouchLater(g gate.Generation, wanted *target) error {
	if g.Digest != wanted.gen.Digest {
		return fmt.Errorf("other data under version %d, which is being fetched", g.Version)
	}
	if !g.Issued.After(wanted.gen.Issued) {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.vouch == nil || g.Issued.After(f.vouch.Issued) {
		f.vouch = &g
	}
	return nil
}

// errNewer ends the fetching of a version that nobody wants any more.
var errNewer = errors.New("a newer version came")

func (f *Fetcher) want(t *target) {
	f.mu.Lock()
	f.target, f.vouch = t, nil
	f.newest = t.gen.Version
	f.st.Target, f.st.Done, f.st.Chunks = t.gen.Version, 0, len(t.m.Chunks)
	cancel := f.cancel
	f.mu.Unlock()
	if cancel != nil {
		cancel(errNewer)
	}
	f.rouse()
}

// Up is told by the link that there is a new connection: waiting ends.
func (f *Fetcher) Up() {
	f.mu.Lock()
	f.ups++
	f.mu.Unlock()
	f.rouse()
}

func (f *Fetcher) rouse() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Status gives the set as it stands.
func (f *Fetcher) Status() Status {
	g, _ := f.o.Store.Generation(f.o.Set)
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.st
	st.Version = g.Version
	return st
}

func (f *Fetcher) refuse(err error) {
	why := err.Error()
	if r, ok := errors.AsType[*signed.Refusal](err); ok {
		why = r.Code + ": " + r.Detail
	}
	f.judge(func() { f.st.Refused++; f.refusal = why })
}

// judge lets change set the reasons and tells when the fault is another.
func (f *Fetcher) judge(change func()) {
	f.mu.Lock()
	change()
	var now Fault
	switch {
	case f.trouble != "":
		now = Fault{health.DataRefused, f.trouble}
	case f.refusal != "":
		now = Fault{health.DataRefused, f.refusal}
	}
	changed := f.st.Fault != now
	f.st.Fault = now
	f.mu.Unlock()
	if !changed {
		return
	}
	if now.Code != "" {
		f.log.Warn("data set: fault", "code", now.Code, "detail", now.Detail)
	}
	if f.o.OnFault != nil {
		f.o.OnFault(now)
	}
}
