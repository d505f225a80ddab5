// Package documents keeps a site's signed documents in force: the trust list
// and the policy (DESIGN §4.3). It takes them as they come from the broker, in
// any order, has them verified, writes them down and only then has them take
// effect; after a start it brings the last ones back.
//
// It owns the directory documents/ with the files
//
//	trust.jws         the trust list in force
//	policy.jws        the policy in force
//	policy.trust.jws  the trust list under which that policy was taken
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

// The two kinds, as they stand in faults and logs.
const (
	kindTrust  = "trust"
	kindPolicy = "policy"
)

// Fault is what is wrong with one kind of document; the zero Fault says that
// nothing is. Detail begins with the code of the refusal (sync/signed).
type Fault struct {
	Code   health.Code // trust_missing, trust_refused, policy_built_in, policy_refused
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

// Status is both kinds as they stand.
type Status struct{ Trust, Policy State }

// Options of a Keeper. Only OnTrust, OnVerified and OnFault may be nil.
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
	// OnTrust is told of each trust list that came into force, the restored
	// one included: whoever refused something for want of a key tries again.
	OnTrust func(signed.Trust)
	// OnVerified is told the `iat` of each document that came into force, by
	// which the clock's floor may rise.
	OnVerified func(issued time.Time)
	// OnFault is told when a kind's fault changes. kind is "trust" or "policy".
	OnFault func(kind string, f Fault)
}

// Keeper keeps the documents. It is safe for concurrent use. It starts no
// goroutine: TakeTrust and TakePolicy write to the disk and belong on a
// queue's goroutine.
type Keeper struct {
	o     Options
	log   *slog.Logger
	store store

	take      sync.Mutex // held while a document is taken; guards the next two
	held      []byte     // a policy whose key was not known
	unwritten bool       // the trust list in force is not on the disk

	mu sync.Mutex // guards the following; never held while calling out
	st Status
	in string // the policy in force, compact
}

// New makes a Keeper and its directory. Nothing is in force before Restore.
func New(o Options, log *slog.Logger) (*Keeper, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make documents directory: %w", err)
	}
	return &Keeper{o: o, log: log, store: store{o.Dir}}, nil
}

// Attach subscribes the topics of both documents. It belongs before the
// link's Run.
func (k *Keeper) Attach(link *mqttlink.Link, topics wire.Topics) {
	link.Add(mqttlink.Subscription{
		Filter: topics.Trust(k.o.Site), QoS: 1, Queue: 2, MaxBody: signed.MaxSize(signed.TypeTrust),
		Handle: func(_ string, body []byte, _ bool) { k.TakeTrust(body) },
	})
	link.Add(mqttlink.Subscription{
		Filter: topics.Policy(k.o.Site), QoS: 1, Queue: 2, MaxBody: signed.MaxSize(signed.TypePolicy),
		Handle: func(_ string, body []byte, _ bool) { k.TakePolicy(body) },
	})
}

// Restore brings back what was in force before a start, the trust list first.
// A file that cannot be used is set aside under the name *.bad and its kind
// begins empty; that is a fault, not an error.
func (k *Keeper) Restore() {
	k.take.Lock()
	defer k.take.Unlock()
	k.restoreTrust()
	k.restorePolicy()
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

func (k *Keeper) restorePolicy() {
	raw, err := k.store.read(policyFile)
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.setFault(kindPolicy, Fault{health.PolicyBuiltIn, ""})
		return
	case err != nil:
		k.setFault(kindPolicy, Fault{health.PolicyRefused, err.Error()})
		return
	}
	d, err := k.o.Verifier.Verify(signed.TypePolicy, k.o.Site, raw, k.o.Moment(), signed.Options{InForce: true})
	if codeOf(err) == signed.CodeUnknownKey {
		// Its key has left the trust list since. That bars taking it, not
		// keeping it: the gate must not change its rules by being restarted.
		d, err = k.verifyUnderItsTrust(raw)
	}
	var apply func()
	if err == nil {
		apply, err = k.o.Policy(d)
	}
	if err != nil {
		k.store.setAside(policyFile)
		k.setFault(kindPolicy, Fault{health.PolicyRefused, "at start: " + reason(err)})
		return
	}
	apply()
	k.policyInForce(d, string(raw))
}

func (k *Keeper) verifyUnderItsTrust(raw []byte) (signed.Document, error) {
	trust, err := k.store.read(policyTrustFile)
	if err != nil {
		return signed.Document{}, err
	}
	then := signed.NewVerifier(k.o.Roots, k.o.Site, k.o.Gate)
	if _, err := then.RestoreTrust(trust); err != nil {
		return signed.Document{}, err
	}
	return then.Verify(signed.TypePolicy, k.o.Site, raw, k.o.Moment(), signed.Options{InForce: true})
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
	if held := k.held; held != nil {
		k.held = nil
		k.takePolicy(held)
	}
}

// TakePolicy takes a policy as it came; an empty body means that the topic was
// cleared and changes nothing.
func (k *Keeper) TakePolicy(compact []byte) {
	if len(compact) == 0 {
		return
	}
	k.take.Lock()
	defer k.take.Unlock()
	k.takePolicy(compact)
}

func (k *Keeper) takePolicy(compact []byte) {
	k.mu.Lock()
	have, same := k.st.Policy.Version, k.in == string(compact)
	k.mu.Unlock()
	if same {
		k.setFault(kindPolicy, Fault{})
		return
	}
	d, err := k.o.Verifier.Verify(signed.TypePolicy, k.o.Site, compact, k.o.Moment(), signed.Options{NewerThan: have})
	if err != nil {
		k.held = nil
		if codeOf(err) == signed.CodeUnknownKey {
			k.held = compact // the trust list that knows it may be on its way
			if k.o.Verifier.Trust().Ver == 0 {
				return // no list at all yet: that is the fault, not this policy
			}
		}
		k.refused(kindPolicy, health.PolicyRefused, reason(err))
		return
	}
	apply, err := k.o.Policy(d)
	if err != nil {
		k.refused(kindPolicy, health.PolicyRefused, reason(err))
		return
	}
	if err := k.writePolicy(compact); err != nil {
		// Not taken: a version that is forgotten at the next start would let
		// an older one in again.
		k.refused(kindPolicy, health.PolicyRefused, "not written down: "+err.Error())
		return
	}
	apply()
	k.policyInForce(d, string(compact))
}

func (k *Keeper) writePolicy(compact []byte) error {
	trust, err := k.store.read(trustFile)
	if err != nil {
		return err
	}
	if err := k.store.write(policyTrustFile, trust); err != nil {
		return err
	}
	return k.store.write(policyFile, compact)
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

func (k *Keeper) policyInForce(d signed.Document, compact string) {
	k.mu.Lock()
	p := &k.st.Policy
	p.Version, p.Issued, p.Expires, p.Kid = d.Ver, d.Iat, d.Exp, d.Kid
	k.in = compact
	k.mu.Unlock()
	k.log.Info("policy in force", "version", d.Ver, "key", d.Kid)
	k.remember(d)
	k.setFault(kindPolicy, Fault{})
	if k.o.OnVerified != nil {
		k.o.OnVerified(d.Iat)
	}
}

// Status gives both kinds as they stand.
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
	if kind == kindTrust {
		return &k.st.Trust
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
