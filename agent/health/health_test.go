package health

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hand is a clock moved by hand.
type hand struct {
	mu sync.Mutex
	t  time.Time
}

func (h *hand) now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.t }
func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.t = h.t.Add(d)
}

func newHand() *hand { return &hand{t: time.Date(2021, 9, 1, 8, 0, 0, 0, time.UTC)} }

func TestSinceMovesOnlyWithLevelOrCode(t *testing.T) {
	h := newHand()
	r := New(h.now)
	r.Declare("scanner:main", ByLane, "main")
	start := h.now()

	h.move(time.Second)
	r.Set("scanner:main", Failed, NewFault(ScannerGone, "/dev/video0"))
	gone := h.now()
	h.move(time.Second)
	r.Set("scanner:main", Failed, NewFault(ScannerGone, "/dev/video1"))

	c := r.Snapshot()[0]
	if !c.Since.Equal(gone) || c.Since.Equal(start) {
		t.Errorf("since %v, want %v: another detail is the same fault", c.Since, gone)
	}
	if c.Fault.Detail != "/dev/video1" {
		t.Errorf("detail %q is not the last word", c.Fault.Detail)
	}
	h.move(time.Second)
	r.OK("scanner:main")
	c = r.Snapshot()[0]
	if c.Level != OK || c.Fault != (Fault{}) || !c.Since.Equal(h.now()) {
		t.Errorf("after recovery: %+v", c)
	}
}

func TestChangedWakesOncePerChange(t *testing.T) {
	r := New(newHand().now)
	r.OK("clock")
	ch := r.Changed()
	r.OK("clock")
	select {
	case <-ch:
		t.Fatal("the same word again woke the listener")
	default:
	}
	r.Set("clock", Degraded, NewFault(ClockFloor, ""))
	select {
	case <-ch:
	default:
		t.Fatal("a change did not wake the listener")
	}
}

func TestCanDecide(t *testing.T) {
	gone := NewFault(ScannerGone, "")
	tests := []struct {
		name  string
		setup func(*Registry)
		want  bool
		why   string // part of the English sentence
	}{
		{"nothing declared", func(*Registry) {}, false, "No lane"},
		{"still starting", func(r *Registry) {}, false, "No lane"},
		{"scanner starting", func(r *Registry) {
			r.Declare("scanner:main", ByLane, "main")
		}, false, "Scanner main: It is still starting."},
		{"all well", func(r *Registry) {
			r.Declare("scanner:main", ByLane, "main")
			r.OK("scanner:main")
			r.OK("broker")
		}, true, "Every part works."},
		{"broker gone is no reason", func(r *Registry) {
			r.Declare("scanner:main", ByLane, "main")
			r.OK("scanner:main")
			r.Set("broker", Failed, NewFault(BrokerUnreachable, ""))
		}, true, "with limits"},
		{"without its data every lane goes on, and it is said on top", func(r *Registry) {
			r.Declare("scanner:main", ByLane, "main")
			r.OK("scanner:main")
			r.Set("data:vn", Failed, NewFault(DataKeyAwaited, ""))
		}, true, "with limits. Data vn: The key of the data is held in memory only and has not come"},
		{"only scanner gone", func(r *Registry) {
			r.Declare("scanner:main", ByLane, "main")
			r.Set("scanner:main", Failed, gone)
		}, false, "Scanner main: The scanner or camera is not there."},
		{"one of two lanes", func(r *Registry) {
			r.Declare("scanner:in", ByLane, "in")
			r.Declare("scanner:out", ByLane, "out")
			r.OK("scanner:in")
			r.Set("scanner:out", Failed, gone)
		}, true, "Some lanes work. Scanner out:"},
		{"both lanes", func(r *Registry) {
			r.Declare("scanner:in", ByLane, "in")
			r.Declare("scanner:out", ByLane, "out")
			r.Set("scanner:in", Failed, gone)
			r.Set("scanner:out", Failed, gone)
		}, false, "Scanner in: The scanner or camera is not there. Scanner out:"},
		{"degraded scanner decides", func(r *Registry) {
			r.Declare("scanner:main", ByLane, "main")
			r.Set("scanner:main", Degraded, NewFault(ScannerSilent, ""))
		}, true, "with limits"},
		{"journal failed stops every lane", func(r *Registry) {
			r.Declare("journal", ByGate, "")
			r.Declare("scanner:main", ByLane, "main")
			r.OK("scanner:main")
			r.Set("journal", Failed, NewFault(JournalFailed, ""))
		}, false, "Journal: Entries cannot be written"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New(newHand().now)
			tt.setup(r)
			got, why := r.CanDecide()
			if got != tt.want || !strings.Contains(why.EN, tt.why) {
				t.Errorf("CanDecide() = %v, %q; want %v, …%q…", got, why.EN, tt.want, tt.why)
			}
			if why.VI == "" {
				t.Error("no Vietnamese sentence")
			}
			rep := r.Report()
			if rep.CanDecide != got || rep.Why != why {
				t.Errorf("Report() says otherwise: %v %v", rep.CanDecide, rep.Why)
			}
		})
	}
}

func TestReportLevelAndOrder(t *testing.T) {
	r := New(newHand().now)
	r.Declare("scanner:main", ByLane, "main")
	r.Declare("journal", ByGate, "")
	r.OK("journal")
	r.OK("scanner:main")
	if got := r.Report().Level; got != OK {
		t.Errorf("level %v, want ok", got)
	}
	r.Set("relay:main", Failed, NewFault(RelayError, ""))
	rep := r.Report()
	var names []string
	for _, c := range rep.Components {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"scanner:main", "journal", "relay:main"}, names); diff != "" {
		t.Error(diff)
	}
	if rep.Level != Failed {
		t.Errorf("level %v, want failed", rep.Level)
	}
	r.Remove("relay:main")
	r.Remove("relay:main")
	if got := r.Report(); got.Level != OK || len(got.Components) != 2 {
		t.Errorf("after Remove: %+v", got)
	}
}

func TestCatalogueIsWhole(t *testing.T) {
	seen := map[Code]bool{}
	for _, e := range catalogue {
		if seen[e.code] {
			t.Errorf("%s twice", e.code)
		}
		seen[e.code] = true
		for _, s := range []string{e.cause.VI, e.cause.EN, e.next.VI, e.next.EN} {
			if s == "" || !strings.HasSuffix(s, ".") {
				t.Errorf("%s: %q is not a sentence", e.code, s)
			}
		}
	}
	if f := NewFault("no_such", "x"); f.Cause.EN == "" || f.NextStep.VI == "" || f.Detail != "x" {
		t.Errorf("unknown code: %+v", f)
	}
}

func TestTitle(t *testing.T) {
	for name, want := range map[string]Text{
		"scanner:main": {"Máy quét main", "Scanner main"},
		"journal":      {"Nhật ký", "Journal"},
		"other":        {"other", "other"},
	} {
		if got := Title(name); got != want {
			t.Errorf("Title(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestLevelNames(t *testing.T) {
	for _, l := range []Level{OK, Degraded, Failed} {
		if got, ok := ParseLevel(l.String()); !ok || got != l {
			t.Errorf("%v does not come back", l)
		}
	}
	if l, ok := ParseLevel("fine"); ok || l != Failed {
		t.Error("an unknown level must read as failed")
	}
}

func TestConcurrentUse(t *testing.T) {
	r := New(newHand().now)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				name := "lane:" + strconv.Itoa(j%5)
				if i%2 == 0 {
					r.Set(name, Level(j%3), NewFault(ScannerGone, strconv.Itoa(j)))
				} else {
					r.Report()
					r.Changed()
				}
			}
		})
	}
	wg.Wait()
	if n := len(r.Snapshot()); n != 5 {
		t.Errorf("%d components, want 5", n)
	}
}
