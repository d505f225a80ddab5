package lane_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/lane"
	"gateagent/agent/policy"

	"github.com/google/go-cmp/cmp"
)

func TestOnePersonPasses(t *testing.T) {
	key := gate.Key{1, 2, 3}
	with := func(o *lane.Options) {
		o.EntryKey = func() (gate.Key, bool) { return key, true }
		o.Direction = gate.DirectionOut
	}
	inWorld(t, with, func(w *world) {
		w.journal.is(40*time.Millisecond, false, nil)
		w.relay.delay = 5 * time.Millisecond
		seen := time.Now()
		w.show(anna)
		time.Sleep(time.Second)

		o := w.last()
		if o.Seq != 1 || !o.Opened || o.Late || o.Thinned || o.RelayFault != "" {
			t.Errorf("outcome %+v", o)
		}
		if o.Took != 45*time.Millisecond || o.Record != 40*time.Millisecond {
			t.Errorf("took %v, record %v", o.Took, o.Record)
		}
		entries, passages := w.journal.written()
		want := gate.Entry{
			Time: seen.UTC(), Lane: "main", Direction: gate.DirectionOut, Verdict: gate.Allow, Class: gate.Green,
			Reasons: []gate.Reason{gate.ReasonNoRecord}, Credential: gate.KindCCCD,
			Subject: gate.NewPseudonymer(key).Of(number(anna)), HasSubject: true,
			Policy: gate.PolicyRef{ID: "test", Version: 3}, Data: []gate.SetVersion{{Set: "vn", Version: 7}},
			DataAge: 3600, Clock: gate.ClockNTP, Decode: time.Millisecond,
			Inputs: gate.Inputs{
				Now: seen.UnixMilli(), Direction: gate.DirectionOut, Credential: gate.KindCCCD,
				CardExpires: gate.Date{Year: 2030, Month: 7, DayOfMonth: 15}.Day(), DataAge: 3600, Clock: gate.ClockNTP,
			},
		}
		if diff := cmp.Diff([]gate.Entry{want}, entries); diff != "" {
			t.Errorf("entry -want +got:\n%s", diff)
		}
		wantPassage := gate.Passage{
			Time: seen.Add(45 * time.Millisecond).UTC(), Lane: "main", Ref: 1, Opened: true,
			Record: 40 * time.Millisecond, Actuate: 45 * time.Millisecond,
		}
		if diff := cmp.Diff([]gate.Passage{wantPassage}, passages); diff != "" {
			t.Errorf("passage -want +got:\n%s", diff)
		}
		if !slices.Equal(w.relay.heard(), []string{"pulse"}) {
			t.Errorf("relay %v", w.relay.heard())
		}
	})
}

// TestVerdicts: the relay is told for what opens and for nothing else; a
// passage follows an opening and nothing else.
func TestVerdicts(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for i, v := range gate.Verdicts() {
			w.policy.say(v)
			w.show(anna)
			time.Sleep(10 * time.Second)
			o := w.last()
			if len(w.told()) != i+1 || o.Entry.Verdict != v || o.Shown.Verdict != v || o.Opened != v.Opens() || o.Seq == 0 {
				t.Errorf("%v: %+v", v, o)
			}
		}
		entries, passages := w.journal.written()
		if len(entries) != 6 || len(passages) != 2 || len(w.relay.heard()) != 2 {
			t.Errorf("%d entries, %d passages, relay %v", len(entries), len(passages), w.relay.heard())
		}
		for _, v := range gate.Verdicts() {
			if n := w.lane.Stats().Decisions[v]; n != 1 {
				t.Errorf("%v counted %d times", v, n)
			}
		}
	})
}

func TestHeldCardIsOneEntry(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.hold(anna, 8*time.Second)
		if n := len(w.told()); n != 1 {
			t.Errorf("a card held for eight seconds made %d entries", n)
		}
		if s := w.lane.Stats(); s.Repeats < 100 {
			t.Errorf("%d repeats", s.Repeats)
		}
		// The next person's code is read at once.
		began := time.Now()
		w.show(binh)
		if o := w.last(); len(w.told()) != 2 || !o.Entry.Time.Equal(began) {
			t.Errorf("the next person: %+v", o)
		}
		// Shown again within the window, it is still the same scan…
		time.Sleep(2900 * time.Millisecond)
		w.show(anna)
		if n := len(w.told()); n != 2 {
			t.Errorf("%d entries after a short absence", n)
		}
		// …and after it, a new one.
		time.Sleep(3100 * time.Millisecond)
		w.show(anna)
		if n := len(w.told()); n != 3 {
			t.Errorf("%d entries after a long absence", n)
		}
	})
}

// TestTwoInView: two cards before one lens, seen in turn, are two entries.
func TestTwoInView(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		for range 200 {
			w.show(anna)
			time.Sleep(30 * time.Millisecond)
			w.show(binh)
			time.Sleep(30 * time.Millisecond)
		}
		if n := len(w.told()); n != 2 {
			t.Errorf("%d entries", n)
		}
	})
}

// TestBusyLane: while the lane waits for the disk, the newest code waits for
// the lane, an unreadable one never displaces a readable one, and a code that
// was displaced is read when it is seen again.
func TestBusyLane(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.journal.is(200*time.Millisecond, false, nil)
		w.show(anna)
		synctest.Wait()
		w.unreadable()
		w.show(binh)
		w.unreadable()
		w.show(chi) // displaces binh
		synctest.Wait()
		time.Sleep(time.Second)
		w.journal.is(0, false, nil)
		w.show(binh)
		time.Sleep(time.Second)
		var who []gate.Number
		w.facts.mu.Lock()
		who = slices.Clone(w.facts.asked)
		w.facts.mu.Unlock()
		if diff := cmp.Diff([]gate.Number{number(anna), number(chi), number(binh)}, who); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if s := w.lane.Stats(); s.Replaced != 3 || s.Repeats != 0 {
			t.Errorf("%d replaced, %d repeats", s.Replaced, s.Repeats)
		}
	})
}

// TestEntryBeforeRelay: the relay hears nothing before the entry is durable.
func TestEntryBeforeRelay(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.journal.is(200*time.Millisecond, false, nil)
		w.show(anna)
		time.Sleep(199 * time.Millisecond)
		synctest.Wait()
		if len(w.relay.heard()) != 0 {
			t.Fatal("the relay was told before the entry was durable")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if len(w.relay.heard()) != 1 {
			t.Fatal("the relay was not told at once when the entry was durable")
		}
	})
}

func TestLateEntry(t *testing.T) {
	for _, open := range []bool{false, true} {
		t.Run(fmt.Sprintf("open %v", open), func(t *testing.T) {
			inWorld(t, func(o *lane.Options) { o.OpenOnTimeout = open }, func(w *world) {
				w.journal.is(time.Second, false, nil)
				w.show(anna)
				time.Sleep(300 * time.Millisecond)
				o := w.last()
				if o.Seq != 0 || !o.Late || o.Opened != open || o.Entry.Verdict != gate.Allow {
					t.Errorf("outcome %+v", o)
				}
				if !open && !shownToGuard(&o, gate.ReasonRecordFault) {
					t.Errorf("shown %+v", o.Shown)
				}
				if s := w.lane.Stats(); s.Backlog != 1 || s.Late != 1 {
					t.Errorf("backlog %d, late %d", s.Backlog, s.Late)
				}
				time.Sleep(3 * time.Second)
				_, passages := w.journal.written()
				if len(passages) != 1 {
					t.Fatalf("passages %+v", passages)
				}
				p := passages[0]
				if p.Ref != 1 || !p.Late || p.Opened != open || p.Record != time.Second {
					t.Errorf("passage %+v", p)
				}
				if s := w.lane.Stats(); s.Backlog != 0 || s.Fault != "" {
					t.Errorf("backlog %d, fault %q", s.Backlog, s.Fault)
				}
			})
		})
	}
}

// TestBacklogIsBounded: after 64 late entries on_fault decides, and the lane
// trusts the journal again when it has caught up.
func TestBacklogIsBounded(t *testing.T) {
	for _, onFault := range []gate.OnFault{gate.OnFaultClosed, gate.OnFaultOpen, gate.OnFaultGuard} {
		t.Run(onFault.String(), func(t *testing.T) {
			with := func(o *lane.Options) { o.OnFault, o.OpenOnTimeout = onFault, true }
			inWorld(t, with, func(w *world) {
				w.journal.is(0, true, nil)
				for i := range 70 {
					w.show(fmt.Sprintf("00119%07d||Nguyễn Thị Mẫu|15071990|Nữ|x|20082021", i))
					time.Sleep(300 * time.Millisecond)
				}
				s := w.lane.Stats()
				if s.Backlog != 64 || s.Fault != gate.ReasonRecordFault {
					t.Errorf("backlog %d, fault %q", s.Backlog, s.Fault)
				}
				o := w.last()
				want := map[gate.OnFault]gate.Verdict{
					gate.OnFaultClosed: gate.Deny, gate.OnFaultOpen: gate.AllowNotice, gate.OnFaultGuard: gate.ManualCheck,
				}[onFault]
				if o.Shown.Verdict != want || o.Shown.Reasons[0] != gate.ReasonRecordFault || o.Opened != want.Opens() || o.Late {
					t.Errorf("outcome %+v", o)
				}
				heard := w.relay.heard()
				if holding := slices.Contains(heard, "hold"); holding != (onFault == gate.OnFaultOpen) || s.Holding != holding {
					t.Errorf("relay %v", heard)
				}
				if n := len(heard); n != 64 && n != 65 {
					t.Errorf("the relay was told %d times", n)
				}

				w.journal.is(0, false, nil)
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if s := w.lane.Stats(); s.Backlog != 0 || s.Fault != "" || s.Holding {
					t.Errorf("after it caught up: %+v", s)
				}
				if onFault == gate.OnFaultOpen && w.relay.heard()[len(w.relay.heard())-1] != "release" {
					t.Errorf("relay %v", w.relay.heard())
				}
				entries, passages := w.journal.written()
				if len(entries) != 64 || len(passages) != 64 {
					t.Errorf("%d entries, %d passages", len(entries), len(passages))
				}
			})
		})
	}
}

func TestJournalFails(t *testing.T) {
	inWorld(t, func(o *lane.Options) { o.OnFault = gate.OnFaultOpen }, func(w *world) {
		w.journal.is(0, false, errDisk)
		w.show(anna)
		if o := w.last(); o.Shown.Verdict != gate.AllowNotice || !o.Opened || o.Seq != 0 {
			t.Errorf("outcome %+v", o)
		}
		w.policy.say(gate.DenyAlert)
		w.show(binh)
		if o := w.last(); o.Shown.Verdict != gate.DenyAlert || o.Opened {
			t.Errorf("a refusal that cannot be recorded: %+v", o)
		}
		if s := w.lane.Stats(); !s.Holding || s.Lost != 2 || !errors.Is(s.FaultErr, errDisk) {
			t.Errorf("%+v", s)
		}
		w.journal.is(0, false, nil)
		w.policy.say(gate.Allow)
		w.show(chi)
		if o := w.last(); o.Seq != 1 || !o.Opened || o.Shown.Verdict != gate.Allow {
			t.Errorf("outcome %+v", o)
		}
		if diff := cmp.Diff([]string{"hold", "release", "pulse"}, w.relay.heard()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestDataCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		onFault gate.OnFault
		want    gate.Verdict
	}{{gate.OnFaultClosed, gate.Deny}, {gate.OnFaultGuard, gate.ManualCheck}, {gate.OnFaultOpen, gate.AllowNotice}} {
		t.Run(tt.onFault.String(), func(t *testing.T) {
			inWorld(t, func(o *lane.Options) { o.OnFault = tt.onFault }, func(w *world) {
				w.facts.is(errDisk)
				w.show(anna)
				o := w.last()
				if o.Entry.Verdict != tt.want || o.Entry.Class != gate.ClassNone || !slices.Equal(o.Entry.Reasons, []gate.Reason{gate.ReasonStoreFault}) {
					t.Errorf("outcome %+v", o)
				}
				if o.Opened != tt.want.Opens() || o.Seq == 0 {
					t.Errorf("opened %v, seq %d", o.Opened, o.Seq)
				}
				if s := w.lane.Stats(); s.Fault != gate.ReasonStoreFault || s.Holding != (tt.onFault == gate.OnFaultOpen) {
					t.Errorf("%+v", s)
				}
				// It is noticed without anybody coming that the data are back.
				w.facts.is(nil)
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if s := w.lane.Stats(); s.Fault != "" || s.Holding {
					t.Errorf("%+v", s)
				}
				_, passages := w.journal.written()
				if len(passages) != len(w.relay.heard())/2 {
					t.Errorf("passages %+v, relay %v", passages, w.relay.heard())
				}
			})
		})
	}
}

func TestDataAge(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		ago := func(d time.Duration) *time.Duration { return &d }
		for name, tt := range map[string]struct {
			sets    int
			missing bool
			vouched *time.Duration // before now
			want    int64
		}{
			"no set":         {0, true, nil, -1},
			"a set missing":  {2, true, ago(0), -1},
			"never vouched":  {1, false, nil, -1},
			"from tomorrow":  {1, false, ago(-24 * time.Hour), 0},
			"two hours old":  {1, false, ago(2 * time.Hour), 7200},
			"too many to be": {99, false, ago(0), 0},
		} {
			state := gate.DataState{N: tt.sets, Missing: tt.missing}
			if tt.vouched != nil {
				state.AsOf = time.Now().Add(-*tt.vouched).UnixMilli()
			}
			w.facts.mu.Lock()
			w.facts.state = &state
			w.facts.mu.Unlock()
			w.show(anna)
			o := w.last()
			if o.Entry.DataAge != tt.want {
				t.Errorf("%s: %d, want %d", name, o.Entry.DataAge, tt.want)
			}
			if o.Entry.DataAge != o.Entry.Inputs.DataAge {
				t.Errorf("%s: entry %d, inputs %d", name, o.Entry.DataAge, o.Entry.Inputs.DataAge)
			}
			time.Sleep(4 * time.Second)
		}
	})
}

func TestRelayFails(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.relay.fails(errors.New("no such line"))
		w.show(anna)
		o := w.last()
		if o.Opened || o.RelayFault != "relay_error" || !shownToGuard(&o, gate.ReasonRelayFault) || o.Entry.Verdict != gate.Allow {
			t.Errorf("outcome %+v", o)
		}
		_, passages := w.journal.written()
		if len(passages) != 1 || passages[0].Opened || passages[0].RelayFault != "relay_error" || passages[0].Ref != 1 {
			t.Errorf("passages %+v", passages)
		}
		if s := w.lane.Stats(); s.RelayFaults != 1 || s.RelayErr == nil || s.Opened != 0 {
			t.Errorf("%+v", s)
		}
		w.relay.fails(nil)
		w.show(binh)
		if o := w.last(); !o.Opened {
			t.Errorf("outcome %+v", o)
		}
		if s := w.lane.Stats(); s.RelayErr != nil || s.Opened != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// shownToGuard says whether somebody is sent to the guard for a fault, with the
// class and the reasons by which they would have been let in.
func shownToGuard(o *lane.Outcome, fault gate.Reason) bool {
	return o.Shown.Verdict == gate.ManualCheck && o.Shown.Class == gate.Green && o.Entry.Class == gate.Green &&
		slices.Equal(o.Shown.ReasonList(), append([]gate.Reason{fault}, o.Entry.Reasons...))
}

// TestNoKeyNoSubject: without the site entry key an entry names nobody.
func TestNoKeyNoSubject(t *testing.T) {
	var key *gate.Key
	with := func(o *lane.Options) {
		o.EntryKey = func() (gate.Key, bool) {
			if key == nil {
				return gate.Key{}, false
			}
			return *key, true
		}
	}
	inWorld(t, with, func(w *world) {
		for _, k := range []*gate.Key{nil, {1}, {2}, nil} {
			key = k
			w.show(anna)
			e := w.last().Entry
			if e.HasSubject != (k != nil) || k != nil && e.Subject != gate.NewPseudonymer(*k).Of(number(anna)) || k == nil && e.Subject != 0 {
				t.Errorf("subject %v %v", e.Subject, e.HasSubject)
			}
			time.Sleep(4 * time.Second)
		}
	})
}

// TestPayloadIsOverwritten: whatever becomes of a scan, its payload is gone.
func TestPayloadIsOverwritten(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.journal.is(200*time.Millisecond, false, nil)
		var all [][]byte
		for _, payload := range []string{anna, anna, binh, chi, noone} { // decided, repeat, displaced, displaced, decided
			p := []byte(payload)
			all = append(all, p)
			w.scanner.scans <- gate.Scan{Payload: p, Seen: time.Now()}
			synctest.Wait()
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i, p := range all {
			if !bytes.Equal(p, make([]byte, len(p))) {
				t.Errorf("payload %d is still there", i)
			}
		}
	})
}

func TestUnreadable(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.unreadable()
		o := w.last()
		if o.Entry.Verdict != gate.Retry || o.Entry.Credential != gate.KindUnreadable || o.Seq != 1 || o.Entry.DataAge != -1 || o.Entry.Data != nil {
			t.Errorf("outcome %+v", o)
		}
		if len(w.facts.asked) != 0 {
			t.Error("the data were asked about nobody")
		}
	})
}

// TestFloodIsThinned: scans that name nobody are written singly until they are
// a flood; then the entries' counts add up to what was shown.
func TestFloodIsThinned(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		shown := 0
		flood := func(n int, every time.Duration) {
			for range n {
				shown++
				w.show(fmt.Sprintf("hello %d", shown))
				time.Sleep(every)
			}
		}
		sum := func() (entries, scans int) {
			all, _ := w.journal.written()
			for _, e := range all {
				scans += int(max(1, e.Count))
			}
			return len(all), scans
		}
		flood(20, time.Second)
		if n, _ := sum(); n != 20 {
			t.Errorf("20 scans, one a second, made %d entries", n)
		}
		time.Sleep(time.Minute)
		flood(600, 50*time.Millisecond) // half a minute
		if n, _ := sum(); n < 20+30+28 || n > 20+30+32 {
			t.Errorf("%d entries after half a minute of flood", n)
		}
		if s := w.lane.Stats(); s.Decisions[gate.Retry] != 620 || s.Thinned < 500 {
			t.Errorf("%d decisions, %d thinned", s.Decisions[gate.Retry], s.Thinned)
		}
		// Who can be named is never thinned.
		w.show(anna)
		if o := w.last(); o.Entry.Verdict != gate.Allow || o.Seq == 0 {
			t.Errorf("outcome %+v", o)
		}
		time.Sleep(20 * time.Second)
		if n, scans := sum(); scans != shown+1 {
			t.Errorf("%d entries stand for %d scans, %d were shown", n, scans, shown+1)
		}
	})
}

// TestFloodAtTheEnd: what was thinned is counted before the lane stops.
func TestFloodAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		stop := w.run()
		for i := range 100 {
			w.show(fmt.Sprintf("hello %d", i))
			synctest.Wait()
		}
		stop()
		entries, _ := w.journal.written()
		scans := 0
		for _, e := range entries {
			scans += int(max(1, e.Count))
		}
		if scans != 100 || len(entries) != 31 {
			t.Errorf("%d entries stand for %d scans", len(entries), scans)
		}
	})
}

func TestScannerComesAndGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		gone := errors.New("no such device")
		w.scanner.errs = slices.Repeat([]error{gone}, 5)
		stop := w.run()
		synctest.Wait()
		if s := w.lane.Stats(); s.Scanner != lane.ScannerGone || !errors.Is(s.ScannerErr, gone) {
			t.Errorf("%v %v", s.Scanner, s.ScannerErr)
		}
		time.Sleep(30 * time.Second)
		w.show(anna)
		if s := w.lane.Stats(); s.Scanner != lane.ScannerOpen || s.ScannerErr != nil || s.ScannerLost != 0 {
			t.Errorf("%+v", s)
		}
		opens := w.scanner.opened()
		expected := 250 * time.Millisecond
		for i := 1; i < len(opens); i++ {
			if pause := opens[i].Sub(opens[i-1]); pause < expected*3/4 || pause > expected*5/4 {
				t.Errorf("pause %d is %v, want about %v", i, pause, expected)
			}
			expected = min(2*expected, 5*time.Second)
		}
		w.scanner.fail <- gone
		synctest.Wait()
		if s := w.lane.Stats(); s.Scanner != lane.ScannerGone || s.ScannerLost != 1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		w.show(binh)
		if n := len(w.told()); n != 2 {
			t.Errorf("%d outcomes", n)
		}
		w.scanner.fail <- gate.ErrNoMoreScans
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := w.lane.Stats(); s.Scanner != lane.ScannerEnded {
			t.Errorf("%v", s.Scanner)
		}
		if n := len(w.scanner.opened()); n != len(opens)+1 {
			t.Errorf("a source that has ended was opened again: %d", n)
		}
		stop()
		if w.scanner.closes != 2 {
			t.Errorf("closed %d times", w.scanner.closes)
		}
	})
}

// TestPanicOpensNothing: a mistake in the rules ends the run and opens no
// gate; the lane can be run again, and does not choke on the same card twice.
func TestPanicOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.policy.panics = true
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			_ = w.lane.Run(t.Context())
		}()
		w.show(anna)
		if v := <-done; v == nil {
			t.Fatal("the panic was swallowed")
		}
		if len(w.relay.heard()) != 0 || w.scanner.closes != 1 {
			t.Errorf("relay %v, scanner closed %d times", w.relay.heard(), w.scanner.closes)
		}
		stop := w.run()
		w.show(anna)
		w.show(binh)
		if o := w.told(); len(o) != 1 || !o[0].Opened {
			t.Errorf("outcomes %+v", o)
		}
		stop()
	})
}

// brokenScanner is a driver with a mistake.
type brokenScanner struct{ *scanner }

func (brokenScanner) Scan(context.Context) (gate.Scan, error) { panic("a mistake in the driver") }

// TestScannerPanics: neither does one in a driver, on the lane's own goroutine.
func TestScannerPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := newScanner()
		w := newWorld(t, func(o *lane.Options) {
			o.Open = func(context.Context) (lane.Scanner, error) { return brokenScanner{device}, nil }
		})
		err := w.lane.Run(t.Context())
		if err == nil || err.Error() != "scanner: panic with a string" || device.closes != 1 {
			t.Errorf("error %v, closed %d times", err, device.closes)
		}
	})
}

func TestNoRulesRefuse(t *testing.T) {
	inWorld(t, func(o *lane.Options) { o.Policy = func() lane.Rules { return nil } }, func(w *world) {
		w.show(anna)
		if o := w.last(); o.Entry.Verdict != gate.Deny || o.Opened || o.Seq != 1 {
			t.Errorf("outcome %+v", o)
		}
	})
}

// TestDecisionsCanBeRepeated: under the real policy, every entry's inputs give
// the recorded decision again.
func TestDecisionsCanBeRepeated(t *testing.T) {
	p := policy.Default()
	inWorld(t, func(o *lane.Options) { o.Policy = func() lane.Rules { return p } }, func(w *world) {
		for _, payload := range []string{anna, binh, chi, noone, "HC1:NCF", "https://example.invalid/1"} {
			w.show(payload)
			time.Sleep(time.Second)
		}
		w.unreadable()
		entries, _ := w.journal.written()
		if len(entries) != 7 {
			t.Errorf("%d entries", len(entries))
		}
		for _, e := range entries {
			d := p.Decide(e.Inputs)
			if d.Verdict != e.Verdict || d.Class != e.Class || !slices.Equal(d.ReasonList(), e.Reasons) {
				t.Errorf("recorded %v %v %v, decided again %v %v %v", e.Verdict, e.Class, e.Reasons, d.Verdict, d.Class, d.ReasonList())
			}
		}
	})
}

// TestStopWaitsForRecords: the end of a run waits for the journal, not for
// ever.
func TestStopWaitsForRecords(t *testing.T) {
	for _, delay := range []time.Duration{time.Second, time.Hour} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(o *lane.Options) { o.OpenOnTimeout = true })
				w.journal.is(delay, false, nil)
				stop := w.run()
				w.show(anna)
				time.Sleep(300 * time.Millisecond)
				synctest.Wait()
				began := time.Now()
				stop()
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("stopping took %v", took)
				}
				want := 0
				if delay == time.Second {
					want = 1
				}
				w.journal.mu.Lock()
				got := len(w.journal.entries)
				w.journal.mu.Unlock()
				if got != want {
					t.Errorf("%d entries were durable when the lane had ended", got)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestNewWantsAllParts(t *testing.T) {
	if _, err := lane.New(lane.Options{}, nil); err == nil {
		t.Error("a lane of nothing")
	}
}
