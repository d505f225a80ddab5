package lane_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/lane"
	"gateagent/agent/supervise"
)

// passages notes what it is told. While it has more to read back, nothing is
// known for sure of those of whom it was not told.
type passages struct {
	mu      sync.Mutex
	last    map[gate.Pseudonym]gate.Passages
	reading chan struct{} // nil: all has been read
	failed  bool

	underway []*passing
}

func (p *passages) Decide(who gate.Pseudonym, d gate.Direction, at time.Time, decide func(gate.Passages) bool) func(time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one, told := p.last[who]
	select {
	case <-p.Settled():
		one.Unknown = p.failed && !told
	default:
		one.Unknown = !told
	}
	for _, u := range p.underway {
		if u.who == who {
			one = u.after(one)
		}
	}
	if !decide(one) {
		return func(time.Time) {}
	}
	u := &passing{who, d, at}
	p.underway = append(p.underway, u)
	return func(passed time.Time) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.underway = slices.DeleteFunc(p.underway, func(x *passing) bool { return x == u })
		if !passed.IsZero() {
			p.last[who] = (&passing{who, d, passed}).after(p.last[who])
		}
	}
}

// passing is somebody on their way.
type passing struct {
	who gate.Pseudonym
	way gate.Direction
	at  time.Time
}

func (u *passing) after(one gate.Passages) gate.Passages {
	if u.way == gate.DirectionIn {
		one.In = u.at.UnixMilli()
	} else {
		one.Out = u.at.UnixMilli()
	}
	return one
}

// left counts the openings whose outcome was not told.
func (p *passages) left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.underway)
}

func (p *passages) Settled() <-chan struct{} {
	if p.reading == nil {
		return closed
	}
	return p.reading
}

// closed is a channel that is.
var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (p *passages) note(who gate.Pseudonym, d gate.Direction, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[who] = (&passing{who, d, at}).after(p.last[who])
}

func TestPassagesAreCounted(t *testing.T) {
	b, seen := &book{known: true}, &passages{last: map[gate.Pseudonym]gate.Passages{}}
	inBook(t, b, &proofs{}, func(o *lane.Options) { o.Passages = seen }, func(w *world) {
		first := time.Now().UnixMilli()
		w.show(anna)
		synctest.Wait()
		time.Sleep(10 * time.Second)
		w.relay.fails(errors.New("stuck"))
		w.show(anna) // decided, not opened: no passage
		synctest.Wait()
		w.relay.fails(nil)
		b.mu.Lock()
		b.known = false
		b.mu.Unlock()
		time.Sleep(10 * time.Second)
		w.show(anna) // not let in: no passage
		entries, _ := w.journal.written()
		var got []int64
		for _, e := range entries {
			got = append(got, e.Inputs.Passages.In)
		}
		if want := []int64{0, first, first}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if n := len(seen.last); n != 1 {
			t.Errorf("%d people", n)
		}
	})
}

// onceIn lets everybody in who is not in, as a policy with anti-passback does.
type onceIn struct{ strength gate.Verdict }

func (onceIn) Ref() gate.PolicyRef { return gate.PolicyRef{ID: "once", Version: 1} }

func (r onceIn) Decide(in gate.Inputs) gate.Decision {
	d := gate.Decision{Verdict: gate.Allow}
	switch {
	case in.Passages.In > 0:
		d.Verdict = r.strength
		d.Add(gate.ReasonAntiPassback)
	case in.Passages.Unknown:
		d.Verdict = r.strength
		d.Add(gate.ReasonPassagesUnknown)
	}
	d.Add(gate.ReasonVaccinated)
	return d
}

// TestPassagesNotReadBack: while the journal is being read back, a person waits
// for it as long as for an entry, and then the policy decides by what it does
// not know. What is recorded is what was decided by.
func TestPassagesNotReadBack(t *testing.T) {
	const wait = 250 * time.Millisecond
	annaIs := gate.NewPseudonymer(gate.Key{7}).Of(number(anna))
	for _, tt := range []struct {
		name     string
		strength gate.Verdict
		after    time.Duration // until it has been read back; 0: never
		failed   bool          // and nothing came of it
		wasIn    bool          // what the journal says of her
		want     gate.Verdict
		reason   gate.Reason
		waited   time.Duration
	}{
		{"in time, she is in", gate.ManualCheck, 100 * time.Millisecond, false, true, gate.ManualCheck, gate.ReasonAntiPassback, 100 * time.Millisecond},
		{"in time, she is not", gate.ManualCheck, 100 * time.Millisecond, false, false, gate.Allow, gate.ReasonVaccinated, 100 * time.Millisecond},
		{"in time, in vain", gate.ManualCheck, 100 * time.Millisecond, true, false, gate.ManualCheck, gate.ReasonPassagesUnknown, 100 * time.Millisecond},
		{"too late, hard", gate.ManualCheck, time.Second, false, true, gate.ManualCheck, gate.ReasonPassagesUnknown, wait},
		{"too late, soft", gate.AllowNotice, time.Second, false, true, gate.AllowNotice, gate.ReasonPassagesUnknown, wait},
		{"never", gate.ManualCheck, 0, false, true, gate.ManualCheck, gate.ReasonPassagesUnknown, wait},
		{"no rule", gate.Allow, 0, false, false, gate.Allow, gate.ReasonPassagesUnknown, wait},
	} {
		t.Run(tt.name, func(t *testing.T) {
			seen := &passages{last: map[gate.Pseudonym]gate.Passages{}, failed: tt.failed}
			rules := onceIn{tt.strength}
			inBook(t, &book{}, &proofs{}, func(o *lane.Options) {
				seen.reading = make(chan struct{})
				o.Passages, o.Policy = seen, func() lane.Rules { return rules }
			}, func(w *world) {
				if tt.after > 0 {
					go func() {
						time.Sleep(tt.after)
						if tt.wasIn {
							seen.note(annaIs, gate.DirectionIn, time.Now())
						}
						close(seen.reading)
					}()
				}
				began := time.Now()
				w.show(anna)
				time.Sleep(300 * time.Millisecond)
				o := w.last()
				e := o.Entry
				if e.Verdict != tt.want || e.Reasons[0] != tt.reason || e.Lookup != tt.waited || e.Decide != 0 {
					t.Errorf("%v %v, waited %v", e.Verdict, e.Reasons, e.Lookup)
				}
				if d := rules.Decide(e.Inputs); d.Verdict != e.Verdict || !slices.Equal(d.ReasonList(), e.Reasons) {
					t.Errorf("%v %v; the inputs give %v %v", e.Verdict, e.Reasons, d.Verdict, d.ReasonList())
				}
				if o.Opened && o.Took > wait || time.Since(began) > time.Second {
					t.Errorf("it took %v", o.Took)
				}
				time.Sleep(10 * time.Second)
				// Once she has been let in, that is known whatever is not read back.
				if e.Verdict == gate.AllowNotice {
					w.show(anna)
					synctest.Wait()
					if e := w.last().Entry; e.Reasons[0] != gate.ReasonAntiPassback || e.Lookup != 0 {
						t.Errorf("again: %v %v, waited %v", e.Verdict, e.Reasons, e.Lookup)
					}
				}
			})
		})
	}
}

// TestNobodyCanBeNamed: without the site entry key nobody is known again, which
// a policy that asks for passages is told.
func TestNobodyCanBeNamed(t *testing.T) {
	inBook(t, &book{}, &proofs{}, func(o *lane.Options) {
		o.Passages, o.Policy = &passages{}, func() lane.Rules { return onceIn{gate.ManualCheck} }
		o.EntryKey = func() (gate.Key, bool) { return gate.Key{}, false }
	}, func(w *world) {
		w.show(anna)
		synctest.Wait()
		w.show(noone)
		w.told()
		entries, _ := w.journal.written()
		if e := entries[0]; e.Verdict != gate.ManualCheck || e.Reasons[0] != gate.ReasonPassagesUnknown || !e.Inputs.Passages.Unknown || e.Lookup != 0 {
			t.Errorf("%v %v", e.Verdict, e.Reasons)
		}
		if e := entries[1]; e.Inputs.Passages.Unknown {
			t.Error("who has no number has no passages that are not known")
		}
	})
}

// TestOneCodeAtTwoLanes: a code is shown at a second lane while the first is
// still about to open for it. It is let in once, or at the second when the first
// could not; what is recorded is what was decided by.
func TestOneCodeAtTwoLanes(t *testing.T) {
	for _, tt := range []struct {
		name    string
		first   func(w *world) // what becomes of the first lane
		after   time.Duration  // when the code is shown at the second
		want    gate.Verdict   // there
		opened  bool           // the first
		waiting int64          // the passage the second knows of: when the code was shown at the first, or 0
	}{
		{"the journal takes its time", func(w *world) { w.journal.is(100*time.Millisecond, false, nil) }, 50 * time.Millisecond, gate.ManualCheck, true, 1},
		{"the journal is too slow", func(w *world) { w.journal.is(time.Second, false, nil) }, 200 * time.Millisecond, gate.ManualCheck, false, 1},
		{"it was too slow", func(w *world) { w.journal.is(time.Second, false, nil) }, 300 * time.Millisecond, gate.Allow, false, 0},
		{"the journal has failed", func(w *world) { w.journal.is(0, false, errDisk) }, 10 * time.Millisecond, gate.Allow, false, 0},
		{"the relay takes its time", func(w *world) { w.relay.delay = time.Second }, 500 * time.Millisecond, gate.ManualCheck, true, 1},
		{"the relay has failed", func(w *world) { w.relay.fails(errDisk) }, 10 * time.Millisecond, gate.Allow, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				seen := &passages{last: map[gate.Pseudonym]gate.Passages{}}
				rules := onceIn{gate.ManualCheck}
				change := func(o *lane.Options) {
					o.Passages, o.Policy = seen, func() lane.Rules { return rules }
					o.EntryKey = func() (gate.Key, bool) { return gate.Key{7}, true }
				}
				a, b := newWorld(t, change), newWorld(t, change)
				tt.first(a)
				stopA, stopB := a.run(), b.run()
				shown := time.Now().UnixMilli()
				a.show(anna)
				time.Sleep(tt.after)
				b.show(anna)
				time.Sleep(3 * time.Second)
				first, second := a.last(), b.last()
				if first.Opened != tt.opened || second.Entry.Verdict != tt.want || second.Opened != tt.want.Opens() {
					t.Errorf("opened at the first %t; at the second %v, opened %t", first.Opened, second.Entry.Verdict, second.Opened)
				}
				if got := second.Entry.Inputs.Passages; got != (gate.Passages{In: tt.waiting * shown}) {
					t.Errorf("the second decided by %+v", got)
				}
				for _, o := range []lane.Outcome{first, second} {
					d := rules.Decide(o.Entry.Inputs)
					if d.Verdict != o.Entry.Verdict || !slices.Equal(d.ReasonList(), o.Entry.Reasons) {
						t.Errorf("%v %v; the inputs give %v %v", o.Entry.Verdict, o.Entry.Reasons, d.Verdict, d.ReasonList())
					}
				}
				stopA()
				stopB()
				if n := seen.left(); n != 0 {
					t.Errorf("%d are under way for ever", n)
				}
			})
		})
	}
}

// TestNobodyIsUnderWayForEver: whatever ends a scan ends what it holds.
func TestNobodyIsUnderWayForEver(t *testing.T) {
	seen := &passages{last: map[gate.Pseudonym]gate.Passages{}}
	for name, tt := range map[string]struct {
		change func(o *lane.Options)
		code   string
	}{
		"a panic after the decision": {func(o *lane.Options) {
			o.Shadow = func() lane.Rules { panic("a mistake") }
		}, anna},
		"a pass that is spent": {func(o *lane.Options) {
			p := &proofs{stale: true, spent: map[[16]byte]bool{{'o', 'n', 'e'}: true}}
			o.Proofs, o.Spend = p, p.use
		}, "GP1:one"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *lane.Options) {
					o.Passages, o.Policy = seen, func() lane.Rules { return &book{known: true} }
					o.EntryKey = func() (gate.Key, bool) { return gate.Key{7}, true }
					tt.change(o)
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- supervise.Recovered(func() error { return w.lane.Run(ctx) }) }()
				w.show(tt.code)
				synctest.Wait()
				if n := seen.left(); n != 0 || len(seen.last) != 0 {
					t.Errorf("%d are under way, %v have passed", n, seen.last)
				}
				cancel()
				<-done
			})
		})
	}
}
