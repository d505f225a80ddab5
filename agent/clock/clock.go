// Package clock gives the box's time and says how far it can be believed.
//
// A box often has no battery behind its clock and boots in 1970 or in the past.
// It owns the trust ladder of DESIGN §5 and the floor, the instant before which
// it certainly is not:
//
//	none     the system clock lies before the floor: certainly wrong
//	floor    after it, nothing better known
//	rtc      the kernel set its clock from a hardware clock at boot
//	ntp      the kernel says that it is synchronised
//	central  central answered our nonce within 30 s
//
// The floor rises by central's time and by the dates of verified documents, at
// most 400 days at once, never by the box's own clock, and survives a restart.
// The package never sets the system clock.
//
// Instants are UTC with millisecond use in mind; from level central on they
// run on the monotonic clock, so that a step of the system clock moves nothing.
package clock

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/agent/gate"
)

// The numbers of the ladder.
const (
	// MaxRise is how far the floor rises at once.
	MaxRise = 400 * 24 * time.Hour
	// MaxRoundTrip is how long central's answer may take to count.
	MaxRoundTrip = 30 * time.Second
	// Slack is how far the system clock may lie behind the floor: a document
	// signed this minute must not make a slightly slow clock worthless.
	Slack = 10 * time.Minute
	// minStep is the smallest jump that is reported.
	minStep = 2 * time.Second
)

// Options say where things are. Zero members take the defaults.
type Options struct {
	// FloorFile keeps the floor; empty: it is kept in memory only.
	FloorFile string
	// Built is when the program was built: the lowest floor there is.
	Built time.Time
	// RTCPath is the kernel's folder of hardware clocks, /sys/class/rtc.
	RTCPath string
	// Synchronised asks the kernel whether its clock is synchronised
	// (adjtimex).
	Synchronised func() (bool, error)
	// System is the system clock, time.Now.
	System func() time.Time
	// OnStep is told of each jump of [Clock.Now] of 2 s or more, on the
	// goroutine that found it. It must not block.
	OnStep func(Step)
}

// Step is a jump of the time that the box goes by.
type Step struct {
	From, To           time.Time
	LevelFrom, LevelTo gate.ClockLevel
	ByCentral          bool // else by whoever sets the system clock
}

// Clock is safe for concurrent use.
type Clock struct {
	o   Options
	log *slog.Logger

	mu      sync.Mutex // guards all following fields
	floor   anchor     // as of when it was set last
	central anchor     // the time that central gave; zero: none yet
	synced  bool       // the kernel's word at the last look
	rtc     string     // the hardware clock that set the system clock; "" for none

	// What Now and Level gave when last looked at, to notice jumps.
	seen      anchor
	seenLevel gate.ClockLevel

	saved          time.Time // the floor on disk
	floorProblem   error
	centralProblem error

	wake chan struct{} // the floor may be worth saving
}

// anchor is an instant and when, by the monotonic clock, it was so.
type anchor struct{ time, at time.Time }

func anchored(t time.Time) anchor { return anchor{t.UTC().Round(0), time.Now()} }

func (a anchor) now() time.Time { return a.time.Add(time.Since(a.at)).Round(0) }

// New reads the floor and takes a first look at the system. A floor file that
// is missing or damaged is no error: the floor is then the build time, and
// [Clock.Status] says so.
func New(o Options, log *slog.Logger) *Clock {
	if o.RTCPath == "" {
		o.RTCPath = "/sys/class/rtc"
	}
	if o.Synchronised == nil {
		o.Synchronised = kernelSynchronised
	}
	if o.System == nil {
		o.System = time.Now
	}
	c := &Clock{o: o, log: log, wake: make(chan struct{}, 1), floor: anchored(o.Built)}
	if o.FloorFile != "" {
		c.saved, c.floorProblem = readFloor(o.FloorFile)
		if c.floorProblem != nil {
			log.Warn("the floor of the clock is lost, the build time is taken", "err", c.floorProblem)
		}
		if c.saved.After(c.floor.time) {
			c.floor.time = c.saved
		}
	}
	c.look()
	now, level := c.reading()
	c.seen, c.seenLevel = anchored(now), level
	return c
}

func (c *Clock) system() time.Time { return c.o.System().UTC().Round(0) }

// Now gives the best time there is, in UTC and without a monotonic part:
// central's, running on from its last answer; else the system clock; where
// that is certainly wrong, the floor, running on from when it was known.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, _ := c.reading()
	return now
}

// Level says how far [Clock.Now] can be believed.
func (c *Clock) Level() gate.ClockLevel {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, level := c.reading()
	return level
}

// Reading gives time and level of one and the same moment.
func (c *Clock) Reading() (time.Time, gate.ClockLevel) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading()
}

// reading is the ladder, from the top down. c.mu is held.
func (c *Clock) reading() (time.Time, gate.ClockLevel) {
	if !c.central.time.IsZero() {
		return c.central.now(), gate.ClockCentral
	}
	system := c.system()
	switch {
	case system.Before(c.floor.time.Add(-Slack)):
		return c.floor.now(), gate.ClockNone
	case c.synced:
		return system, gate.ClockNTP
	case c.rtc != "":
		return system, gate.ClockRTC
	}
	return system, gate.ClockFloor
}

// Floor gives the instant before which it certainly is not.
func (c *Clock) Floor() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.floor.time
}

// Raise lifts the floor to t, the date of a verified document or central's
// time, by at most [MaxRise]; an earlier t changes nothing.
func (c *Clock) Raise(t time.Time) {
	c.mu.Lock()
	c.raise(t)
	step := c.jumped(false)
	c.mu.Unlock()
	c.report(step)
}

func (c *Clock) raise(t time.Time) {
	if limit := c.floor.time.Add(MaxRise); t.After(limit) {
		t = limit
	}
	if t.After(c.floor.time) {
		c.setFloor(t)
	}
}

// Set puts the floor at t, up or down, but not below the build time: only a
// document signed by a root key may do so.
func (c *Clock) Set(t time.Time) {
	if t.Before(c.o.Built) {
		t = c.o.Built
	}
	c.mu.Lock()
	c.setFloor(t)
	step := c.jumped(false)
	c.mu.Unlock()
	c.report(step)
}

func (c *Clock) setFloor(t time.Time) {
	c.floor = anchored(t)
	select {
	case c.wake <- struct{}{}:
	default: // the saver is awake already
	}
}

// Central takes the time t that central gave in answer to our nonce, roundTrip
// after we asked. The answer must be verified. One that came too late, or says
// a time that certainly is over, is not used.
func (c *Clock) Central(t time.Time, roundTrip time.Duration) {
	c.mu.Lock()
	err := c.takeCentral(t, roundTrip)
	c.centralProblem = err
	step := c.jumped(true)
	c.mu.Unlock()
	if err != nil {
		c.log.Warn("central's time was not used", "err", err)
	}
	c.report(step)
}

func (c *Clock) takeCentral(t time.Time, roundTrip time.Duration) error {
	if roundTrip < 0 || roundTrip > MaxRoundTrip {
		return fmt.Errorf("central's answer took %v, more than %v", roundTrip.Round(time.Millisecond), MaxRoundTrip)
	}
	if t.Before(c.floor.time.Add(-Slack)) {
		return fmt.Errorf("central's time %s lies before the floor %s", t.Format(time.RFC3339), c.floor.time.Format(time.RFC3339))
	}
	// It was t at some moment of the round trip. While our own reckoning lies
	// within, the answer confirms it; to follow each answer would only make
	// the time jitter by the delays of the network.
	own := c.central.now()
	if c.central.time.IsZero() || own.Before(t) || own.After(t.Add(roundTrip)) {
		c.central = anchored(t.Add(roundTrip / 2))
	}
	c.raise(t)
	return nil
}

// jumped gives the step that the time has made since it was looked at last, or
// nil. c.mu is held.
func (c *Clock) jumped(byCentral bool) *Step {
	now, level := c.reading()
	expected, was := c.seen.now(), c.seenLevel
	c.seen, c.seenLevel = anchored(now), level
	if now.Sub(expected).Abs() < minStep {
		return nil
	}
	return &Step{From: expected, To: now, LevelFrom: was, LevelTo: level, ByCentral: byCentral}
}

func (c *Clock) report(s *Step) {
	if s == nil {
		return
	}
	c.log.Info("the time was put right", "from", s.From, "to", s.To, "level", s.LevelTo.String())
	if c.o.OnStep != nil {
		c.o.OnStep(*s)
	}
}

// Status is what page and state show.
type Status struct {
	Now    time.Time
	Level  gate.ClockLevel
	Floor  time.Time
	System time.Time // the system clock, right or wrong
	Synced bool      // by the kernel's word
	RTC    string    // the hardware clock that set the system clock, such as "rtc0"
	// Problem says why the floor could not be kept or central's last answer
	// was not used; nil when all is well.
	Problem error
}

// Status gives the state of this moment.
func (c *Clock) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, level := c.reading()
	return Status{
		Now: now, Level: level, Floor: c.floor.time, System: c.system(),
		Synced: c.synced, RTC: c.rtc, Problem: errors.Join(c.floorProblem, c.centralProblem),
	}
}
