package outbox

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

var origin = record.Origin{Site: "hn01", Gate: "g1"}

// memJournal is a journal in memory that holds its caller to the contract.
type memJournal struct {
	t       testing.TB
	mu      sync.Mutex
	epoch   record.Epoch
	links   []record.Link // links[i].Seq == first+i
	first   uint64
	acked   record.Position
	changed chan struct{}
	acks    int
}

func newJournal(t testing.TB, n int) *memJournal {
	j := &memJournal{t: t, epoch: record.NewEpoch(), first: 1, changed: make(chan struct{})}
	j.acked.Epoch = j.epoch
	for range n {
		j.add()
	}
	return j
}

// add appends one record and wakes the outbox.
func (j *memJournal) add() {
	j.mu.Lock()
	defer j.mu.Unlock()
	seq, prev := j.first, record.Hash{}
	if n := len(j.links); n > 0 {
		seq, prev = j.links[n-1].Seq+1, j.links[n-1].Hash()
	}
	r, err := record.FromEvent(origin, j.epoch, seq, gate.Event{Time: time.Unix(1700000000, 0), Kind: gate.EventStart})
	if err != nil {
		j.t.Fatal(err)
	}
	j.links = append(j.links, record.Link{Seq: seq, Prev: prev, Record: r})
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *memJournal) Read(from uint64, maxBytes int) ([]record.Link, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if from < j.first {
		return nil, fmt.Errorf("record %d is gone", from)
	}
	var out []record.Link
	for _, l := range j.links {
		if l.Seq < from {
			continue
		}
		size := len(l.Record.Public) + len(l.Record.Personal)
		if maxBytes -= size; maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, l)
	}
	return out, nil
}

func (j *memJournal) at(seq uint64) record.Position {
	p := record.Position{Epoch: j.epoch, Seq: seq}
	if seq > 0 {
		p.Head = j.links[seq-j.first].Hash()
	}
	return p
}

func (j *memJournal) Position() record.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.at(j.first - 1 + uint64(len(j.links)))
}

func (j *memJournal) Acked() record.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.acked
}

func (j *memJournal) Ack(p record.Position) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.Seq < j.acked.Seq || p != j.at(p.Seq) {
		j.t.Errorf("Ack of %v is not ahead of %v, or not ours", p, j.acked)
	}
	j.acked = p
	j.acks++
	return nil
}

func (j *memJournal) Rewind(p record.Position) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p.Seq+1 < j.first {
		j.acked = record.Position{Epoch: j.epoch, Seq: j.first - 1, Head: j.links[0].Prev}
		return fmt.Errorf("records up to %d are gone", j.first-1)
	}
	if p.Seq >= j.acked.Seq || p != j.at(p.Seq) {
		j.t.Errorf("Rewind to %v is not behind %v, or not ours", p, j.acked)
	}
	j.acked = p
	return nil
}

func (j *memJournal) Changed() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changed
}

// reset begins a new epoch, as after a lost file.
func (j *memJournal) reset() {
	j.mu.Lock()
	j.epoch, j.links = record.NewEpoch(), nil
	j.acked = record.Position{Epoch: j.epoch}
	j.mu.Unlock()
	j.add()
}
