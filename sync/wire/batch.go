package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"gateagent/agent/record"
	"gateagent/sync/identity"
)

// MaxBatchEvents bounds how many events are read from one batch.
const MaxBatchEvents = 512

// ErrBroken is wrapped when the events of a batch are no piece of one chain.
var ErrBroken = errors.New("events are no piece of one chain")

// EncodeBatch writes as many of the links as fit into one body of at most
// [MaxBatch] bytes, one as an event, more as a JSON array, and signs the last.
// n says how many it took: at least one. The links follow each other.
func EncodeBatch(topic string, links []record.Link, sign SignFunc) (body []byte, n int, err error) {
	// room is what brackets and the signature on the last event add.
	const room = 2 + len(`,"sig":""`) + 86
	var parts [][]byte
	var last record.Event
	size := room
	for _, l := range links[:min(len(links), MaxBatchEvents)] {
		ev, err := l.Event()
		if err != nil {
			return nil, 0, fmt.Errorf("encode batch: %w", err)
		}
		part, err := json.Marshal(ev)
		if err != nil {
			return nil, 0, fmt.Errorf("encode batch: %w", err)
		}
		if size += len(part) + 1; size > MaxBatch && len(parts) > 0 {
			break
		}
		parts, last = append(parts, part), ev
	}
	if len(parts) == 0 {
		return nil, 0, errors.New("encode batch: nothing to send")
	}
	text, err := batchText(last)
	if err != nil {
		return nil, 0, fmt.Errorf("encode batch: %w", err)
	}
	last.Sig = sign(topic, text)
	if parts[len(parts)-1], err = json.Marshal(last); err != nil {
		return nil, 0, fmt.Errorf("encode batch: %w", err)
	}
	body = parts[0]
	if len(parts) > 1 {
		body = append(append([]byte{'['}, bytes.Join(parts, []byte{','})...), ']')
	}
	if len(body) > MaxBatch {
		return nil, 0, fmt.Errorf("encode batch: event %d of %d bytes: %w", last.Link().Seq, len(body), ErrTooLarge)
	}
	return body, len(parts), nil
}

// ParseBatch reads one event or an array of them. It checks neither signature
// nor chain: that is [VerifyBatch].
func ParseBatch(body []byte) ([]record.Event, error) {
	if len(body) > MaxBatch {
		return nil, fmt.Errorf("entry: %d bytes, at most %d are taken: %w", len(body), MaxBatch, ErrTooLarge)
	}
	if body = bytes.TrimLeft(body, " \t\r\n"); len(body) == 0 || body[0] != '[' {
		ev, err := record.ParseEvent(body)
		if err != nil {
			return nil, fmt.Errorf("entry: %w", err)
		}
		return []record.Event{ev}, nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(body, &parts); err != nil {
		return nil, fmt.Errorf("entry: %w", err)
	}
	if len(parts) == 0 || len(parts) > MaxBatchEvents {
		return nil, fmt.Errorf("entry: %d events; 1 to %d are taken", len(parts), MaxBatchEvents)
	}
	events := make([]record.Event, len(parts))
	for i, part := range parts {
		var err error
		if events[i], err = record.ParseEvent(part); err != nil {
			return nil, fmt.Errorf("entry: event %d of the batch: %w", i+1, err)
		}
	}
	return events, nil
}

// VerifyBatch checks that the events are one gap-free piece of o's chain and
// that the last is signed by pub under the topic; by the chain, the signature
// covers all. Errors wrap [ErrBroken] or [ErrSignature].
func VerifyBatch(topic string, o record.Origin, events []record.Event, pub identity.Key) error {
	if len(events) == 0 {
		return fmt.Errorf("batch: no events: %w", ErrBroken)
	}
	for i, ev := range events {
		if ev.Origin() != o {
			return fmt.Errorf("batch: event of %s on a topic of %s: %w", ev.Origin().Source(), o.Source(), ErrBroken)
		}
		if i == 0 {
			continue
		}
		before, here := events[i-1].Position(), ev.Link()
		if ev.Epoch() != before.Epoch || here.Seq != before.Seq+1 || here.Prev != before.Head {
			return fmt.Errorf("batch: event %d does not follow event %d: %w", here.Seq, before.Seq, ErrBroken)
		}
		if events[i-1].Sig != nil {
			return fmt.Errorf("batch: event %d bears a signature and is not the last: %w", before.Seq, ErrBroken)
		}
	}
	last := events[len(events)-1]
	text, err := batchText(last)
	if err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if !identity.Verify(pub, topic, text, last.Sig) {
		return fmt.Errorf("batch up to event %d: %w", last.Link().Seq, ErrSignature)
	}
	return nil
}
