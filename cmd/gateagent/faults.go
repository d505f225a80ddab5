package main

import (
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
)

// faultGap lies between two events about one component: a plug that wobbles
// must not fill the journal. What happened in between stands in `count`.
const faultGap = time.Minute

// notedFaults are recorded although their component goes on working: words of
// central that were refused, a key where none may be, and passes of which no
// account can be kept.
var notedFaults = []health.Code{
	health.AckMismatch, health.PolicyRefused, health.TrustRefused, health.RevokedRefused, health.DataRefused,
	health.KeyOnDisk, health.PassesUnspendable, health.PassesForgotten, health.PassagesUnknown,
}

// faultLog records as events of kind `fault` which components fail and recover:
// `state` raised or cleared, `count` how often it was raised since the last
// event about that component. An event that cannot be written, because the
// journal is what failed, is made up for later. A faultLog is for one goroutine.
type faultLog struct {
	append func(gate.Event) *gate.Receipt
	now    func() time.Time // as entries have it
	parts  map[string]*faultPart
}

// faultPart is one component that has failed at some time.
type faultPart struct {
	code   health.Code // what is wrong now; "" when nothing is
	last   health.Code // what was wrong last
	told   health.Code // what is wrong by the last event
	raised int         // times raised that no event tells of
	next   time.Time   // no event before

	receipt *gate.Receipt // of the event under way, which says the following
	saying  health.Code
	counted int
}

func newFaultLog(appendEvent func(gate.Event) *gate.Receipt, now func() time.Time) *faultLog {
	return &faultLog{append: appendEvent, now: now, parts: make(map[string]*faultPart)}
}

// note compares the components with what was recorded of them. at is an
// instant of the monotonic clock.
func (f *faultLog) note(components []health.Component, at time.Time) {
	for _, c := range components {
		var code health.Code
		if c.Level == health.Failed || slices.Contains(notedFaults, c.Fault.Code) {
			code = c.Fault.Code
		}
		p := f.parts[c.Name]
		if p == nil {
			if code == "" {
				continue
			}
			p = new(faultPart)
			f.parts[c.Name] = p
		}
		if code != p.code && code != "" {
			p.raised++
			p.last = code
		}
		p.code = code
		p.settle()
		if p.receipt == nil && (p.code != p.told || p.raised > 0) && !at.Before(p.next) {
			f.record(c, p)
			p.next = at.Add(faultGap)
		}
	}
}

// settle takes note of what became of the event under way.
func (p *faultPart) settle() {
	if p.receipt == nil {
		return
	}
	select {
	case <-p.receipt.Done():
	default:
		return
	}
	if _, err := p.receipt.Wait(); err == nil {
		p.told = p.saying
		p.raised -= p.counted
	}
	p.receipt = nil
}

func (f *faultLog) record(c health.Component, p *faultPart) {
	details := map[string]any{"component": c.Name, "state": "cleared", "code": string(p.last)}
	if p.code != "" {
		details["state"] = "raised"
		if c.Fault.Detail != "" {
			details["error"] = c.Fault.Detail
		}
	}
	if p.raised > 0 {
		details["count"] = p.raised
	}
	if c.Lane != "" {
		details["lane"] = c.Lane
	}
	if set, ok := strings.CutPrefix(c.Name, "data:"); ok {
		details["set"] = set
	}
	p.receipt = f.append(gate.Event{Time: f.now(), Kind: gate.EventFault, Details: details})
	p.saying, p.counted = p.code, p.raised
}
