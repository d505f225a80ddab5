package outbox

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// Options of an outbox. All but OnFault are needed.
type Options struct {
	Origin   record.Origin
	Topics   wire.Topics
	Sign     wire.SignFunc // by the box's identity key
	Verifier *signed.Verifier
	Moment   func() signed.Moment
	// OnFault is told when [Status.Fault] changes, with the zero Fault when
	// all is well again. It must not block and must not call the outbox.
	OnFault func(Fault)
}

// New makes an outbox and subscribes what it needs to hear: entry/ack and
// central/state. It belongs before the link's Run.
func New(o Options, j Journal, link *mqttlink.Link, log *slog.Logger) *Outbox {
	out := newOutbox(o, j, link, log)
	link.Add(mqttlink.Subscription{
		Filter: o.Topics.EntryAck(o.Origin), QoS: 1, MaxBody: signed.MaxSize(signed.TypeAck),
		Handle: func(_ string, body []byte, _ bool) { out.TakeAck(body) },
	})
	link.Add(mqttlink.Subscription{
		Filter: o.Topics.CentralState(), QoS: 1, MaxBody: wire.MaxCentralState,
		Handle: func(_ string, body []byte, retained bool) {
			if st, err := wire.ParseCentralState(body); err == nil {
				out.Central(st.Online, !retained)
			}
		},
	})
	link.OnUp(out.Up)
	return out
}

func newOutbox(o Options, j Journal, link Publisher, log *slog.Logger) *Outbox {
	out := &Outbox{
		o: o, journal: j, link: link, log: log, topic: o.Topics.Entry(o.Origin),
		wake: make(chan struct{}, 1), interval: resendFirst,
	}
	out.verify = out.verifySigned
	return out
}

// ack is what a verified acknowledgement says.
type ack struct {
	position record.Position
	issued   time.Time // to the millisecond: a restart of central takes less than a second
}

// verifySigned reads an acknowledgement. retry says that only its key is
// missing.
func (o *Outbox) verifySigned(compact []byte) (a ack, retry bool, err error) {
	d, err := o.o.Verifier.Verify(signed.TypeAck, o.o.Verifier.Gate(), compact, o.o.Moment(), signed.Options{})
	if err != nil {
		r, ok := errors.AsType[*signed.Refusal](err)
		return ack{}, ok && r.Code == signed.CodeUnknownKey, err
	}
	p, err := wire.ParseAck(d.Payload)
	if err != nil {
		return ack{}, false, fmt.Errorf("read acknowledgement: %w", err)
	}
	return ack{p.Record(), time.UnixMilli(p.Time)}, false, nil
}
