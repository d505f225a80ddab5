package main

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gateagent/agent/feed"
	"gateagent/agent/health"
	"gateagent/agent/localapi"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/agent/statuspage"
	"gateagent/cache"
	"gateagent/sync/documents"
)

// view is everything the box says about itself now: page, command and state
// show this one value.
func (b *box) view() health.Box {
	now, level := b.clock.Reading()
	r := b.rules.Load()
	v := health.Box{
		Report: b.health.Report(),
		Site:   b.cfg.Site.ID, Gate: b.cfg.Site.Gate,
		Version: b.version.String(), Boot: b.boot, Now: now, Started: b.started.UTC(), Clock: level,
		Policy:  health.PolicyState{PolicyRef: r.Ref(), Level: r.Level(), BuiltIn: r.builtIn, Issued: r.issued},
		Link:    health.LinkState{Broker: b.cfg.MQTT.Broker},
		Journal: b.journalView(),
		Proofs:  b.proofs.state(),
	}
	passages := b.passages.Status()
	v.Policy.Window, v.Policy.Passed = passages.Window, passages.People
	if b.shadow != nil {
		v.Policy.Shadow = b.shadow.Ref()
	}
	if b.sets != nil {
		for _, s := range b.sets.Status() {
			set := health.SetState{
				Set: s.Set, Version: s.Version, People: s.People, Issued: s.Issued,
				HasKey: s.HasKey || s.Version == 0 && len(s.Keys) > 0, KeyID: s.KeyID,
			}
			switch {
			case inMemory(s):
				set.Hold = health.HoldMemory
			case s.Version > 0:
				set.Hold = health.HoldFile
			}
			v.Sets = append(v.Sets, set)
		}
	} else {
		for _, s := range b.cfg.Sets {
			v.Sets = append(v.Sets, health.SetState{Set: s.Name})
		}
	}
	v.Theft, _ = b.keys.theft()
	for _, l := range b.lanes {
		s := health.LaneState{
			Name: l.name, Direction: l.cfg.Direction, Scanner: l.cfg.Scanner.Driver, Relay: l.cfg.Relay.Driver,
			Decisions: l.lane.Stats().Decisions, Picture: -1,
		}
		if age, ok := l.pictureAge(); ok {
			s.Picture = age
		}
		v.Lanes = append(v.Lanes, s)
	}
	if b.net != nil {
		v.Identity = b.net.id.Public().Ed25519.String()
		b.net.describe(&v)
	}
	return v
}

func (b *box) journalView() health.JournalState {
	if b.records == nil {
		return health.JournalState{}
	}
	s := b.records.Status()
	v := health.JournalState{Seq: s.Position.Seq, Acked: s.Acked.Seq, Bytes: s.Used, Max: s.Max}
	if s.Position.Seq > 0 {
		v.Epoch = s.Position.Epoch.String()
	}
	if s.Unacked > 0 {
		if links, err := b.records.Read(s.Acked.Seq+1, 1); err == nil && len(links) > 0 {
			if e, err := links[0].Event(); err == nil {
				v.Oldest = e.Time()
			}
		}
	}
	return v
}

func (b *box) pageOptions() statuspage.Options {
	o := statuspage.Options{
		Listen: b.cfg.Page.Listen, Box: b.view,
		Recent: func() []feed.Decision { return b.feed.Recent() },
	}
	if !b.loaded.Report.OK() {
		o.Broken = &b.loaded.Report
	}
	return o
}

// entries gives the journal as localapi asks for it; nil where there is none.
func (b *box) entries() localapi.Entries {
	if b.records == nil {
		return nil
	}
	return journalReader{b.records}
}

// policyDocument gives a policy that is or was in force; version 0 is the
// built-in one.
func (b *box) policyDocument(version uint64) ([]byte, error) {
	if version == 0 {
		return policy.Default().Marshal(policy.Header{})
	}
	if b.documents == nil {
		return nil, documents.ErrNoPolicy
	}
	return b.documents.Policy(version)
}

// journalReader shows the journal as CloudEvents.
type journalReader struct{ j *cache.Journal }

// Entries calls fn with each record at or after since and above seq after.
func (r journalReader) Entries(ctx context.Context, since time.Time, after uint64, fn func([]byte) error) error {
	return r.j.Entries(since, func(l record.Link) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if l.Seq <= after {
			return nil
		}
		e, err := l.Event()
		if err != nil {
			return err
		}
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return fn(body)
	})
}

// Verify walks the whole chain.
func (r journalReader) Verify(ctx context.Context) (localapi.Verification, error) {
	s := r.j.Status()
	v := localapi.Verification{
		Whole: true, Epoch: s.Position.Epoch.String(), From: s.First, To: s.Position.Seq, Head: s.Position.Head.String(),
	}
	n, err := r.j.Verify(ctx)
	if errors.Is(err, cache.ErrDamaged) {
		v.Whole, v.BadSeq, v.BadWhat = false, s.First+n, err.Error()
		return v, nil
	}
	return v, err
}
