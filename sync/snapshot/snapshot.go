// Package snapshot brings one data set down to the box and keeps it current: a
// signed manifest names a whole version, the chunks it is made of and the
// deltas that lead on from there. Chunks are fetched, held to their digests
// and kept until the store can build the version from them; deltas are applied
// one by one (DESIGN §4.3, §3 rule 8).
//
// It owns which version is wanted and the cheapest way to it, the fetching,
// and the reasons of refusal. What is in force, and where it lies on the disk,
// is the store's; a half-read version is never in force. Keys and the age of
// data are not its concern.
//
// A [Fetcher] looks after one set. All of them share one [Courier], which
// holds the box to its window and its pace.
package snapshot

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// Store keeps the versions.
type Store interface {
	// Generation describes what is in force; its Version counts the deltas
	// that were applied. ok is false when there is none or it has to be
	// fetched again.
	Generation(set string) (g gate.Generation, ok bool)
	// Base names the whole version from which that has grown.
	Base(set string) (version uint64, digest [32]byte, ok bool)
	// Stage begins to write a newer whole version.
	Stage(g gate.Generation) (gate.GenerationWriter, error)
	// StageBack does so also for one that is older than what is in force.
	StageBack(g gate.Generation) (gate.GenerationWriter, error)
	// Vouch records a newer manifest for the version in force.
	Vouch(g gate.Generation) error
	// Apply applies one delta, whole or not at all. changes calls each with
	// every change.
	Apply(d gate.Delta, changes func(each func(gate.Change) error) error) error
	// Rebase builds the whole version g from the version in force, which has
	// the same content. done is false when what came out has another digest.
	Rebase(g gate.Generation) (done bool, err error)
}

// Fault is what is wrong with the set; the zero Fault says that nothing is.
type Fault struct {
	Code health.Code // data_refused; data_awaited for what does not come
	// Reason is a code that does not change: one of [signed.Refusal], or of
	// this package.
	Reason string
	Detail string
}

// The reasons of this package.
const (
	codeMalformed  = "malformed"      // signed, and cannot be read
	codeMisfit     = "misfit"         // its parts do not fit each other, or nothing leads there
	codeOtherData  = "other_data"     // other data under a number that is taken
	codeOtherBase  = "other_base"     // a delta for another base
	codeWrongChunk = "wrong_chunk"    // a chunk that is not the one that is named
	codeNobody     = "nobody_answers" // chunks are asked for in vain
	codeNotThere   = "not_there"      // the broker does not have it
	codeNoRoom     = "no_room"        // the disk is too full
	codeNoKey      = "no_key"         // its pseudonyms are under a key that has not come
	codeStore      = "store"          // the store did not take it
)

// Status is a set as it stands.
type Status struct {
	Set     string
	Version uint64 // in force; 0: none
	Base    uint64 // the whole version from which that has grown
	Target  uint64 // on the way to; 0: nothing is under way
	// Waits is the base that will be fetched at From, so that gates do not come
	// all at once; 0: none.
	Waits uint64
	From  time.Time
	// Done and Chunks are the messages of the target that are here, and all
	// of them; Bytes and OfBytes the same in bytes.
	Done, Chunks   int
	Bytes, OfBytes int64
	// Rate is bytes a second of late, Left what is left at that; 0: unknown.
	Rate    int64
	Left    time.Duration
	Fetched uint64 // bytes of chunks and deltas since the start
	Again   uint64 // chunks that had to be fetched again
	Wrong   uint64 // chunks that were not the ones they were said to be
	Deltas  uint64 // deltas applied since the start
	Stale   uint64 // deltas that came and are in force already
	Refused uint64 // manifests and deltas refused since the start
	Fault   Fault
}

// Options of a Fetcher. The callbacks may be nil.
type Options struct {
	Set      string
	Topics   wire.Topics
	Verifier *signed.Verifier
	Moment   func() signed.Moment
	Store    Store
	Courier  *Courier
	// Dir is where chunks wait until the version is in force; only this
	// Fetcher writes there.
	Dir string
	// Reserve is how many bytes of the disk are left free; 0 means 64 MiB.
	Reserve int64
	// OnSwitch is told what came into force: a whole version, or one that a
	// delta has led to.
	OnSwitch func(g gate.Generation)
	// OnVerified is told the `iat` of each manifest that was taken and of each
	// delta that was applied, by which the clock's floor may rise.
	OnVerified func(issued time.Time)
	// OnFault is told when [Status.Fault] changes, one call after the other. It
	// must not block, nor call the Fetcher's Take methods or Retry.
	OnFault func(Fault)
	// OnProgress is told now and then that Status has moved on, and when a
	// fetch begins or ends. It must not block.
	OnProgress func()
}

// Fetcher keeps one set up to date.
type Fetcher struct {
	o    Options
	link Link
	dir  chunkDir
	log  *slog.Logger
	wake chan struct{} // holds one token

	take sync.Mutex    // held while a document is taken; guards the following
	held []byte        // a manifest whose key was not known
	kept []byte        // the newest that was taken
	last wire.Manifest // the same, read; Ver 0: none

	judging sync.Mutex // held while a fault is judged and told

	mu      sync.Mutex // guards all following; never held while calling out
	target  *target    // of the newest manifest; nil before the first
	arrived map[uint64]*delta
	lacking map[uint64]bool
	foreign bool      // the target's base could not be built here
	start   time.Time // when the target's base may be fetched; zero: not drawn
	prefer  way       // how the last chunk came
	drawn   bool      // prefer says something
	cancel  context.CancelCauseFunc
	ups     int // connections so far
	// Why the last manifest or delta was refused, and why the fetching does
	// not get on.
	refusal, badDelta, trouble refusal
	turn                       uint64 // of judge
	st                         Status
	meter                      meter
	told                       time.Time // of OnProgress
}

// New makes a Fetcher and subscribes manifest and deltas. It belongs before
// the link's Run.
func New(o Options, link *mqttlink.Link, log *slog.Logger) *Fetcher {
	f := newFetcher(o, link, log)
	link.Add(mqttlink.Subscription{
		Filter: o.Topics.Manifest(o.Set), QoS: 1, Queue: 2, MaxBody: signed.MaxSize(signed.TypeManifest),
		Handle: func(_ string, body []byte, _ bool) { f.TakeManifest(body) },
	})
	// At most 300 of them are kept, a few KiB each. What the queue has no room
	// for is read by its topic.
	link.Add(mqttlink.Subscription{
		Filter: o.Topics.Deltas(o.Set), QoS: 1, Queue: 64, Once: true, MaxBody: maxDeltaBody,
		Handle: func(topic string, body []byte, _ bool) {
			if a, ok := o.Topics.Parse(topic); ok && a.Kind == wire.KindDelta {
				f.TakeDelta(a.N, body)
			}
		},
	})
	link.OnUp(f.Up)
	return f
}

// maxDeltaBody bounds the document of a delta, in bytes: what a manifest may
// name.
const maxDeltaBody = 64 << 10

func newFetcher(o Options, link Link, log *slog.Logger) *Fetcher {
	if o.Reserve == 0 {
		o.Reserve = 64 << 20
	}
	f := &Fetcher{
		o: o, link: link, dir: chunkDir{o.Dir}, log: log, wake: make(chan struct{}, 1),
		arrived: make(map[uint64]*delta), lacking: make(map[uint64]bool),
	}
	f.st.Set = o.Set
	if g, ok := o.Store.Generation(o.Set); ok {
		f.kept = g.Manifest
		f.last, _ = readKept(g.Manifest)
	}
	return f
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
	base, _, _ := f.o.Store.Base(f.o.Set)
	f.mu.Lock()
	defer f.mu.Unlock()
	st := f.st
	st.Version, st.Base = g.Version, base
	if st.Waits != 0 {
		st.From = time.Now().Add(time.Until(f.start)) // the clock may have been set
	}
	if st.Target != 0 {
		if st.Rate = f.meter.rate(time.Now()); st.Rate > 0 {
			st.Left = time.Duration(float64(st.OfBytes-st.Bytes) / float64(st.Rate) * float64(time.Second)).Round(time.Second)
		}
	}
	return st
}

// ErrNoKey is what a [Store] wraps that does not take a version for want of the
// key of its pseudonyms.
var ErrNoKey = errors.New("its key is not here")

// refusal is a reason with its code.
type refusal struct {
	code, detail string
	turn         uint64 // of judge: the latest word is the one that is shown
}

func (r refusal) Error() string { return r.code + ": " + r.detail }

func reasonOf(err error) refusal {
	if r, ok := errors.AsType[*signed.Refusal](err); ok {
		return refusal{code: r.Code, detail: r.Detail}
	}
	if r, ok := errors.AsType[refusal](err); ok {
		return r
	}
	code := codeMalformed
	switch {
	case errors.Is(err, errWrongChunk):
		code = codeWrongChunk
	case errors.Is(err, errNobody):
		code = codeNobody
	case errors.Is(err, mqttlink.ErrNothingRetained), errors.Is(err, errCleared):
		code = codeNotThere
	case errors.Is(err, errBadVersion):
		code = codeMisfit
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code = codeNoRoom
	case errors.Is(err, ErrNoKey):
		code = codeNoKey
	case isStore(err):
		code = codeStore
	}
	return refusal{code: code, detail: err.Error()}
}

// faultOf tells what central is to be told from what somebody on the spot, or
// whoever runs central's programs, can mend.
func faultOf(reason string) health.Code {
	switch reason {
	case codeNobody, codeNotThere, codeNoRoom, codeNoKey:
		return health.DataAwaited
	default:
		return health.DataRefused
	}
}

func isStore(err error) bool {
	_, ok := errors.AsType[storeError](err)
	return ok
}

func (f *Fetcher) refuse(err error) {
	r := reasonOf(err)
	f.judge(func() { f.st.Refused++; f.refusal = r })
}

// judge lets change set the reasons and tells when the fault is another.
func (f *Fetcher) judge(change func()) {
	f.judging.Lock() // so that the last word that is told is the last
	defer f.judging.Unlock()
	f.mu.Lock()
	change()
	f.turn++
	var latest refusal
	for _, r := range [...]*refusal{&f.trouble, &f.refusal, &f.badDelta} {
		if r.code != "" && r.turn == 0 {
			r.turn = f.turn
		}
		if r.turn > latest.turn {
			latest = *r
		}
	}
	var now Fault
	if latest.code != "" {
		now = Fault{Code: faultOf(latest.code), Reason: latest.code, Detail: latest.Error()}
	}
	changed := f.st.Fault != now
	f.st.Fault = now
	f.mu.Unlock()
	if !changed {
		return
	}
	if now.Code != "" {
		f.log.Warn("data set: fault", "code", now.Code, "reason", now.Reason, "detail", now.Detail)
	}
	if f.o.OnFault != nil {
		f.o.OnFault(now)
	}
}

func (f *Fetcher) count(change func(*Status)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.st)
}
