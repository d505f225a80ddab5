package cache_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cache"
	"gateagent/cache/cachetest"
)

// passageJournal holds records in memory, as a journal gives them.
type passageJournal struct {
	links []record.Link

	mu    sync.Mutex
	reads int
	fail  error
}

func (j *passageJournal) fails(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail = err
}

func (j *passageJournal) Read(from uint64, maxBytes int) ([]record.Link, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reads++
	if j.fail != nil {
		return nil, j.fail
	}
	var out []record.Link
	size := 0
	for _, l := range j.links {
		if l.Seq < from {
			continue
		}
		if size += len(l.Record.Public); len(out) > 0 && size > maxBytes {
			break
		}
		out = append(out, l)
	}
	return out, nil
}

func (j *passageJournal) Status() cache.JournalStatus {
	s := cache.JournalStatus{First: 1}
	if n := len(j.links); n > 0 {
		s.First, s.Position.Seq = j.links[0].Seq, j.links[n-1].Seq
	}
	return s
}

func (j *passageJournal) add(t testing.TB, r record.Record, err error) uint64 {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	seq := uint64(len(j.links) + 1)
	j.links = append(j.links, record.Link{Seq: seq, Record: r})
	return seq
}

// begins records why the journal begins.
func (j *passageJournal) begins(t testing.TB, at time.Time, cause string) {
	t.Helper()
	r, err := record.FromEvent(record.Origin{Site: "site", Gate: "gate"}, record.Epoch{1}, 1, record.FirstEvent(at, record.Position{}, cause))
	j.add(t, r, err)
}

// comes records that somebody came at a time; opened says whether the relay
// obeyed.
func (j *passageJournal) comes(t testing.TB, who gate.Pseudonym, way gate.Direction, at time.Time, v gate.Verdict, opened bool) {
	t.Helper()
	origin := record.Origin{Site: "site", Gate: "gate"}
	e := cachetest.Entry(int(who))
	e.Time, e.Verdict, e.Direction, e.Subject, e.HasSubject, e.Ref = at, v, way, who, true, 0
	r, err := record.FromEntry(origin, record.Epoch{1}, uint64(len(j.links)+1), e)
	seq := j.add(t, r, err)
	if v.Opens() {
		r, err = record.FromPassage(origin, record.Epoch{1}, seq+1, gate.Passage{Time: at.Add(time.Second), Lane: "main", Ref: seq, Opened: opened})
		j.add(t, r, err)
	}
}

func TestPassagesAreRememberedForTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPassages(nil, time.Now, quiet)
		p.Note(1, gate.DirectionIn, time.Now())
		if got := p.Last(1); got != (gate.Passages{}) {
			t.Errorf("remembered without being asked to: %+v", got)
		}
		p.Keep(time.Hour)
		in := time.Now()
		p.Note(1, gate.DirectionIn, in)
		time.Sleep(30 * time.Minute)
		out := time.Now()
		p.Note(1, gate.DirectionOut, out)
		if got := p.Last(1); got != (gate.Passages{In: in.UnixMilli(), Out: out.UnixMilli()}) {
			t.Errorf("%+v", got)
		}
		time.Sleep(31 * time.Minute)
		if got := p.Last(1); got != (gate.Passages{Out: out.UnixMilli()}) {
			t.Errorf("after the window of one: %+v", got)
		}
		if got := p.Last(2); got != (gate.Passages{Unknown: true}) { // nothing has been read back
			t.Errorf("somebody else: %+v", got)
		}
		p.Keep(time.Minute) // a shorter window forgets
		if s := p.Status(); s.People != 0 || s.Window != time.Minute {
			t.Errorf("%+v", s)
		}
	})
}

// A clock that is set back does not turn in and out round: who went and came
// again is inside, whatever the times say.
func TestPassagesAreInOrderWhateverTheClockDoes(t *testing.T) {
	const who = 7
	at := func(hour int) time.Time { return time.Date(2026, 3, 1, hour, 0, 0, 0, time.UTC) }
	for name, live := range map[string]int{"both read back": 2, "one made in this run": 1, "both made in this run": 0} {
		for _, out := range []int{6, 11} { // by a right clock, and by one that was set back after it
			t.Run(fmt.Sprintf("%s, out at %d, in at 8", name, out), func(t *testing.T) {
				j := &passageJournal{}
				j.begins(t, at(5), cache.CauseFirst)
				if live > 0 {
					j.comes(t, who, gate.DirectionOut, at(out), gate.Allow, true)
				}
				if live > 1 {
					j.comes(t, who, gate.DirectionIn, at(8), gate.Allow, true)
				}
				p := cache.NewPassages(j, func() time.Time { return at(8) }, quiet)
				p.Keep(24 * time.Hour)
				if live < 1 {
					p.Note(who, gate.DirectionOut, at(out))
				}
				if live < 2 { // perhaps before the journal has been read back
					p.Note(who, gate.DirectionIn, at(8))
				}
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- p.Run(ctx) }()
				<-p.Settled()
				cancel()
				<-done
				if got := p.Last(who); got.In <= got.Out || got.Out <= 0 || got.Unknown {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}

// What lies before the window is gone although nobody comes any more.
func TestPassagesForgetByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPassages(nil, time.Now, quiet)
		p.Keep(10 * time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		for who := range gate.Pseudonym(100) {
			p.Note(who, gate.DirectionIn, time.Now())
		}
		time.Sleep(9 * time.Minute)
		if s := p.Status(); s.People != 100 || !s.Whole {
			t.Errorf("%+v", s)
		}
		time.Sleep(3 * time.Minute)
		if s := p.Status(); s.People != 0 {
			t.Errorf("%+v", s)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestPassagesAreReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		j := &passageJournal{}
		for i := range 500 { // long ago
			j.comes(t, gate.Pseudonym(1000+i), gate.DirectionIn, now.Add(-100*time.Hour), gate.Allow, true)
		}
		j.comes(t, 1, gate.DirectionIn, now.Add(-3*time.Hour), gate.Allow, true)
		j.comes(t, 1, gate.DirectionIn, now.Add(-2*time.Hour), gate.AllowNotice, true)
		j.comes(t, 2, gate.DirectionIn, now.Add(-time.Hour), gate.Allow, true)
		j.comes(t, 2, gate.DirectionOut, now.Add(-30*time.Minute), gate.Allow, true)
		j.comes(t, 3, gate.DirectionIn, now.Add(-time.Hour), gate.Allow, false)      // the relay did not open
		j.comes(t, 4, gate.DirectionIn, now.Add(-time.Hour), gate.ManualCheck, true) // not let in
		p := cache.NewPassages(j, time.Now, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		if j.reads != 0 {
			t.Errorf("%d reads although nothing is to be remembered", j.reads)
		}

		p.Keep(12 * time.Hour)
		synctest.Wait()
		at := func(ago time.Duration) int64 { return now.Add(time.Second - ago).UnixMilli() }
		for who, want := range map[gate.Pseudonym]gate.Passages{
			1: {In: at(2 * time.Hour)}, 2: {In: at(time.Hour), Out: at(30 * time.Minute)}, 3: {}, 4: {}, 1000: {},
		} {
			if got := p.Last(who); got != want {
				t.Errorf("%d: %+v, want %+v", who, got, want)
			}
		}
		if s := p.Status(); s.People != 2 || !s.Whole || s.Fault != nil {
			t.Errorf("%+v", s)
		}
		if j.reads > 40 {
			t.Errorf("%d reads to find the beginning of the window", j.reads)
		}

		j.fails(cache.ErrClosed)
		p.Keep(200 * time.Hour)
		synctest.Wait()
		if s := p.Status(); s.Whole || s.Fault == nil {
			t.Errorf("while the journal cannot be read: %+v", s)
		}
		j.fails(nil)
		time.Sleep(2 * time.Minute)
		if s := p.Status(); s.People != 502 || !s.Whole || s.Fault != nil {
			t.Errorf("when it can be read again: %+v", s)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPassagesNotReadYet: until the journal has been read back nobody but those
// who passed since the start is known for sure, and who waits is told when it is
// over, also when nothing came of it.
func TestPassagesNotReadYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		j := &passageJournal{}
		j.begins(t, now.Add(-2*time.Hour), cache.CauseFirst)
		j.comes(t, 1, gate.DirectionIn, now.Add(-time.Hour), gate.Allow, true)
		p := cache.NewPassages(j, time.Now, quiet)
		settled := func() bool {
			select {
			case <-p.Settled():
				return true
			default:
				return false
			}
		}
		if !settled() || p.Last(1).Unknown {
			t.Error("nothing is asked for, and it is not known")
		}
		p.Keep(4 * time.Hour)
		p.Note(2, gate.DirectionOut, now)
		if settled() || !p.Last(1).Unknown || !p.Last(3).Unknown || p.Last(2).Unknown {
			t.Errorf("before it is read: settled %v, %+v, %+v, %+v", settled(), p.Last(1), p.Last(2), p.Last(3))
		}
		j.fails(cache.ErrClosed)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		if !settled() || !p.Last(1).Unknown {
			t.Errorf("it cannot be read: settled %v, %+v", settled(), p.Last(1))
		}
		j.fails(nil)
		time.Sleep(2 * time.Minute)
		if !settled() || p.Last(1).Unknown || p.Last(1).In == 0 || p.Last(3).Unknown {
			t.Errorf("it is read: settled %v, %+v", settled(), p.Last(1))
		}
		p.Keep(5 * time.Hour) // a longer window: there may be more
		if settled() || !p.Last(1).Unknown || p.Last(2).Unknown {
			t.Errorf("a longer window: settled %v, %+v", settled(), p.Last(1))
		}
		synctest.Wait()
		if !settled() || p.Last(1).Unknown {
			t.Errorf("when that is read: %+v", p.Last(1))
		}
		p.Keep(0)
		if !settled() || p.Last(1) != (gate.Passages{}) {
			t.Errorf("no window: %+v", p.Last(1))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPassagesCutOff: the power went after it was decided to open and before
// anything was written of what followed. That counts as a passage, but not what
// this run has decided and not done yet.
func TestPassagesCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		j := &passageJournal{}
		j.begins(t, now.Add(-2*time.Hour), cache.CauseFirst)
		for who := range gate.Pseudonym(3000) { // more than ever wait at a time
			j.comes(t, 100+who, gate.DirectionIn, now.Add(-time.Hour), gate.Allow, true)
			j.links = j.links[:len(j.links)-1]
		}
		p := cache.NewPassages(j, time.Now, quiet)
		j.comes(t, 2, gate.DirectionIn, now, gate.Allow, true)
		j.links = j.links[:len(j.links)-1]
		p.Keep(12 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		want := gate.Passages{In: now.Add(-time.Hour).UnixMilli()}
		for who := range gate.Pseudonym(3000) {
			if got := p.Last(100 + who); got != want {
				t.Fatalf("%d: %+v", who, got)
			}
		}
		if got := p.Last(2); got != (gate.Passages{}) {
			t.Errorf("decided in this run: %+v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPassagesOfALostJournal: what a journal had that is gone, or was dropped
// from its beginning, is not known, for as long as the window goes back to
// then; a first start is no loss.
func TestPassagesOfALostJournal(t *testing.T) {
	for _, tt := range []struct {
		name, cause string
		dropped     uint64 // records from the beginning
		gap         bool
	}{
		{"a new box", cache.CauseFirst, 0, false},
		{"lost", "journal is missing", 0, true},
		{"a beginning that was dropped", cache.CauseFirst, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := &passageJournal{}
				j.begins(t, time.Now(), tt.cause)
				time.Sleep(time.Minute)
				begins := time.Now()
				for who := range gate.Pseudonym(3) {
					j.comes(t, who, gate.DirectionIn, time.Now(), gate.Allow, true)
				}
				j.links = j.links[tt.dropped:]
				time.Sleep(time.Minute)
				p := cache.NewPassages(j, time.Now, quiet)
				p.Keep(time.Hour)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error)
				go func() { done <- p.Run(ctx) }()
				synctest.Wait()
				if got := p.Last(2); got.Unknown || got.In < begins.UnixMilli() {
					t.Errorf("who passed since: %+v", got)
				}
				if got, s := p.Last(9), p.Status(); got.Unknown != tt.gap || s.Gap.IsZero() == tt.gap || !s.Whole {
					t.Errorf("anybody else: %+v, %+v", got, s)
				}
				time.Sleep(time.Hour)
				if got, s := p.Last(9), p.Status(); got.Unknown || !s.Gap.IsZero() {
					t.Errorf("when the window has passed: %+v, %+v", got, s)
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The memory does not grow without bound; those who passed longest ago go.
func TestPassagesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPassages(nil, time.Now, quiet)
		p.Keep(time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		synctest.Wait()
		const people = 120_000
		for who := range gate.Pseudonym(people) {
			if who%1000 == 0 {
				time.Sleep(time.Millisecond)
			}
			p.Note(who, gate.DirectionIn, time.Now())
		}
		s := p.Status()
		if s.People > 50_000 || s.People < 40_000 || s.Forgotten+uint64(s.People) != people {
			t.Errorf("%+v", s)
		}
		if p.Last(people-1).In == 0 || p.Last(0).In != 0 {
			t.Error("the wrong ones were forgotten")
		}
		// Of those there was no room for, and of those who were never here, it is
		// not known whether they passed.
		if p.Last(people-1).Unknown || !p.Last(0).Unknown || !p.Last(people+1).Unknown || s.Crowded.IsZero() {
			t.Errorf("%+v, %+v, %+v; %+v", p.Last(people-1), p.Last(0), p.Last(people+1), s)
		}
		time.Sleep(time.Hour)
		if got, s := p.Last(people+1), p.Status(); got.Unknown || !s.Crowded.IsZero() {
			t.Errorf("when the window has passed: %+v, %+v", got, s)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPassagesUnderWay: somebody for whom a lane is about to open counts as
// passed for every other, until it is known whether they did.
func TestPassagesUnderWay(t *testing.T) {
	const who = 7
	synctest.Test(t, func(t *testing.T) {
		p := cache.NewPassages(nil, time.Now, quiet)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		p.Keep(time.Hour)
		<-p.Settled()
		decide := func(d gate.Direction, opens bool) (known gate.Passages, end func(time.Time)) {
			end = p.Decide(who, d, time.Now(), func(last gate.Passages) bool {
				known = last
				return opens
			})
			return known, end
		}
		first := time.Now()
		known, refused := decide(gate.DirectionIn, false)
		if known != (gate.Passages{}) || p.Last(who) != (gate.Passages{}) {
			t.Errorf("refused: %+v, %+v", known, p.Last(who))
		}
		_, in := decide(gate.DirectionIn, true)
		want := gate.Passages{In: first.UnixMilli()}
		time.Sleep(time.Second)
		if known, _ = decide(gate.DirectionIn, false); known != want {
			t.Errorf("while the first opens: %+v, want %+v", known, want)
		}
		if p.Last(who+1) != (gate.Passages{}) {
			t.Error("somebody else")
		}
		in(time.Time{})
		refused(time.Now()) // says nothing: nobody was let in
		if got := p.Last(who); got != (gate.Passages{}) {
			t.Errorf("the first did not open: %+v", got)
		}
		in(time.Now()) // too late
		if got := p.Last(who); got != (gate.Passages{}) {
			t.Errorf("told twice: %+v", got)
		}
		_, in = decide(gate.DirectionIn, true)
		time.Sleep(time.Second)
		passed := time.Now()
		in(passed)
		want.In = passed.UnixMilli()
		if got := p.Last(who); got != want {
			t.Errorf("passed: %+v, want %+v", got, want)
		}
		time.Sleep(time.Second)
		_, out := decide(gate.DirectionOut, true)
		want.Out = time.Now().UnixMilli()
		if got := p.Last(who); got != want {
			t.Errorf("on the way out: %+v, want %+v", got, want)
		}
		p.Keep(0)
		if got := p.Last(who); got != (gate.Passages{}) {
			t.Errorf("no rule asks: %+v", got)
		}
		out(time.Now())

		// A mistake in what decides leaves nothing locked and nobody under way.
		p.Keep(time.Hour)
		<-p.Settled()
		func() {
			defer func() { _ = recover() }()
			p.Decide(who, gate.DirectionIn, time.Now(), func(gate.Passages) bool { panic("a mistake") })
		}()
		if got := p.Last(who); got.In != 0 {
			t.Errorf("after a panic: %+v", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestPassagesAtManyLanes: of lanes that decide at once on one code, one opens.
func TestPassagesAtManyLanes(t *testing.T) {
	p := cache.NewPassages(nil, time.Now, quiet)
	p.Keep(time.Hour)
	for who := range gate.Pseudonym(200) {
		var opened atomic.Int32
		var lanes sync.WaitGroup
		for range 8 {
			lanes.Go(func() {
				opens := false
				done := p.Decide(who, gate.DirectionIn, time.Now(), func(last gate.Passages) bool {
					opens = last.In == 0
					return opens
				})
				if opens {
					opened.Add(1)
					done(time.Now())
				}
			})
		}
		if lanes.Wait(); opened.Load() != 1 {
			t.Fatalf("%d of 8 opened", opened.Load())
		}
	}
}

// A whole journal on the disk gives the same.
func TestPassagesOfAJournal(t *testing.T) {
	o := cachetest.Options(memDir(t))
	j := openJournal(t, o)
	e := cachetest.Entry(1)
	e.Time, e.Verdict, e.Direction, e.Subject, e.HasSubject = time.Now(), gate.Allow, gate.DirectionIn, 77, true
	seq, err := j.Append(e).Wait()
	if err != nil {
		t.Fatal(err)
	}
	passed := time.Now().Truncate(time.Millisecond)
	if _, err := j.AppendPassage(gate.Passage{Time: passed, Lane: "main", Ref: seq, Opened: true}).Wait(); err != nil {
		t.Fatal(err)
	}
	p := cache.NewPassages(j, time.Now, quiet)
	p.Keep(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	for !p.Status().Whole {
		time.Sleep(time.Millisecond)
	}
	if got := p.Last(77); got != (gate.Passages{In: passed.UnixMilli()}) {
		t.Errorf("%+v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func BenchmarkPassagesLast(b *testing.B) {
	p := cache.NewPassages(nil, time.Now, quiet)
	p.Keep(time.Hour)
	for who := range gate.Pseudonym(40_000) {
		p.Note(who, gate.DirectionIn, time.Now())
	}
	b.ReportAllocs()
	for b.Loop() {
		p.Last(7)
	}
}
