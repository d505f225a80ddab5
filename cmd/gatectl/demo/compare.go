package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/chain"
	"gateagent/sync/identity"
)

// compare waits until central has acknowledged everything, then holds what
// central keeps against what the gate recorded, record by record.
func (d *demo) compare(ctx context.Context) error {
	acked, err := d.untilAcked(ctx)
	if err != nil {
		return err
	}
	at := map[uint64][]byte{} // the gate's records
	entries := map[uint64]bool{}
	err = d.box.client.Entries(ctx, time.Time{}, 0, func(event []byte) error {
		e, err := record.ParseEvent(event)
		if err != nil {
			return fmt.Errorf("a record of the gate: %w", err)
		}
		seq := e.Link().Seq
		at[seq] = bytes.Clone(event)
		var body struct {
			Type string `json:"type"`
			Data struct {
				Verdict string `json:"verdict"`
			} `json:"data"`
		}
		if err := json.Unmarshal(event, &body); err != nil {
			return err
		}
		if body.Type == "gate.entry.v1" {
			entries[seq] = true
			d.summary.Decisions++
			d.summary.ByVerdict[body.Data.Verdict]++
			if seq <= acked {
				d.summary.EntriesAcked++
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.world.mu.Lock()
	kept := maps.Clone(d.world.stored)
	d.world.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(at)) {
		if seq > acked {
			continue // recorded after the question
		}
		if c, ok := kept[seq]; !ok || !same(at[seq], c) {
			d.summary.Mismatches++
			d.say("  record %d differs between gate and central", seq)
		}
	}
	for seq := range kept {
		if _, ok := at[seq]; !ok && seq <= acked {
			d.summary.Mismatches++
			d.say("  record %d is at central and not at the gate", seq)
		}
	}
	return d.verify()
}

// same compares a record of the gate with what central keeps, but for the
// signature, which is put on the way.
func same(ofGate []byte, ofCentral record.Event) bool {
	g, err := record.ParseEvent(ofGate)
	if err != nil {
		return false
	}
	a, b := g.Link(), ofCentral.Link()
	return a.Seq == b.Seq && a.Hash() == b.Hash() && g.ID() == ofCentral.ID()
}

// untilAcked gives the sequence number up to which central has acknowledged,
// once that covers every entry.
func (d *demo) untilAcked(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	for {
		s, err := d.box.client.Status(ctx)
		if err != nil {
			return 0, err
		}
		if s.Journal.Queue == 0 {
			return s.Journal.Acked, nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return s.Journal.Acked, fmt.Errorf("central has not acknowledged %d records", s.Journal.Queue)
		}
	}
}

// verify walks the chains in central's file.
func (d *demo) verify() error {
	f, err := os.Open(d.world.sinkAt)
	if err != nil {
		return err
	}
	defer f.Close()
	c := chain.New(d.world.session.Topics, func(record.Origin) []identity.Key { return nil }, func(p chain.Problem) {
		d.summary.Mismatches++
		d.say("  central's file: %v", p)
	})
	if err := c.Read("central", f); err != nil {
		return err
	}
	c.End()
	return nil
}

func newKey() (gate.Key, error) {
	var k gate.Key
	_, err := rand.Read(k[:])
	return k, err
}
