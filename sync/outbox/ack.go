package outbox

import (
	"fmt"
	"time"

	"gateagent/agent/record"
)

// TakeAck takes an acknowledgement as it came on entry/ack. It may block for
// the journal's disk, so it belongs on a queue's goroutine.
func (o *Outbox) TakeAck(compact []byte) {
	if len(compact) == 0 {
		return // cleared, not a fault
	}
	a, retry, err := o.verify(compact)
	if err != nil {
		o.mu.Lock()
		o.st.Refused++
		o.refusal = err.Error()
		if retry { // what cannot be mended later does not displace what can
			o.held = compact
		}
		o.mu.Unlock()
		o.log.Warn("outbox: acknowledgement refused", "error", err)
		return
	}
	o.mu.Lock()
	o.held, o.refusal = nil, ""
	stale := a.issued.Before(o.floor)
	if stale {
		o.st.Stale++
	}
	o.mu.Unlock()
	if !stale {
		o.settle(a.position)
	}
}

// Retry takes again the acknowledgement that was refused for want of its key.
// Whoever brings new keys into force calls it.
func (o *Outbox) Retry() {
	o.mu.Lock()
	held := o.held
	o.held = nil
	o.mu.Unlock()
	if held != nil {
		o.TakeAck(held)
	}
}

// Replied takes the acknowledgement of a hello/reply that named our nonce.
// then is what Acked was when the hello went out: a central that says less
// than that has lost records and gets them again. issued is the reply's time
// at central; retained acknowledgements from before it no longer count.
func (o *Outbox) Replied(central, then record.Position, issued time.Time) {
	own := o.journal.Position().Epoch
	if then.Epoch != own {
		return // the journal was replaced meanwhile; the next hello tells
	}
	if central.Epoch == own && central.Seq >= then.Seq {
		// It has what it had: there is nothing left to be mistaken for news,
		// and a central that set its clock back is heard again.
		o.mu.Lock()
		o.floor = time.Time{}
		o.mu.Unlock()
		o.settle(central)
		return
	}
	back := central
	if central.Epoch != own {
		// It does not know this epoch at all.
		back = record.Position{Epoch: own}
		if then.Seq == 0 {
			return
		}
	}
	if head, err := o.headAt(back.Seq); err == nil && head != back.Head {
		o.refuse(fmt.Sprintf("central's record %d is not ours", back.Seq))
		return
	}
	before := o.journal.Acked()
	why := ""
	if err := o.journal.Rewind(back); err != nil {
		// Central says itself what it lacks; here it stays a fault until the
		// next acknowledgement that fits.
		why = fmt.Sprintf("central asks for records after %d: %v", back.Seq, err)
	}
	now := o.journal.Acked()
	if now.Seq >= before.Seq {
		if why != "" {
			o.refuse(why)
		}
		return
	}
	o.log.Warn("outbox: central went back; sending again", "from", now.Seq+1, "acked", before.Seq)
	o.mu.Lock()
	o.st.Rewinds++
	o.floor = issued
	o.restart = true
	o.mismatch = why
	o.pace(time.Now())
	o.judge()
	o.mu.Unlock()
	o.rouse()
}

// settle moves Acked forward to p if p is a place in our own chain.
func (o *Outbox) settle(p record.Position) {
	pos, acked := o.journal.Position(), o.journal.Acked()
	switch {
	case p.Epoch != pos.Epoch, p.Seq < acked.Seq:
		o.mu.Lock()
		o.st.Stale++
		o.mu.Unlock()
		return
	case p.Seq > pos.Seq:
		o.refuse(fmt.Sprintf("central has %d records, the journal %d: another box, or an older copy of this one", p.Seq, pos.Seq))
		return
	}
	head := acked.Head
	switch p.Seq {
	case acked.Seq:
	case pos.Seq:
		head = pos.Head
	default:
		var err error
		if head, err = o.headAt(p.Seq); err != nil {
			o.journalBroken(fmt.Sprintf("record %d: %v", p.Seq, err))
			return
		}
	}
	if head != p.Head {
		o.refuse(fmt.Sprintf("central's record %d is not ours", p.Seq))
		return
	}
	if p.Seq == acked.Seq {
		o.fits(false)
		return
	}
	if err := o.journal.Ack(p); err != nil {
		o.journalBroken(fmt.Sprintf("acknowledge %d: %v", p.Seq, err))
		return
	}
	o.fits(true)
	o.rouse()
}

// fits notes an acknowledgement that fits the journal.
func (o *Outbox) fits(moved bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mismatch, o.broken = "", ""
	if moved {
		o.st.Acks++
		o.st.LastAck = time.Now()
	}
	o.judge()
}

// refuse notes an acknowledgement that does not fit: everything is kept.
func (o *Outbox) refuse(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.st.Refused++
	o.mismatch = why
	o.judge()
}
