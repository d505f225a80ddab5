package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/agent/lane"
	"gateagent/agent/supervise"
	"gateagent/cache"
	"gateagent/driver/v4l2cam"
	"gateagent/sync/snapshot"
)

// watchEvery is how often the figures of the parts become words on the page;
// after the start it is watchFirst, doubling, so that a gate that decides does
// not say for a second that it cannot.
const (
	watchFirst = 20 * time.Millisecond
	watchEvery = time.Second
	// slowFor is how long a disk counts as slow after the last entry that came
	// late.
	slowFor = 5 * time.Minute
	// steadyTask is how long a task that has failed must run to count as well.
	steadyTask = 5 * time.Second
)

// watch is what looking at the parts remembers. It belongs to the goroutine of
// watchHealth.
type watch struct {
	faults    *faultLog
	stopped   map[string]bool // components whose task does not run
	late      uint64          // entries that came late, in all lanes
	slowUntil time.Time       // the disk counts as slow
}

// declare lists the components of the box in the order of the page and says
// who cannot decide without them.
func (b *box) declare() {
	b.health.Declare("config", health.Aside, "")
	b.health.Declare("journal", health.ByGate, "")
	for _, l := range b.cfg.Lanes {
		b.health.Declare("lane:"+l.Name, health.ByLane, l.Name)
		b.health.Declare("scanner:"+l.Name, health.ByLane, l.Name)
		b.health.Declare("relay:"+l.Name, health.Aside, l.Name)
	}
	for _, s := range b.cfg.Sets {
		b.health.Declare("data:"+s.Name, health.Aside, "")
	}
	for _, name := range []string{"policy", "shadow", "trust", "revoked", "passes", "passages", "identity", "keys", "hold", "clock", "broker", "central", "page", "local"} {
		b.health.Declare(name, health.Aside, "")
	}
}

// watchHealth brings the figures of all parts to the registry until ctx ends.
func (b *box) watchHealth(ctx context.Context) error {
	for pause := watchFirst; ; pause = min(2*pause, watchEvery) {
		b.look()
		again := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-again.C:
		}
	}
}

func (b *box) look() {
	b.lookAtTasks()
	b.lookAtConfig()
	b.lookAtJournal()
	for _, l := range b.lanes {
		b.lookAtLane(l)
	}
	b.lookAtData()
	b.lookAtKeys()
	b.lookAtClock()
	b.lookAtDocuments()
	b.lookAtProofs()
	b.lookAtPassages()
	if b.net != nil {
		b.net.look()
	}
	b.watch.faults.note(b.health.Snapshot(), time.Now())
}

// say notes what is wrong with a component, unless its task has stopped: then
// its figures are old, and that it stopped has been said.
func (b *box) say(name string, level health.Level, code health.Code, detail string) {
	if !b.watch.stopped[name] {
		b.health.Set(name, level, health.NewFault(code, detail))
	}
}

// ok notes that a component works, with the same exception.
func (b *box) ok(name string) {
	if !b.watch.stopped[name] {
		b.health.OK(name)
	}
}

// lookAtTasks finds the tasks that have failed and are started again.
func (b *box) lookAtTasks() {
	stopped := make(map[string]bool)
	for _, t := range b.group.Status() {
		steady := t.State == supervise.Running && time.Since(t.Since) >= steadyTask
		if t.Err == nil || steady || t.State == supervise.Done || t.Name == "health" { // the last is who looks here
			continue
		}
		name, code := taskFault(t.Name)
		if stopped[name] {
			continue
		}
		stopped[name] = true
		b.health.Set(name, health.Failed, health.NewFault(code, t.Err.Error()))
	}
	b.watch.stopped = stopped
	b.ok("page")
	b.ok("local")
}

// taskFault gives the component that a task stands for, and its fault.
func taskFault(task string) (component string, code health.Code) {
	switch kind, _, _ := strings.Cut(task, ":"); kind {
	case "page":
		return task, health.PageFailed
	case "local":
		return task, health.SocketFailed
	case "lane":
		return task, health.LaneStopped
	case "link", "news":
		return "broker", health.Stopped
	case "presence", "outbox":
		return "central", health.Stopped
	default: // relay, data, clock, journal
		return task, health.Stopped
	}
}

func (b *box) lookAtConfig() {
	_, warnings := b.loaded.Report.Counts()
	switch {
	case b.loaded.UsedLastGood:
		b.say("config", health.Degraded, health.ConfigLastGood, b.loaded.Report.File)
	case warnings > 0:
		b.say("config", health.Degraded, health.ConfigWarning, b.loaded.Report.File)
	default:
		b.ok("config")
	}
}

func (b *box) lookAtJournal() {
	if b.records == nil {
		b.say("journal", health.Failed, health.JournalFailed, errText(b.storeErr.journal))
		return
	}
	s := b.records.Status()
	switch {
	case errors.Is(s.Fault, cache.ErrFull):
		b.say("journal", health.Failed, health.JournalFull, s.Fault.Error())
	case s.Fault != nil:
		b.say("journal", health.Failed, health.JournalFailed, s.Fault.Error())
	case b.diskIsSlow():
		b.say("journal", health.Degraded, health.JournalSlow, fmt.Sprintf("%d entries came late since the start", b.watch.late))
	case s.EpochCause != "" && s.EpochCause != cache.CauseFirst:
		b.say("journal", health.Degraded, health.JournalNewEpoch, s.EpochCause)
	default:
		b.ok("journal")
	}
}

// diskIsSlow says whether an entry came late within [slowFor].
func (b *box) diskIsSlow() bool {
	var late uint64
	for _, l := range b.lanes {
		late += l.lane.Stats().Late
	}
	now := time.Now()
	if late > b.watch.late {
		b.watch.late, b.watch.slowUntil = late, now.Add(slowFor)
	}
	return now.Before(b.watch.slowUntil)
}

func (b *box) lookAtLane(l *gateLane) {
	s := l.lane.Stats()
	if s.Fault != "" {
		b.say("lane:"+l.name, health.Failed, laneFault(s.Fault, s.FaultErr), errText(s.FaultErr))
	} else {
		b.ok("lane:" + l.name)
	}
	age, hasPicture := l.pictureAge()
	switch {
	case s.Scanner == lane.ScannerOpen && hasPicture && age > health.MaxPictureAge:
		b.say("scanner:"+l.name, health.Failed, health.ScannerSilent, fmt.Sprintf("no picture for more than %v", health.MaxPictureAge))
	case s.Scanner == lane.ScannerOpen:
		b.ok("scanner:" + l.name)
	case s.Scanner == lane.ScannerOpening:
		b.say("scanner:"+l.name, health.Degraded, health.Starting, "")
	case s.Scanner == lane.ScannerEnded:
		b.say("scanner:"+l.name, health.Failed, health.ScannerGone, "the source has come to its end")
	case errors.Is(s.ScannerErr, v4l2cam.ErrNotCamera):
		b.say("scanner:"+l.name, health.Failed, health.ScannerFormat, s.ScannerErr.Error())
	default:
		b.say("scanner:"+l.name, health.Failed, health.ScannerGone, errText(s.ScannerErr))
	}
	if err := relayTrouble(l.relay.Status().Err, s.RelayErr); err != nil {
		b.say("relay:"+l.name, health.Failed, health.RelayError, err.Error())
	} else {
		b.ok("relay:" + l.name)
	}
}

// relayTrouble gives what is wrong with a relay: why it is not open, or else why
// the last opening failed. One that refused and was opened anew has not proved
// yet that it works; one that was only missing is well when it is back.
func relayTrouble(notOpen, lastOpening error) error {
	if notOpen == nil && !errors.Is(lastOpening, lane.ErrNoRelay) {
		return lastOpening
	}
	return notOpen
}

func laneFault(r gate.Reason, err error) health.Code {
	switch {
	case r == gate.ReasonRecordFault && errors.Is(err, cache.ErrFull):
		return health.JournalFull
	case r == gate.ReasonRecordFault:
		return health.JournalFailed
	case r == gate.ReasonStoreFault:
		return health.DataDamaged
	default:
		return health.LaneStopped
	}
}

func (b *box) lookAtData() {
	if b.sets == nil {
		for _, s := range b.cfg.Sets {
			b.say("data:"+s.Name, health.Failed, health.DataDamaged, errText(b.storeErr.sets))
		}
		return
	}
	now := b.clock.Now()
	params := b.rules.Load().Params()
	for _, s := range b.sets.Status() {
		name := "data:" + s.Set
		age := now.Sub(s.Issued)
		switch late := b.lateData(s.Set); {
		case s.Fault != nil:
			b.say(name, health.Failed, health.DataDamaged, s.Fault.Error())
		case s.Version > 0 && !s.HasKey && inMemory(s):
			b.say(name, health.Failed, health.DataKeyAwaited, keyDetail(s))
		case s.Version > 0 && !s.HasKey, s.Version == 0 && len(s.Keys) == 0 && b.keys.fileError(s.Set) != "":
			b.say(name, health.Failed, health.DataKeyMissing, keyDetail(s))
		case s.Version == 0 && late.Code != "":
			b.say(name, health.Failed, late.Code, late.Detail)
		case s.Version == 0:
			b.say(name, health.Failed, health.DataMissing, "")
		case params.HardAge > 0 && age > params.HardAge:
			b.say(name, health.Failed, health.DataExpired, "")
		case late.Code != "":
			b.say(name, health.Degraded, late.Code, late.Detail)
		case params.SoftAge > 0 && age > params.SoftAge:
			b.say(name, health.Degraded, health.DataStale, "")
		default:
			b.ok(name)
		}
	}
}

// lateData gives why the newest version of a set is not in force; zero when it
// is.
func (b *box) lateData(set string) snapshot.Fault {
	if b.net == nil {
		return snapshot.Fault{}
	}
	return b.net.data(set).Fault
}

func keyDetail(s cache.SetStatus) string {
	if s.KeyID == "" {
		return ""
	}
	return "the data was made with key " + s.KeyID
}

func (b *box) lookAtKeys() {
	b.keys.settle()
	switch cause, memory := b.keys.entryState(); {
	case cause == "":
		b.ok("keys")
	case memory:
		b.say("keys", health.Degraded, health.EntryKeyAwaited, cause)
	default:
		b.say("keys", health.Degraded, health.EntryKeyMissing, cause)
	}
	theft, stray := b.keys.theft()
	area := ""
	if theft.Memory && !theft.OnDisk() {
		area = b.keys.swap()
	}
	switch {
	case len(stray) > 0:
		b.say("hold", health.Degraded, health.KeyOnDisk, strings.Join(stray, ", "))
	case area != "":
		b.say("hold", health.Degraded, health.KeySwappable, area)
	default:
		b.ok("hold")
	}
}

func (b *box) lookAtClock() {
	switch s := b.clock.Status(); s.Level {
	case gate.ClockNone:
		b.say("clock", health.Degraded, health.ClockNone, "")
	case gate.ClockFloor:
		b.say("clock", health.Degraded, health.ClockFloor, "")
	default:
		b.ok("clock")
	}
}

// passMemory is how long it is said that spent passes were forgotten: by then
// those from before have expired, at nearly every site.
const passMemory = 31 * 24 * time.Hour

func (b *box) lookAtProofs() {
	if b.shadowErr != nil {
		b.say("shadow", health.Degraded, health.ShadowUnreadable, b.shadowErr.Error())
	} else {
		b.ok("shadow")
	}
	if b.proofs.spent == nil {
		b.say("passes", health.Degraded, health.PassesUnspendable, errText(b.storeErr.spent))
		return
	}
	s := b.proofs.spent.Status()
	odd := b.proofs.odd.Load()
	switch {
	case s.Fault != nil:
		b.say("passes", health.Degraded, health.PassesUnspendable, s.Fault.Error())
	case !s.Lost.IsZero() && b.clock.Now().Sub(s.Lost) < passMemory:
		b.say("passes", health.Degraded, health.PassesForgotten, s.Lost.UTC().Format(time.RFC3339))
	case odd > 0:
		b.say("passes", health.Degraded, health.PassportKeyOdd, fmt.Sprintf("%d keys", odd))
	default:
		b.ok("passes")
	}
}

// lookAtPassages says when rules about passages cannot be held to everybody.
// While the journal is being read back, for a moment after the start, that is
// no fault.
func (b *box) lookAtPassages() {
	switch s := b.passages.Status(); {
	case s.Fault != nil:
		b.say("passages", health.Degraded, health.PassagesUnknown, s.Fault.Error())
	case !s.Gap.IsZero():
		b.say("passages", health.Degraded, health.PassagesUnknown, "before "+s.Gap.Format(time.RFC3339))
	case !s.Crowded.IsZero():
		b.say("passages", health.Degraded, health.PassagesUnknown, "too many people before "+s.Crowded.Format(time.RFC3339))
	default:
		b.ok("passages")
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
