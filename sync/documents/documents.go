// Package documents keeps a site's signed documents in force: the trust list,
// the policy, and the list of what is revoked (DESIGN §4.3). It takes them as they come from the broker, in
// any order, has them verified, writes them down and only then has them take
// effect; after a start it brings the last ones back.
//
// It owns the directory documents/ with the files
//
//	trust.jws         the trust list in force
//	policy.jws        the policy in force
//	policy.trust.jws  the trust list under which that policy was taken
//	revoked.jws       the list of what is revoked, and revoked.trust.jws
//	policies/         the last policies that were in force, to explain entries by
//
// each replaced whole. It does not know what a policy says, nor what time it
// is; both are given to it. Data sets and their manifests are sync/snapshot's.
package documents

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"gateagent/agent/health"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// The kinds, as they stand in faults and logs.
const (
	kindTrust   = "trust"
	kindPolicy  = "policy"
	kindRevoked = "revoked"
)

// Fault is what is wrong with one kind of document; the zero Fault says that
// nothing is. Detail begins with the code of the refusal (sync/signed).
type Fault struct {
	Code   health.Code // trust_missing, trust_refused, policy_built_in, policy_refused, revoked_refused
	Detail string
}

// State is one kind of document as it stands. Version 0 means that none is in
// force.
type State struct {
	Version uint64
	Issued  time.Time
	Expires time.Time
	Kid     string // that signed it
	Fault   Fault
	Refused uint64 // documents refused since the start
}

// Status is all kinds as they stand.
type Status struct{ Trust, Policy, Revoked State }

// Options of a Keeper. Only Revoked, OnTrust, OnVerified and OnFault may be nil.
type Options struct {
	Dir      string
	Roots    []signed.Root
	Site     string
	Gate     string
	Verifier *signed.Verifier
	Moment   func() signed.Moment

	// Policy reads a policy whose signature holds. It gives a function that
	// puts it into force, called once it is safely written down; an error
	// refuses the document and must hold nothing of its payload.
	Policy func(signed.Document) (apply func(), err error)
	// Revoked does the same for the list of what is revoked; nil: it is not
	// kept. Many a site has none, which is no fault.
	Revoked func(signed.Document) (apply func(), err error)
	// OnTrust is told of each trust list that came into force, the restored
	// one included: whoever refused something for want of a key tries again.
	OnTrust func(signed.Trust)
	// OnVerified is told the `iat` of each document that came into force, by
	// which the clock's floor may rise.
	OnVerified func(issued time.Time)
	// OnFault is told when a kind's fault changes. kind is "trust", "policy" or "revoked".
	OnFault func(kind string, f Fault)
}

// Keeper keeps the documents. It is safe for concurrent use. It starts no
// goroutine: TakeTrust, TakePolicy and TakeRevoked write to the disk and belong
// on a queue's goroutine.
type Keeper struct {
	o     Options
	log   *slog.Logger
	store store

	docs []*document // what is signed by keys of the trust list

	take      sync.Mutex // held while a document is taken; guards the next and held of the documents
	unwritten bool       // the trust list in force is not on the disk

	mu sync.Mutex // guards the following and in of the documents; never held while calling out
	st Status
}

// New makes a Keeper and its directory. Nothing is in force before Restore.
func New(o Options, log *slog.Logger) (*Keeper, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make documents directory: %w", err)
	}
	k := &Keeper{o: o, log: log, store: store{o.Dir}}
	k.docs = k.documents()
	return k, nil
}

// Attach subscribes the topics of the documents. It belongs before the
// link's Run.
func (k *Keeper) Attach(link *mqttlink.Link, topics wire.Topics) {
	link.Add(mqttlink.Subscription{
		Filter: topics.Trust(k.o.Site), QoS: 1, Queue: 2, MaxBody: signed.MaxSize(signed.TypeTrust),
		Handle: func(_ string, body []byte, _ bool) { k.TakeTrust(body) },
	})
	for _, d := range k.docs {
		link.Add(mqttlink.Subscription{
			Filter: topics.Of(wire.Address{Kind: d.topic, Site: k.o.Site}), QoS: 1, Queue: 2, MaxBody: signed.MaxSize(d.typ),
			Handle: func(_ string, body []byte, _ bool) { k.takeDocument(d, body) },
		})
	}
}

// Restore brings back what was in force before a start, the trust list first.
// A file that cannot be used is set aside under the name *.bad and its kind
// begins empty; that is a fault, not an error.
func (k *Keeper) Restore() {
	k.take.Lock()
	defer k.take.Unlock()
	k.restoreTrust()
	for _, d := range k.docs {
		k.restore(d)
	}
}

func (k *Keeper) restoreTrust() {
	raw, err := k.store.read(trustFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.setFault(kindTrust, Fault{health.TrustMissing, ""})
		return
	case err != nil:
		k.setFault(kindTrust, Fault{health.TrustRefused, err.Error()})
		return
	}
	t, err := k.o.Verifier.RestoreTrust(raw)
	if err != nil {
		k.store.setAside(trustFile)
		k.setFault(kindTrust, Fault{health.TrustRefused, "at start: " + reason(err)})
		return
	}
	k.trustInForce(t)
}

// TakeTrust takes a trust list as it came; an empty body means that the topic
// was cleared and changes nothing.
func (k *Keeper) TakeTrust(compact []byte) {
	if len(compact) == 0 {
		return
	}
	k.take.Lock()
	defer k.take.Unlock()
	before := k.o.Verifier.Trust().Ver
	t, err := k.o.Verifier.TakeTrust(compact, k.o.Moment())
	if err != nil {
		k.refused(kindTrust, health.TrustRefused, reason(err))
		return
	}
	// It is in force already: a newer trust list, even one that is forgotten
	// at the next start, is safer than the older one.
	isNew := t.Ver != before
	if isNew || k.unwritten {
		err := k.store.write(trustFile, compact)
		if k.unwritten = err != nil; k.unwritten {
			defer k.setFault(kindTrust, Fault{health.TrustRefused, "not written down: " + err.Error()})
		}
	}
	if !isNew {
		k.setFault(kindTrust, Fault{})
		return
	}
	k.trustInForce(t)
	for _, d := range k.docs {
		if held := d.held; held != nil {
			d.held = nil
			k.accept(d, held)
		}
	}
}

func (k *Keeper) trustInForce(t signed.Trust) {
	k.mu.Lock()
	k.st.Trust.Version, k.st.Trust.Issued = t.Ver, t.Issued()
	k.st.Trust.Expires = time.Unix(t.Exp, 0).UTC()
	k.mu.Unlock()
	k.log.Info("trust list in force", "version", t.Ver)
	k.setFault(kindTrust, Fault{})
	if k.o.OnVerified != nil {
		k.o.OnVerified(t.Issued())
	}
	if k.o.OnTrust != nil {
		k.o.OnTrust(t)
	}
}

// Status gives all kinds as they stand.
func (k *Keeper) Status() Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.st
}

func (k *Keeper) refused(kind string, code health.Code, why string) {
	k.mu.Lock()
	k.state(kind).Refused++
	k.mu.Unlock()
	k.log.Warn(kind+" refused", "reason", why)
	k.setFault(kind, Fault{code, why})
}

func (k *Keeper) setFault(kind string, f Fault) {
	k.mu.Lock()
	st := k.state(kind)
	changed := st.Fault != f
	st.Fault = f
	k.mu.Unlock()
	if changed && k.o.OnFault != nil {
		k.o.OnFault(kind, f)
	}
}

// state gives the state of a kind; mu is held.
func (k *Keeper) state(kind string) *State {
	switch kind {
	case kindTrust:
		return &k.st.Trust
	case kindRevoked:
		return &k.st.Revoked
	}
	return &k.st.Policy
}

// reason gives "code: detail" of a refusal, and the text of anything else.
func reason(err error) string {
	if r, ok := errors.AsType[*signed.Refusal](err); ok {
		return r.Code + ": " + r.Detail
	}
	return err.Error()
}

func codeOf(err error) string {
	if r, ok := errors.AsType[*signed.Refusal](err); ok {
		return r.Code
	}
	return ""
}
