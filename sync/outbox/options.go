package outbox

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"gateagent/agent/record"
)

// Options of an outbox.
type Options struct {
	Origin record.Origin
	// OnFault is told when [Status.Fault] changes, with the zero Fault when
	// all is well again. It must not block and must not call the outbox.
	OnFault func(Fault)

	// pack makes one message of records from the front of links, and says of
	// how many.
	pack func(links []record.Link) (body []byte, n int, err error)
	// verify reads an acknowledgement. retry says that only its key is
	// missing.
	verify func(compact []byte) (a ack, retry bool, err error)
}

func newOutbox(o Options, topic string, j Journal, link Publisher, log *slog.Logger) *Outbox {
	return &Outbox{
		o: o, topic: topic, journal: j, link: link, log: log,
		wake: make(chan struct{}, 1), interval: resendFirst,
	}
}

// pack writes as many events as fit one message: one alone, or an array.
// sign puts the signature on the last.
func pack(links []record.Link, sign func([]record.Event) error) ([]byte, int, error) {
	var events []record.Event
	size := 0
	for _, l := range links {
		e, err := l.Event()
		if err != nil {
			return nil, 0, err
		}
		b, err := json.Marshal(e)
		if err != nil {
			return nil, 0, fmt.Errorf("write event %d: %w", l.Seq, err)
		}
		if size += len(b) + 1; len(events) > 0 && size+sigRoom > maxBatch {
			break
		}
		events = append(events, e)
	}
	if err := sign(events); err != nil {
		return nil, 0, err
	}
	var body []byte
	var err error
	if len(events) == 1 {
		body, err = json.Marshal(events[0])
	} else {
		body, err = json.Marshal(events)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("write events: %w", err)
	}
	return body, len(events), nil
}

// sigRoom is what a signature and the brackets add to a message.
const sigRoom = 128
