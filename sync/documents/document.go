package documents

import (
	"errors"
	"os"

	"gateagent/agent/health"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// document is one kind that is signed by a key of the trust list.
type document struct {
	kind  string
	typ   signed.Type
	topic wire.Kind
	// file holds the one in force, trustFile the trust list under which it was
	// taken.
	file, trustFile string
	// missing is the fault of having none, empty where that is none; refused
	// the fault of having refused one.
	missing, refused health.Code
	read             func(signed.Document) (apply func(), err error)
	// inForce is told of each that came into force; nil for nobody.
	inForce func(signed.Document)

	held []byte // one whose key was not known; guarded by Keeper.take
	in   string // the one in force, compact; guarded by Keeper.mu
}

func (k *Keeper) documents() []*document {
	docs := []*document{{
		kind: kindPolicy, typ: signed.TypePolicy, topic: wire.KindPolicy, file: policyFile, trustFile: policyTrustFile,
		missing: health.PolicyBuiltIn, refused: health.PolicyRefused, read: k.o.Policy, inForce: k.remember,
	}}
	if k.o.Revoked != nil {
		docs = append(docs, &document{
			kind: kindRevoked, typ: signed.TypeRevoked, topic: wire.KindRevoked, file: revokedFile, trustFile: revokedTrustFile,
			refused: health.RevokedRefused, read: k.o.Revoked,
		})
	}
	return docs
}

// restore brings back what was in force before a start. take is held.
func (k *Keeper) restore(d *document) {
	raw, err := k.store.read(d.file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		k.setFault(d.kind, Fault{d.missing, ""})
		return
	case err != nil:
		k.setFault(d.kind, Fault{d.refused, err.Error()})
		return
	}
	doc, err := k.o.Verifier.Verify(d.typ, k.o.Site, raw, k.o.Moment(), signed.Options{InForce: true})
	if codeOf(err) == signed.CodeUnknownKey {
		// Its key has left the trust list since. That bars taking it, not
		// keeping it: the gate must not change its rules by being restarted.
		doc, err = k.verifyUnderItsTrust(d, raw)
	}
	var apply func()
	if err == nil {
		apply, err = d.read(doc)
	}
	if err != nil {
		k.store.setAside(d.file)
		k.setFault(d.kind, Fault{d.refused, "at start: " + reason(err)})
		return
	}
	apply()
	k.nowInForce(d, doc, string(raw))
}

func (k *Keeper) verifyUnderItsTrust(d *document, raw []byte) (signed.Document, error) {
	trust, err := k.store.read(d.trustFile)
	if err != nil {
		return signed.Document{}, err
	}
	then := signed.NewVerifier(k.o.Roots, k.o.Site, k.o.Gate)
	if _, err := then.RestoreTrust(trust); err != nil {
		return signed.Document{}, err
	}
	return then.Verify(d.typ, k.o.Site, raw, k.o.Moment(), signed.Options{InForce: true})
}

// TakePolicy takes a policy as it came; an empty body means that the topic was
// cleared and changes nothing.
func (k *Keeper) TakePolicy(compact []byte) { k.takeKind(kindPolicy, compact) }

// TakeRevoked takes a list of what is revoked as it came; an empty body means
// that the topic was cleared and changes nothing. Without [Options.Revoked]
// nothing is taken.
func (k *Keeper) TakeRevoked(compact []byte) { k.takeKind(kindRevoked, compact) }

func (k *Keeper) takeKind(kind string, compact []byte) {
	for _, d := range k.docs {
		if d.kind == kind {
			k.takeDocument(d, compact)
		}
	}
}

func (k *Keeper) takeDocument(d *document, compact []byte) {
	if len(compact) == 0 {
		return
	}
	k.take.Lock()
	defer k.take.Unlock()
	k.accept(d, compact)
}

// accept puts a document into force or refuses it. take is held.
func (k *Keeper) accept(d *document, compact []byte) {
	k.mu.Lock()
	have, same := k.state(d.kind).Version, d.in == string(compact)
	k.mu.Unlock()
	if same {
		k.setFault(d.kind, Fault{})
		return
	}
	doc, err := k.o.Verifier.Verify(d.typ, k.o.Site, compact, k.o.Moment(), signed.Options{NewerThan: have})
	if err != nil {
		d.held = nil
		if codeOf(err) == signed.CodeUnknownKey {
			d.held = compact // the trust list that knows it may be on its way
			if k.o.Verifier.Trust().Ver == 0 {
				return // no list at all yet: that is the fault, not this document
			}
		}
		k.refused(d.kind, d.refused, reason(err))
		return
	}
	apply, err := d.read(doc)
	if err != nil {
		k.refused(d.kind, d.refused, reason(err))
		return
	}
	if err := k.writeDown(d, compact); err != nil {
		// Not taken: a version that is forgotten at the next start would let
		// an older one in again.
		k.refused(d.kind, d.refused, "not written down: "+err.Error())
		return
	}
	apply()
	k.nowInForce(d, doc, string(compact))
}

func (k *Keeper) writeDown(d *document, compact []byte) error {
	trust, err := k.store.read(trustFile)
	if err != nil {
		return err
	}
	if err := k.store.write(d.trustFile, trust); err != nil {
		return err
	}
	return k.store.write(d.file, compact)
}

func (k *Keeper) nowInForce(d *document, doc signed.Document, compact string) {
	k.mu.Lock()
	st := k.state(d.kind)
	st.Version, st.Issued, st.Expires, st.Kid = doc.Ver, doc.Iat, doc.Exp, doc.Kid
	d.in = compact
	k.mu.Unlock()
	k.log.Info(d.kind+" in force", "version", doc.Ver, "key", doc.Kid)
	if d.inForce != nil {
		d.inForce(doc)
	}
	k.setFault(d.kind, Fault{})
	if k.o.OnVerified != nil {
		k.o.OnVerified(doc.Iat)
	}
}
