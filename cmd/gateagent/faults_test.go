package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/clock"
	"gateagent/agent/config"
	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/agent/lane"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/agent/supervise"
	"gateagent/cache"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
)

// notebook is a journal that keeps events in memory and may refuse them.
type notebook struct {
	mu     sync.Mutex
	err    error
	events []gate.Event
}

func (n *notebook) AppendEvent(e gate.Event) *gate.Receipt {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.events = append(n.events, e)
	}
	r := gate.NewReceipt()
	r.Fulfil(uint64(len(n.events)), n.err)
	return r
}

func (n *notebook) Append(gate.Entry) *gate.Receipt          { return noJournal{n.err}.refuse() }
func (n *notebook) AppendPassage(gate.Passage) *gate.Receipt { return noJournal{n.err}.refuse() }

// taken gives the details of all events and fails where one is not what a
// record may hold.
func (n *notebook) taken(t *testing.T) (details []map[string]any) {
	t.Helper()
	for i, e := range n.events {
		if _, err := record.FromEvent(record.Origin{Site: "hn01", Gate: "gate-1"}, record.Epoch{1}, uint64(i+1), e); err != nil {
			t.Errorf("an event of kind %s cannot be recorded: %v", e.Kind, err)
		}
		details = append(details, e.Details)
	}
	return details
}

func TestFaultsAreRecorded(t *testing.T) {
	const s = time.Second
	scanner := func(l health.Level, code health.Code) health.Component {
		return health.Component{Name: "scanner:main", Lane: "main", Level: l, Fault: health.Fault{Code: code}}
	}
	gone, fine := scanner(health.Failed, health.ScannerGone), scanner(health.OK, "")
	event := func(state, code string, count int) map[string]any {
		e := map[string]any{"component": "scanner:main", "lane": "main", "state": state, "code": code}
		if count > 0 {
			e["count"] = count
		}
		return e
	}
	type look struct {
		at      time.Duration
		part    health.Component
		refused bool // the journal takes nothing
	}
	for _, tt := range []struct {
		name  string
		looks []look
		want  []map[string]any
	}{
		{"works all the time", []look{{at: 0, part: fine}, {at: 100 * s, part: fine}}, nil},
		{"degraded is no failure", []look{{at: 0, part: scanner(health.Degraded, health.Starting)}}, nil},
		{
			"goes and comes back",
			[]look{{at: 0, part: gone}, {at: s, part: gone}, {at: 70 * s, part: fine}, {at: 71 * s, part: fine}},
			[]map[string]any{event("raised", "scanner_gone", 1), event("cleared", "scanner_gone", 0)},
		},
		{
			"comes back at once: said when the gap is over",
			[]look{{at: 0, part: gone}, {at: s, part: fine}, {at: 59 * s, part: fine}, {at: 60 * s, part: fine}},
			[]map[string]any{event("raised", "scanner_gone", 1), event("cleared", "scanner_gone", 0)},
		},
		{
			"wobbles",
			[]look{
				{at: 0, part: gone},
				{at: s, part: fine},
				{at: 2 * s, part: gone},
				{at: 3 * s, part: fine},
				{at: 4 * s, part: gone},
				{at: 5 * s, part: fine},
				{at: 60 * s, part: fine},
				{at: 200 * s, part: fine},
			},
			[]map[string]any{event("raised", "scanner_gone", 1), event("cleared", "scanner_gone", 2)},
		},
		{
			"another fault in its place",
			[]look{{at: 0, part: gone}, {at: 61 * s, part: scanner(health.Failed, health.ScannerSilent)}},
			[]map[string]any{event("raised", "scanner_gone", 1), event("raised", "scanner_silent", 1)},
		},
		{
			"the journal refuses meanwhile",
			[]look{{at: 0, part: gone, refused: true}, {at: 61 * s, part: gone, refused: true}, {at: 62 * s, part: fine}, {at: 130 * s, part: fine}, {at: 200 * s, part: fine}},
			[]map[string]any{event("cleared", "scanner_gone", 1)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := &notebook{}
			f, start := newFaultLog(n.AppendEvent, time.Now), time.Now()
			for _, l := range tt.looks {
				n.err = nil
				if l.refused {
					n.err = errors.New("no room")
				}
				f.note([]health.Component{l.part}, start.Add(l.at))
			}
			if diff := cmp.Diff(tt.want, n.taken(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A plug that wobbles for a day costs an event a minute and component.
func TestFaultEventsAreBounded(t *testing.T) {
	n := &notebook{}
	f, start := newFaultLog(n.AppendEvent, time.Now), time.Now()
	const day = 24 * time.Hour
	for at := time.Duration(0); at < day; at += time.Second {
		c := health.Component{Name: "data:vn", Fault: health.Fault{Code: health.DataDamaged, Detail: "damaged"}}
		if at/time.Second%2 == 0 {
			c.Level = health.Failed
		}
		f.note([]health.Component{c}, start.Add(at))
	}
	if got, most := len(n.taken(t)), int(day/faultGap); got > most || got < most/2 {
		t.Errorf("%d events in a day, want about %d at most", got, most)
	}
}

// TestEventsCanBeRecorded: all that the agent has recorded besides entries and
// what followed them has the details that its kind may carry.
func TestEventsCanBeRecorded(t *testing.T) {
	n := &notebook{}
	now := time.Now()
	b := &box{
		cfg: &config.Config{}, log: slog.New(slog.DiscardHandler), version: thisVersion(), boot: newBoot(),
		clock: clock.New(clock.Options{}, slog.New(slog.DiscardHandler)), journal: n,
	}
	b.keys = newKeys(b.cfg, b.log)
	b.keys.event = b.event
	b.proofs = newProofs("hn01", "gate-1", nil, nil)
	b.passages = cache.NewPassages(nil, b.clock.Now, b.log)
	b.useRules(&rules{Policy: policy.Default(), builtIn: true})
	b.recordStart()
	b.clockStepped(clock.Step{From: now, To: now.Add(time.Hour), LevelTo: gate.ClockCentral, ByCentral: true})

	net := &network{box: b}
	text, err := policy.Default().Marshal(policy.Header{Audience: "hn01", Version: 7, Issued: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	apply, err := net.takePolicy(signed.Document{Kid: "policy-1", Ver: 7, Payload: text})
	if err != nil {
		t.Fatal(err)
	}
	apply()
	net.trustTaken(signed.Trust{Aud: "hn01", Ver: 3})
	net.switched(gate.Generation{Set: "vn", Version: 9, People: 1 << 27, KeyID: "vn-1"})
	b.keys.take([]sealed.Secret{{Set: signed.EntrySet, Kid: "entry-1", Key: gate.Key{1}}})

	f := newFaultLog(n.AppendEvent, b.clock.Now)
	for i, code := range health.Codes() {
		level := health.Level(i % 3)
		f.note([]health.Component{{Name: "data:vn", Lane: "main", Level: level, Fault: health.NewFault(code, "why")}}, now.Add(time.Duration(i)*faultGap))
	}
	b.event(gate.EventStop, map[string]any{"boot": b.boot})

	seen := map[gate.EventKind]bool{}
	n.taken(t)
	for _, e := range n.events {
		seen[e.Kind] = true
	}
	for _, kind := range []gate.EventKind{
		gate.EventStart, gate.EventStop, gate.EventConfig, gate.EventPolicy, gate.EventData, gate.EventTrust,
		gate.EventClock, gate.EventFault, gate.EventNoSubject, gate.EventSubject,
	} {
		if !seen[kind] {
			t.Errorf("no event of kind %s", kind)
		}
	}
}

// TestTaskThatStopsIsShown: a task that fails again and again is a fault of its
// component, whatever that one's last figures say, until it has run for a while.
func TestTaskThatStopsIsShown(t *testing.T) {
	for task, want := range map[string]struct {
		component string
		code      health.Code
	}{
		"page":      {"page", health.PageFailed},
		"local":     {"local", health.SocketFailed},
		"lane:main": {"lane:main", health.LaneStopped},
		"link":      {"broker", health.Stopped},
		"outbox":    {"central", health.Stopped},
		"data:vn":   {"data:vn", health.Stopped},
	} {
		t.Run(task, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &box{health: health.New(time.Now), group: supervise.New(slog.New(slog.DiscardHandler), nil)}
				mended := time.Now().Add(time.Minute)
				if err := b.group.Add(supervise.Task{Name: task, Run: func(ctx context.Context) error {
					if time.Now().Before(mended) {
						return errors.New("address already in use")
					}
					<-ctx.Done()
					return nil
				}}); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- b.group.Run(ctx) }()
				part := func() (found health.Component) {
					synctest.Wait()
					b.lookAtTasks()
					b.ok(want.component) // its figures look well
					for _, c := range b.health.Snapshot() {
						if c.Name == want.component {
							found = c
						}
					}
					return found
				}
				for range 30 {
					if c := part(); c.Level != health.Failed || c.Fault.Code != want.code || c.Fault.Detail == "" {
						t.Fatalf("%v %s %q", c.Level, c.Fault.Code, c.Fault.Detail)
					}
					time.Sleep(time.Second)
				}
				time.Sleep(2 * time.Minute)
				if c := part(); c.Level != health.OK {
					t.Errorf("after it was mended: %v %s", c.Level, c.Fault.Code)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestEntriesShowWhatAnEventSays(t *testing.T) {
	var out strings.Builder
	err := printEntry(&out, []byte(`{"type":"gate.event.v1","time":"2021-09-01T00:00:00Z","data":{"seq":7,"kind":"fault",`+
		`"details":{"state":"raised","component":"scanner:main","error":"no such device","count":1300000000}}}`))
	want := ` event fault component=scanner:main count=1300000000 error="no such device" state=raised` + "\n"
	if err != nil || !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q, %v; want …%q", out.String(), err, want)
	}
}

func TestRelayTrouble(t *testing.T) {
	broken, missing := errors.New("input/output error"), fmt.Errorf("pulse: %w", lane.ErrNoRelay)
	for _, tt := range []struct {
		name                       string
		notOpen, lastOpening, want error
	}{
		{"well", nil, nil, nil},
		{"not open", broken, nil, broken},
		{"not open, and somebody came", broken, missing, broken},
		{"was missing and is back", nil, missing, nil},
		{"refused and was opened anew", nil, broken, broken},
	} {
		if got := relayTrouble(tt.notOpen, tt.lastOpening); !errors.Is(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
