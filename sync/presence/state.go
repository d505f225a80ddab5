package presence

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gateagent/sync/wire"
)

// sendState publishes the state; unless always, only one that says something
// new.
func (p *Presence) sendState(ctx context.Context, always bool) {
	st := p.o.State()
	st.Online, st.Boot, st.ID, st.Sig = true, p.o.Boot, p.o.Public, nil
	timeless := st
	timeless.Time = 0
	content, err := json.Marshal(timeless)
	if err != nil {
		p.stateFailed(err)
		return
	}
	p.mu.Lock()
	p.looked = time.Now()
	same := p.content == string(content)
	p.mu.Unlock()
	if same && !always {
		return
	}
	body, err := wire.SignBody(p.topic, st, p.o.Sign)
	if err != nil {
		p.stateFailed(err)
		return
	}
	// The echo may be here before the PUBACK.
	p.mu.Lock()
	p.body, p.stateDue, p.awaited = body, false, true
	p.stateAt, p.echoBy = time.Now(), time.Time{}
	if p.first == 0 {
		p.first = st.Time
	}
	p.mu.Unlock()
	ok := p.publish(ctx, p.topic, body, true)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !ok {
		p.stateDue = true
		return
	}
	if p.awaited {
		p.echoBy = time.Now().Add(echoWithin)
	}
	p.content = string(content)
	p.st.States++
}

// stateFailed is a state that cannot be written, a mistake of the program: it
// is tried again with the next look.
func (p *Presence) stateFailed(err error) {
	p.log.Error("presence: state not written", "error", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stateDue, p.stateAt, p.looked = false, time.Now(), time.Now()
}

// sawState takes what comes back on our own state topic: our echo, our own
// will out of season, or somebody else.
func (p *Presence) sawState(body []byte, retained bool) {
	if p.isEcho(body) {
		return
	}
	st, err := wire.ParseState(body)
	if err == nil && st.Online && st.Boot == p.o.Boot && wire.VerifyBody(p.topic, body, p.o.Public.Ed25519) == nil {
		return // an earlier one of ours, overtaken
	}
	p.note(func() {
		if p.first == 0 {
			return // from before our first word; it is about to be replaced
		}
		p.stateDue = true
		if err != nil || !st.Online || st.Boot == p.o.Boot {
			return // cleared, a late will, or nonsense: our word again
		}
		// The state of an earlier boot, or of a box that was replaced, can
		// come back with an older copy of the broker's files; a live message,
		// or one that is newer than our first word, is another box's.
		if retained && st.Time < p.first {
			return
		}
		who := "with other keys"
		if st.ID == p.o.Public {
			who = "with the same keys: a copied card"
		}
		p.twin = fmt.Sprintf("another box writes the state of %s, %s (key %.8s, boot %.8s)", p.o.Origin.Source(), who, st.ID.Ed25519, st.Boot)
		p.twinUntil = time.Now().Add(twinFor)
	})
}

// isEcho notes that our last word has come back.
func (p *Presence) isEcho(body []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.body == nil || !bytes.Equal(body, p.body) {
		return false
	}
	p.awaited, p.echoBy, p.muted = false, time.Time{}, false
	p.judge()
	return true
}
