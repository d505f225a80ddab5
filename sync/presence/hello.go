package presence

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// question is a hello under way.
type question struct {
	nonce string
	at    time.Time
	acked record.Position // when it was asked
}

// reply is an answer that could not be verified yet.
type reply struct {
	compact []byte
	at      time.Time
}

// sendHello greets central with a fresh nonce. An earlier nonce is void.
func (p *Presence) sendHello(ctx context.Context) {
	var nonce [16]byte
	rand.Read(nonce[:]) //nolint:errcheck // crypto/rand.Read never fails
	pos := p.journal.Position()
	q := &question{nonce: hex.EncodeToString(nonce[:]), acked: p.journal.Acked()}
	topic := p.o.Topics.Hello(p.o.Origin)
	body, err := wire.SignBody(topic, wire.Hello{
		Nonce: q.nonce, Boot: p.o.Boot, Epoch: pos.Epoch, Seq: pos.Seq, Head: pos.Head, ID: p.o.Public,
	}, p.o.Sign)
	if err != nil {
		p.log.Error("presence: hello not written", "error", err)
	}
	p.mu.Lock()
	q.at = time.Now()
	p.asked, p.held = q, nil
	p.helloDue = false
	p.helloAt = q.at.Add(min(helloFirst<<min(p.unheard, 8), helloPeriod))
	p.unheard++
	p.asks++
	p.saidAt = q.at
	p.mu.Unlock()
	if err != nil {
		return
	}
	ok := p.publish(ctx, topic, body, false)
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		p.st.Hellos++
		return
	}
	p.helloDue = true
	p.unheard--
}

// takeReply takes an answer as it came.
func (p *Presence) takeReply(compact []byte) {
	if len(compact) > 0 {
		p.judgeReply(&reply{compact, time.Now()})
	}
}

// Retry takes again the answer that was refused for want of its key. Whoever
// brings new keys into force calls it.
func (p *Presence) Retry() {
	p.mu.Lock()
	r := p.held
	p.held = nil
	p.mu.Unlock()
	if r != nil {
		p.judgeReply(r)
	}
}

func (p *Presence) judgeReply(r *reply) {
	d, err := p.o.Verifier.Verify(signed.TypeHello, p.o.Verifier.Gate(), r.compact, p.o.Moment(), signed.Options{})
	if err != nil {
		p.mu.Lock()
		p.st.Refused++
		if ref, ok := errors.AsType[*signed.Refusal](err); ok && ref.Code == signed.CodeUnknownKey {
			p.held = r
		}
		p.mu.Unlock()
		p.log.Warn("presence: answer to hello refused", "error", err)
		return
	}
	m, err := wire.ParseHelloReply(d.Payload)
	p.mu.Lock()
	q := p.asked
	if err != nil || q == nil || q.nonce != m.Nonce {
		p.st.Refused++
		p.mu.Unlock()
		p.log.Debug("presence: answer to another hello", "error", err)
		return
	}
	took := r.at.Sub(q.at)
	p.asked, p.unheard = nil, 0
	p.helloAt = time.Now().Add(helloPeriod)
	p.st.Answered, p.st.RoundTrip = time.Now(), took
	p.mu.Unlock()

	// Keys and acknowledgement are good however late: the answer names our
	// nonce. The time is not.
	p.takeKeys(m.Keys)
	if took <= replyWithin {
		// It may have waited here for its key.
		p.o.Central(time.UnixMilli(m.Time).UTC().Add(time.Since(r.at)), took)
	}
	var has record.Position
	if m.Ack != nil {
		has = m.Ack.Record()
	}
	p.o.Replied(has, q.acked, time.UnixMilli(m.Time))
}

// takeKeys opens what is sealed to this box and hands it on.
func (p *Presence) takeKeys(keys []wire.SealedKey) {
	if len(keys) == 0 || p.o.Open == nil || p.o.Keys == nil {
		return
	}
	opened := make([]sealed.Secret, 0, len(keys))
	defer func() { clear(opened) }()
	for _, k := range keys {
		key, err := p.o.Open(sealed.Label{Site: p.o.Origin.Site, Gate: p.o.Origin.Gate, Set: k.Set, Kid: k.Kid}, k.Sealed)
		if err != nil {
			p.log.Warn("presence: a key from central cannot be used", "set", k.Set, "kid", k.Kid, "error", err)
			continue
		}
		opened = append(opened, sealed.Secret{Set: k.Set, Kid: k.Kid, Key: key})
		clear(key[:])
	}
	p.mu.Lock()
	p.st.Keys += uint64(len(opened))
	p.st.Unopened += uint64(len(keys) - len(opened))
	p.mu.Unlock()
	if len(opened) > 0 {
		p.o.Keys(opened)
	}
}
