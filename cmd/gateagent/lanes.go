package main

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"gateagent/agent/config"
	"gateagent/agent/feed"
	"gateagent/agent/lane"
	"gateagent/driver/catalog"
	"gateagent/driver/opticalscan"
)

// gateLane is one lane with its devices.
type gateLane struct {
	name    string
	cfg     config.Lane
	lane    *lane.Lane
	relay   *lane.KeptRelay
	scanner atomic.Pointer[openScanner] // the one open now; nil while there is none
}

type openScanner struct{ catalog.Scanner }

// buildLanes makes all lanes; it opens no device.
func (b *box) buildLanes() error {
	for _, c := range b.cfg.Lanes {
		l := &gateLane{name: c.Name, cfg: c}
		log := b.part("lane").With("lane", c.Name)
		openRelay, err := catalog.NewRelay(relaySpec(c.Relay), log)
		if err != nil {
			return fmt.Errorf("lane %s: relay: %w", c.Name, err)
		}
		openScan, err := catalog.NewScanner(scannerSpec(c.Scanner), log)
		if err != nil {
			return fmt.Errorf("lane %s: scanner: %w", c.Name, err)
		}
		l.relay = lane.NewKeptRelay(func(ctx context.Context) (lane.RelayDevice, error) { return openRelay(ctx) }, c.OnFault, log)
		l.lane, err = lane.New(lane.Options{
			Name: c.Name, Direction: c.Direction, OnFault: c.OnFault, Repeat: c.Repeat,
			RecordWait: b.cfg.Record.Wait, OpenOnTimeout: b.cfg.Record.OnTimeout == config.TimeoutOpen,
			Open:    l.opener(openScan),
			Relay:   l.relay,
			Facts:   b,
			Journal: b.journal, JournalWorks: b.journalWorks,
			Clock:     b.clock,
			Policy:    func() lane.Rules { return b.rules.Load() },
			EntryKey:  b.keys.entryKey,
			Proofs:    b.proofs,
			Spend:     b.proofs.spend,
			Passages:  b.passages,
			Shadow:    b.shadowRules,
			OnOutcome: func(o lane.Outcome) { b.publish(o) },
		}, b.part("lane"))
		if err != nil {
			return fmt.Errorf("lane %s: %w", c.Name, err)
		}
		b.lanes = append(b.lanes, l)
	}
	return nil
}

// journalWorks says whether the journal has no fault.
func (b *box) journalWorks() bool { return b.records != nil && b.records.Status().Fault == nil }

// opener remembers the scanner that is open, for the age of its picture.
func (l *gateLane) opener(open catalog.OpenScanner) func(context.Context) (lane.Scanner, error) {
	return func(ctx context.Context) (lane.Scanner, error) {
		s, err := open(ctx)
		if err != nil {
			l.scanner.Store(nil)
			return nil, err
		}
		l.scanner.Store(&openScanner{s})
		return s, nil
	}
}

// pictureAge gives the age of the newest picture; false for a scanner without
// pictures, or while it is not open.
func (l *gateLane) pictureAge() (time.Duration, bool) {
	s := l.scanner.Load()
	if s == nil {
		return 0, false
	}
	camera, ok := s.Scanner.(interface{ Stats() opticalscan.Stats })
	if !ok {
		return 0, false
	}
	return camera.Stats().PictureAge(time.Now()), true
}

func relaySpec(c config.Relay) catalog.RelaySpec {
	return catalog.RelaySpec{
		Driver: c.Driver, Chip: c.Chip, Line: strconv.Itoa(c.Line), ActiveLow: c.ActiveLow, Pulse: c.Pulse,
	}
}

func scannerSpec(c config.Scanner) catalog.ScannerSpec {
	return catalog.ScannerSpec{
		Driver: c.Driver, Device: c.Device, Width: c.Width, Height: c.Height, FPS: c.FPS,
		Source: c.Source, Loop: c.Loop,
		Baud: c.Baud, Framing: string(c.Framing), Silence: c.Silence, MaxLength: c.MaxLength,
	}
}

// publish hands an outcome to those who look on.
func (b *box) publish(o lane.Outcome) {
	b.proofs.count(&o)
	if o.Thinned {
		return
	}
	e := o.Entry
	d := feed.Decision{
		Seq: o.Seq, Time: e.Time, Lane: e.Lane, Direction: e.Direction,
		Verdict: o.Shown.Verdict, Class: o.Shown.Class, Reasons: o.Shown.ReasonList(),
		Credential: e.Credential, Policy: e.Policy, Clock: e.Clock,
		Opened: o.Opened, Late: o.Late, RelayFault: o.RelayFault, Needs: e.Needs,
		Took: o.Took, Decode: e.Decode, Lookup: e.Lookup, Decide: e.Decide, Record: o.Record,
	}
	d.VI, d.EN = b.rules.Load().Text(o.Shown)
	if e.HasSubject {
		d.Subject = e.Subject.String()
	}
	if b.records != nil {
		d.Epoch = b.records.Position().Epoch.String()
	}
	b.feed.Publish(d)
	b.page.Observe(d)
}
