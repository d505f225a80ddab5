package lane_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/lane"
)

// The people of these tests. All are fictional.
const (
	anna  = "001190000018||Nguyễn Thị Mẫu|15071990|Nữ|x|20082021"
	binh  = "079095000027||Trần Văn Thử|02091995|Nam|x|05112021"
	chi   = "048303000123||Lê Thị Ví Dụ|31122003|Nữ|x|01072022"
	noone = "hello"
)

func number(payload string) gate.Number { return gate.Number(payload[:12]) }

// world is everything around a lane.
type world struct {
	t    *testing.T
	opts lane.Options
	lane *lane.Lane

	scanner *scanner
	relay   *relay
	journal *journal
	facts   *facts
	policy  *rules

	mu       sync.Mutex
	outcomes []lane.Outcome
	began    time.Time
}

// newWorld makes a lane whose parts all work; change alters its options.
func newWorld(t *testing.T, change func(*lane.Options)) *world {
	t.Helper()
	w := &world{
		t: t, scanner: newScanner(), relay: &relay{}, journal: &journal{},
		facts: &facts{}, policy: &rules{verdict: map[gate.CredentialKind]gate.Verdict{gate.KindCCCD: gate.Allow}},
		began: time.Now(),
	}
	w.opts = lane.Options{
		Name: "main", Open: w.scanner.open, Relay: w.relay, Facts: w.facts, Journal: w.journal, Clock: wall{},
		Policy: func() lane.Rules { return w.policy },
		OnOutcome: func(o lane.Outcome) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.outcomes = append(w.outcomes, o)
		},
	}
	if change != nil {
		change(&w.opts)
	}
	var err error
	if w.lane, err = lane.New(w.opts, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	return w
}

// inWorld runs f beside a running lane, in a bubble of its own time.
func inWorld(t *testing.T, change func(*lane.Options), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change)
		stop := w.run()
		synctest.Wait()
		f(w)
		stop()
	})
}

func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.lane.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	}
}

// told gives the outcomes so far, when all that can happen now has happened.
func (w *world) told() []lane.Outcome {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.outcomes)
}

func (w *world) last() lane.Outcome {
	w.t.Helper()
	all := w.told()
	if len(all) == 0 {
		w.t.Fatal("no outcome")
	}
	return all[len(all)-1]
}

// show presents a code once.
func (w *world) show(payload string) {
	w.scanner.scans <- gate.Scan{Payload: []byte(payload), Seen: time.Now(), Decode: time.Millisecond}
}

// hold presents a code fifteen times a second, as a camera sees it.
func (w *world) hold(payload string, d time.Duration) {
	for until := time.Now().Add(d); time.Now().Before(until); time.Sleep(time.Second / 15) {
		w.show(payload)
	}
}

func (w *world) unreadable() {
	w.scanner.scans <- gate.Scan{Unreadable: true, Seen: time.Now()}
}

// scanner is a device that shows what is sent to it.
type scanner struct {
	scans chan gate.Scan
	fail  chan error

	mu     sync.Mutex
	errs   []error // of the next attempts to open
	opens  []time.Time
	closes int
}

func newScanner() *scanner {
	return &scanner{scans: make(chan gate.Scan), fail: make(chan error)}
}

func (s *scanner) open(context.Context) (lane.Scanner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens = append(s.opens, time.Now())
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		return nil, err
	}
	return s, nil
}

func (s *scanner) Scan(ctx context.Context) (gate.Scan, error) {
	select {
	case scan := <-s.scans:
		return scan, nil
	case err := <-s.fail:
		return gate.Scan{}, err
	case <-ctx.Done():
		return gate.Scan{}, ctx.Err()
	}
}

func (s *scanner) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return nil
}

func (s *scanner) opened() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.opens)
}

// relay notes what it is told.
type relay struct {
	mu    sync.Mutex
	told  []string
	err   error
	delay time.Duration
}

func (r *relay) note(what string) error {
	r.mu.Lock()
	delay := r.delay
	r.mu.Unlock()
	time.Sleep(delay)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.told = append(r.told, what)
	return nil
}

func (r *relay) Pulse(context.Context) error { return r.note("pulse") }
func (r *relay) Hold() error                 { return r.note("hold") }
func (r *relay) Release()                    { _ = r.note("release") }

func (r *relay) fails(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *relay) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}

// journal keeps records in memory; a test says how slow it is and what fails.
type journal struct {
	mu       sync.Mutex
	seq      uint64
	delay    time.Duration
	err      error
	stalled  []func() // records waiting for the disk to come back
	stall    bool
	entries  []gate.Entry
	passages []gate.Passage
	order    []string
}

func (j *journal) put(keep func(seq uint64)) *gate.Receipt {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := gate.NewReceipt()
	if j.err != nil {
		r.Fulfil(0, j.err)
		return r
	}
	j.seq++
	seq := j.seq
	write := func() {
		j.mu.Lock()
		keep(seq)
		j.mu.Unlock()
		r.Fulfil(seq, nil)
	}
	switch {
	case j.stall:
		j.stalled = append(j.stalled, write)
	case j.delay > 0:
		time.AfterFunc(j.delay, write)
	default:
		keep(seq)
		r.Fulfil(seq, nil)
	}
	return r
}

func (j *journal) Append(e gate.Entry) *gate.Receipt {
	return j.put(func(seq uint64) {
		j.entries = append(j.entries, e)
		j.order = append(j.order, fmt.Sprintf("entry %d", seq))
	})
}

func (j *journal) AppendPassage(p gate.Passage) *gate.Receipt {
	return j.put(func(uint64) {
		j.passages = append(j.passages, p)
		j.order = append(j.order, fmt.Sprintf("passage of %d", p.Ref))
	})
}

func (j *journal) is(delay time.Duration, stall bool, err error) {
	j.mu.Lock()
	j.delay, j.stall, j.err = delay, stall, err
	var write []func()
	if !stall {
		write, j.stalled = j.stalled, nil
	}
	j.mu.Unlock()
	for _, f := range write {
		f()
	}
}

func (j *journal) written() ([]gate.Entry, []gate.Passage) {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries), slices.Clone(j.passages)
}

// facts knows nobody, from a set that was vouched for an hour ago.
type facts struct {
	mu    sync.Mutex
	err   error
	asked []gate.Number
	state *gate.DataState
}

func (f *facts) Facts(n gate.Number, _ string) (gate.Facts, gate.DataState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, n)
	if f.state != nil {
		return gate.Facts{}, *f.state, f.err
	}
	state := gate.DataState{N: 1, AsOf: time.Now().Add(-time.Hour).UnixMilli()}
	state.Sets[0] = gate.SetVersion{Set: "vn", Version: 7}
	return gate.Facts{}, state, f.err
}

func (f *facts) is(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// rules decide by kind of credential alone; what is not named is RETRY.
type rules struct {
	mu      sync.Mutex
	verdict map[gate.CredentialKind]gate.Verdict
	asked   []gate.Inputs
	panics  bool
}

func (r *rules) Decide(in gate.Inputs) gate.Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, in)
	if r.panics {
		r.panics = false
		panic("a mistake in the rules")
	}
	v, ok := r.verdict[in.Credential]
	if !ok {
		v = gate.Retry
	}
	d := gate.Decision{Verdict: v, Class: gate.Unknown}
	if v.Opens() {
		d.Class = gate.Green
	}
	d.Add(gate.ReasonNoRecord)
	return d
}

func (r *rules) Ref() gate.PolicyRef { return gate.PolicyRef{ID: "test", Version: 3} }

func (r *rules) say(v gate.Verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verdict[gate.KindCCCD] = v
}

// wall is the bubble's clock, believed.
type wall struct{}

func (wall) Reading() (time.Time, gate.ClockLevel) { return time.Now().UTC(), gate.ClockNTP }

var errDisk = errors.New("disk on fire")
