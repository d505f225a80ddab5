package lane_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/lane"
)

// TestRulesUnderTrouble drives lanes through random trouble of disk, data and
// relay and holds them to DESIGN §3: no opening without a durable entry that
// allows it (unless the settings say otherwise), one passage for every entry
// that allows, none for the others, one outcome for every scan.
func TestRulesUnderTrouble(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			openOnTimeout := seed%2 == 1
			with := func(o *lane.Options) {
				o.OpenOnTimeout = openOnTimeout
				o.OnFault = []gate.OnFault{gate.OnFaultClosed, gate.OnFaultGuard}[seed/2%2]
			}
			inWorld(t, with, func(w *world) {
				rnd := rand.New(rand.NewPCG(seed, 7))
				const scans = 300
				for i := range scans {
					switch rnd.IntN(12) {
					case 0:
						w.journal.is(time.Duration(rnd.IntN(400))*time.Millisecond, false, nil)
					case 1:
						w.journal.is(0, true, nil)
					case 2:
						w.journal.is(0, false, errDisk)
					case 3, 4:
						w.journal.is(0, false, nil)
					case 5:
						w.relay.fails(errors.New("stuck"))
					case 6, 7:
						w.relay.fails(nil)
					case 8:
						w.facts.is(errDisk)
					case 9, 10:
						w.facts.is(nil)
					case 11:
						w.policy.say(gate.Verdicts()[rnd.IntN(6)])
					}
					w.show(fmt.Sprintf("001190%06d||Nguyễn Thị Mẫu|15071990|Nữ|x|20082021", i))
					time.Sleep(time.Second)
					synctest.Wait()
					if !openOnTimeout {
						allowed := 0
						entries, _ := w.journal.written()
						for _, e := range entries {
							if e.Verdict.Opens() {
								allowed++
							}
						}
						if pulses := len(w.relay.heard()); pulses > allowed {
							t.Fatalf("scan %d: the relay was told %d times, %d entries allow it", i, pulses, allowed)
						}
					}
				}
				w.journal.is(0, false, nil)
				w.facts.is(nil)
				w.relay.fails(nil)
				time.Sleep(time.Minute)

				if n := len(w.told()); n != scans {
					t.Errorf("%d outcomes of %d scans", n, scans)
				}
				entries, passages := w.journal.written()
				w.journal.mu.Lock()
				order := w.journal.order
				w.journal.mu.Unlock()
				if len(order) != len(entries)+len(passages) {
					t.Fatalf("%d records, %d entries, %d passages", len(order), len(entries), len(passages))
				}
				// The n-th entry's number, by the order in which they were written.
				verdicts := map[uint64]gate.Verdict{}
				next := 0
				for _, line := range order {
					var seq uint64
					if n, _ := fmt.Sscanf(line, "entry %d", &seq); n == 1 {
						verdicts[seq] = entries[next].Verdict
						next++
					}
				}
				followed := map[uint64]int{}
				opened := 0
				for _, p := range passages {
					followed[p.Ref]++
					if p.Opened {
						opened++
					}
				}
				lost := 0
				for seq, v := range verdicts {
					want := 0
					if v.Opens() {
						want = 1
					}
					// The passage of an entry may itself have met the fire.
					if got := followed[seq]; got > want {
						t.Errorf("entry %d (%v) has %d passages", seq, v, got)
					} else if got < want {
						lost++
					}
					delete(followed, seq)
				}
				if len(followed) != 0 {
					t.Errorf("passages of entries that are none: %v", followed)
				}
				s := w.lane.Stats()
				if uint64(lost) > s.Lost {
					t.Errorf("%d passages are missing, %d records were lost", lost, s.Lost)
				}
				if pulses := len(w.relay.heard()); opened > pulses || uint64(pulses) != s.Opened {
					t.Errorf("%d passages say opened, the relay was told %d times, counted %d", opened, pulses, s.Opened)
				}
				if s.Backlog != 0 || s.Fault != "" && s.Fault != gate.ReasonRecordFault {
					t.Errorf("after the trouble: %+v", s)
				}
			})
		})
	}
}

// TestFaultEndsWithoutAnybody: a journal that has room again ends the fault,
// and with it the open gate, although nobody comes.
func TestFaultEndsWithoutAnybody(t *testing.T) {
	var works atomic.Bool
	inWorld(t, func(o *lane.Options) {
		o.OnFault = gate.OnFaultOpen
		o.JournalWorks = works.Load
	}, func(w *world) {
		w.journal.is(0, false, errors.New("no room"))
		w.show(anna)
		w.told()
		if s := w.lane.Stats(); s.Fault != gate.ReasonRecordFault || !s.Holding {
			t.Fatalf("fault %q, holding %v", s.Fault, s.Holding)
		}
		time.Sleep(time.Minute)
		if s := w.lane.Stats(); !s.Holding {
			t.Fatal("released while the journal refuses")
		}
		w.journal.is(0, false, nil)
		works.Store(true)
		time.Sleep(10 * time.Second)
		if s := w.lane.Stats(); s.Fault != "" || s.Holding {
			t.Errorf("fault %q, holding %v", s.Fault, s.Holding)
		}
	})
}
