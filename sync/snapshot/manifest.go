package snapshot

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// bar keeps out what a manifest has taken back: nothing up to that version
// comes into force that was not issued after it.
type bar struct {
	upTo   uint64
	issued time.Time
}

func barOf(m wire.Manifest) bar {
	return bar{upTo: m.BackFrom, issued: time.Unix(m.Iat, 0)}
}

func (b bar) keepsOut(n uint64, issued time.Time) bool {
	return n <= b.upTo && !issued.After(b.issued)
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
	known := inForce && string(have.Manifest) == string(compact)
	if f.wanted() != nil && string(f.kept) == string(compact) {
		f.judge(func() { f.refusal = refusal{} })
		return
	}
	// One that is in force already is kept, whatever its exp says.
	d, err := f.o.Verifier.Verify(signed.TypeManifest, f.o.Set, compact, f.o.Moment(), signed.Options{InForce: known})
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
	var g gate.Generation
	if err == nil {
		g, err = m.Generation(compact)
	}
	if err != nil {
		f.refuse(err)
		return
	}
	news := true
	if !known {
		if news, err = f.follows(m, g, have); err != nil {
			f.refuse(err)
			return
		}
	}
	f.judge(func() { f.refusal, f.badDelta = refusal{}, refusal{} })
	if !news {
		return
	}
	f.kept = compact
	f.last = m
	f.want(&target{m, g})
	if f.o.OnVerified != nil {
		f.o.OnVerified(d.Iat)
	}
}

// follows says whether a manifest that is not in force may take the place of
// the last one: news is false when it says no more than that.
func (f *Fetcher) follows(m wire.Manifest, g gate.Generation, have gate.Generation) (news bool, err error) {
	last := f.last
	newest := last.Ver
	if newest == 0 {
		newest = have.Version
	}
	issued := time.Unix(last.Iat, 0)
	switch {
	case m.Ver < newest && (m.BackFrom < max(newest, have.Version) || !g.Issued.After(issued)):
		return false, &signed.Refusal{Code: signed.CodeOlderVersion, Detail: fmt.Sprintf("version %d is older than %d", m.Ver, newest)}
	case barOf(last).keepsOut(m.Ver, g.Issued) && (m.Ver != last.Ver || m.BackFrom != last.BackFrom):
		return false, &signed.Refusal{Code: signed.CodeOlderVersion, Detail: fmt.Sprintf("version %d was taken back", m.Ver)}
	case m.Ver == last.Ver && last.BackFrom > m.BackFrom:
		return false, refusal{code: codeMisfit, detail: fmt.Sprintf("it does not say that versions up to %d were taken back, as the last one does", last.BackFrom)}
	}
	if base, digest, ok := f.o.Store.Base(f.o.Set); ok && g.Version == base && g.Digest != digest {
		return false, refusal{code: codeOtherData, detail: fmt.Sprintf("other data under version %d, which is in force", g.Version)}
	}
	if w := f.wanted(); w != nil && g.Version == w.gen.Version && g.Digest != w.gen.Digest {
		return false, refusal{code: codeOtherData, detail: fmt.Sprintf("other data under version %d, which is being fetched", g.Version)}
	}
	return m.Ver != last.Ver || g.Issued.After(issued), nil
}

// mend fetches again what the store has lost: a file that proved damaged.
func (f *Fetcher) mend() {
	if _, ok := f.o.Store.Generation(f.o.Set); ok || f.wanted() != nil {
		return
	}
	f.take.Lock()
	defer f.take.Unlock()
	if kept := f.kept; kept != nil {
		f.takeManifest(kept)
	}
}

func (f *Fetcher) wanted() *target {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.target
}

// errNewer ends the fetching of a base that nobody wants any more.
var errNewer = errors.New("a newer version came")

func (f *Fetcher) want(t *target) {
	f.mu.Lock()
	was := f.target
	f.target = t
	clear(f.lacking)
	f.foreign = false
	for n, d := range f.arrived {
		if ref := t.ref(n); ref != nil && ref.Digest != d.digest || barOf(t.m).keepsOut(n, d.issued) {
			delete(f.arrived, n) // the right one is read by its topic
		}
	}
	var cancel func(error)
	if was != nil && (was.gen.Version != t.gen.Version || was.gen.Digest != t.gen.Digest) {
		f.start = time.Time{}
		if f.cancel != nil {
			cancel = f.cancel
		}
	}
	f.mu.Unlock()
	if cancel != nil {
		cancel(errNewer)
	}
	f.rouse()
}

// readKept reads the manifest that the store kept. It was verified when it was
// taken.
func readKept(compact []byte) (m wire.Manifest, ok bool) {
	_, rest, _ := strings.Cut(string(compact), ".")
	body, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return wire.Manifest{}, false
	}
	m, err = wire.ParseManifest(payload)
	return m, err == nil
}
