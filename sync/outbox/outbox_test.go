package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/wire"
)

// world is an outbox with a link and a central of a test's making, in a
// synctest bubble.
type world struct {
	t *testing.T
	j *memJournal
	o *Outbox

	mu      sync.Mutex
	down    bool
	deaf    bool // messages vanish after they were taken
	silent  bool // central takes records and acknowledges nothing
	slow    time.Duration
	pass    func(body []byte) [][]byte // what becomes of a message
	sizes   []int
	heard   map[record.Epoch][]record.Link
	repeats int
	faults  []string
}

func newWorld(t *testing.T, n int) *world {
	w := &world{t: t, j: newJournal(t, n), heard: make(map[record.Epoch][]record.Link)}
	topics, err := wire.NewTopics("p")
	if err != nil {
		t.Fatal(err)
	}
	w.o = newOutbox(Options{
		Origin:  origin,
		Topics:  topics,
		Sign:    func(string, []byte) []byte { return make([]byte, 64) },
		OnFault: func(f Fault) { w.faults = append(w.faults, f.Code) },
	}, w.j, w, slog.New(slog.DiscardHandler))
	w.o.verify = verifyPlain
	return w
}

func (w *world) run(ctx context.Context) {
	go func() {
		if err := w.o.Run(ctx); err != nil {
			w.t.Error(err)
		}
	}()
}

func verifyPlain(compact []byte) (ack, bool, error) {
	var a ack
	switch string(compact) {
	case "unknown key":
		return a, true, errors.New("unknown key")
	case "bad":
		return a, false, errors.New("bad signature")
	}
	return a, false, json.Unmarshal(compact, &a)
}

func (a *ack) UnmarshalJSON(b []byte) error {
	var f struct {
		P record.Position
		T time.Time
	}
	err := json.Unmarshal(b, &f)
	a.position, a.issued = f.P, f.T
	return err
}

func plainAck(p record.Position) []byte {
	b, _ := json.Marshal(map[string]any{"P": p, "T": time.Now()})
	return b
}

func (w *world) Publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if topic != "p/hn01/g1/entry" || qos != 1 || retained {
		w.t.Errorf("published on %s at QoS %d, retained %t", topic, qos, retained)
	}
	if w.down {
		return errors.New("not connected")
	}
	w.sizes = append(w.sizes, len(body))
	if w.deaf {
		return nil
	}
	bodies := [][]byte{body}
	if w.pass != nil {
		bodies = w.pass(body)
	}
	for _, b := range bodies {
		go func() {
			time.Sleep(w.slow)
			w.ingest(b)
		}()
	}
	return nil
}

// ingest is central: it takes what continues the chain, and acknowledges.
func (w *world) ingest(body []byte) {
	w.mu.Lock()
	var raw []json.RawMessage
	if body[0] == '[' {
		if err := json.Unmarshal(body, &raw); err != nil {
			w.t.Error(err)
		}
		if len(raw) < 2 {
			w.t.Errorf("an array of %d", len(raw))
		}
	} else {
		raw = []json.RawMessage{body}
	}
	var epoch record.Epoch
	for _, r := range raw {
		e, err := record.ParseEvent(r)
		if err != nil {
			w.t.Error(err)
			continue
		}
		epoch = e.Epoch()
		have := w.heard[epoch]
		l := e.Link()
		switch n := uint64(len(have)); {
		case l.Seq <= n:
			w.repeats++
			if have[l.Seq-1].Hash() != l.Hash() {
				w.t.Errorf("record %d came twice and differs", l.Seq)
			}
		case l.Seq == n+1:
			if n > 0 && have[n-1].Hash() != l.Prev {
				w.t.Errorf("record %d breaks the chain", l.Seq)
			}
			w.heard[epoch] = append(have, l)
		} // else a gap: wait for what is missing
	}
	p := record.Position{Epoch: epoch, Seq: uint64(len(w.heard[epoch]))}
	if p.Seq > 0 {
		p.Head = w.heard[epoch][p.Seq-1].Hash()
	}
	silent := w.silent
	w.mu.Unlock()
	if !silent {
		w.o.TakeAck(plainAck(p))
	}
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) messages() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.sizes)
}

func (w *world) complete() {
	w.t.Helper()
	pos, st := w.j.Position(), w.o.Status()
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := uint64(len(w.heard[pos.Epoch])); got != pos.Seq || st.Acked != pos || st.Queue() != 0 {
		w.t.Errorf("central has %d of %d, acknowledged %d", got, pos.Seq, st.Acked.Seq)
	}
}

func bubble(t *testing.T, f func(t *testing.T, ctx context.Context)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f(t, ctx)
		cancel()
		synctest.Wait()
	})
}

func TestBacklogThenLive(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 1000)
		w.o.Up()
		w.run(ctx)
		synctest.Wait()
		w.complete()
		for _, n := range w.sizes {
			if n > wire.MaxBatch {
				t.Errorf("a message of %d bytes", n)
			}
		}
		batches := len(w.sizes)
		w.j.add()
		synctest.Wait()
		w.complete()
		if len(w.sizes) != batches+1 {
			t.Errorf("a live record made %d messages", len(w.sizes)-batches)
		}
		if st := w.o.Status(); st.Resent != 0 || st.Sent != 1001 || st.Fault != (Fault{}) {
			t.Errorf("%+v", st)
		}
	})
}

func TestWindow(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 5000)
		w.silent = true
		w.o.Up()
		w.run(ctx)
		synctest.Wait()
		total := 0
		for _, n := range w.sizes {
			total += n
		}
		if n := w.o.Status().Sent; n > windowEntries || n == 0 || total > windowBytes+wire.MaxBatch {
			t.Errorf("%d records, %d bytes under way", n, total)
		}
	})
}

// Unacknowledged records go out again after 30 s, 1 min, 2, 4, 8, 10, 10.
func TestResendDoubles(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 3)
		w.deaf = true
		w.run(ctx)
		w.o.Central(true, false)
		w.o.Up()
		synctest.Wait()
		began := time.Now()
		var at []time.Duration
		for n := w.messages(); len(at) < 7; time.Sleep(time.Second) {
			synctest.Wait()
			if w.messages() > n {
				n = w.messages()
				at = append(at, time.Since(began))
			}
		}
		want := []time.Duration{30, 90, 210, 450, 930, 1530, 2130}
		for i := range want {
			if d := at[i] - want[i]*time.Second; d < 0 || d > time.Second {
				t.Errorf("repeat %d after %v, want %d s", i, at[i], want[i])
			}
		}
		if f := w.o.Status().Fault; f.Code != FaultMute {
			t.Errorf("fault %v", f)
		}
		w.set(func() { w.deaf = false })
		w.o.Central(true, true) // central was restarted
		synctest.Wait()
		w.complete()
		if f := w.o.Status().Fault; f.Code != "" || w.faults[len(w.faults)-1] != "" {
			t.Errorf("fault %v, told %v", f, w.faults)
		}
	})
}

// A central that says it is away is spared repeats, but not for ever.
func TestCentralAway(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 3)
		w.deaf = true
		w.run(ctx)
		w.o.Central(false, false)
		w.o.Up()
		time.Sleep(29 * time.Minute)
		synctest.Wait()
		if n := len(w.sizes); n < 3 || n > 4 {
			t.Errorf("%d messages in 29 minutes", n)
		}
		if f := w.o.Status().Fault; f.Code != FaultAway {
			t.Errorf("fault %v", f)
		}
		w.set(func() { w.deaf = false })
		w.o.Central(true, true)
		synctest.Wait()
		w.complete()
	})
}

// Central acknowledges with a key that the box does not know: neither the
// broker nor the box is to blame, and the fault says so.
func TestAcksOfAnUnknownKey(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 3)
		w.silent = true
		w.run(ctx)
		w.o.Central(true, false)
		w.o.Up()
		synctest.Wait()
		w.o.TakeAck([]byte("unknown key"))
		w.o.TakeAck([]byte("bad")) // does not displace the one before
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if f := w.o.Status().Fault; f.Code != FaultAway || !strings.Contains(f.Detail, "bad signature") {
			t.Errorf("fault %v", f)
		}
		if string(w.o.held) != "unknown key" {
			t.Errorf("kept for later: %q", w.o.held)
		}
		w.o.TakeAck(plainAck(w.j.at(3)))
		synctest.Wait()
		if f := w.o.Status().Fault; f.Code != "" {
			t.Errorf("fault %v", f)
		}
	})
}

func TestLinkComesAndGoes(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 10)
		w.down = true
		w.run(ctx)
		time.Sleep(time.Hour)
		w.set(func() { w.down, w.deaf = false, true })
		w.o.Up() // everything sent, everything lost
		synctest.Wait()
		w.set(func() { w.deaf = false })
		w.j.add()
		synctest.Wait() // 11 comes before 1 to 10
		if n := len(w.heard[w.j.epoch]); n != 0 {
			t.Errorf("central took %d records with a gap before them", n)
		}
		w.o.Up()
		synctest.Wait()
		w.complete()
	})
}

// Without a hook's call the outbox still notices that the link is back.
func TestLinkBackWithoutCall(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 10)
		w.down = true
		w.run(ctx)
		synctest.Wait()
		w.set(func() { w.down = false })
		time.Sleep(pauseFor + time.Second)
		synctest.Wait()
		w.complete()
	})
}

// A broker that loses, doubles and reorders what it has acknowledged.
func TestLyingBroker(t *testing.T) {
	repeats := 0
	for seed := range uint64(8) {
		bubble(t, func(t *testing.T, ctx context.Context) {
			w := newWorld(t, 300)
			w.slow = 10 * time.Millisecond
			rnd := rand.New(rand.NewPCG(seed, 0))
			var held [][]byte
			w.pass = func(b []byte) [][]byte {
				switch rnd.IntN(4) {
				case 0:
					return nil
				case 1:
					held = append(held, b)
					return nil
				case 2:
					out := append([][]byte{b, b}, held...)
					held = nil
					return out
				}
				return [][]byte{b}
			}
			w.run(ctx)
			w.o.Central(true, false)
			w.o.Up()
			for range 100 {
				time.Sleep(time.Second)
				w.j.add()
			}
			w.set(func() { w.pass = nil })
			time.Sleep(11 * time.Minute)
			synctest.Wait()
			w.complete()
			repeats += w.repeats
		})
	}
	if repeats < 500 {
		t.Errorf("%d repeats: the broker hardly lied", repeats)
	}
}

func TestAcksThatDoNotFit(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 100)
		w.silent = true
		w.o.Up()
		w.run(ctx)
		synctest.Wait()
		own := w.j.Position()
		w.o.TakeAck(plainAck(w.j.at(50)))
		ackedIs := func(what string, seq uint64, code string) {
			t.Helper()
			if st := w.o.Status(); st.Acked.Seq != seq || st.Fault.Code != code {
				t.Errorf("%s: acknowledged %d, fault %v", what, st.Acked.Seq, st.Fault)
			}
		}
		ackedIs("fits", 50, "")
		w.o.TakeAck(plainAck(w.j.at(40)))
		ackedIs("stale", 50, "")
		w.o.TakeAck(plainAck(record.Position{Epoch: record.NewEpoch(), Seq: 90}))
		ackedIs("another epoch", 50, "")
		w.o.TakeAck([]byte("bad"))
		ackedIs("bad signature", 50, "")
		w.o.TakeAck(nil)
		ackedIs("cleared", 50, "")
		wrong := w.j.at(60)
		wrong.Head[0]++
		w.o.TakeAck(plainAck(wrong))
		ackedIs("another head", 50, FaultMismatch)
		w.o.TakeAck(plainAck(w.j.at(60)))
		ackedIs("fits again", 60, "")
		w.o.TakeAck(plainAck(record.Position{Epoch: own.Epoch, Seq: 101}))
		ackedIs("beyond the end", 60, FaultMismatch)
		w.o.TakeAck(plainAck(w.j.at(60)))
		ackedIs("the same again", 60, "")
		w.o.TakeAck([]byte("unknown key"))
		w.o.verify = func([]byte) (ack, bool, error) { return ack{w.j.at(70), time.Now()}, false, nil }
		w.o.Retry()
		ackedIs("the key came later", 70, "")
	})
}

// A central restored from an older copy gets the lost records again, and
// acknowledgements from before do not undo that.
func TestCentralWentBack(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 400)
		w.o.Up()
		w.run(ctx)
		synctest.Wait()
		w.complete()
		old := plainAck(w.j.at(400))
		time.Sleep(time.Second)
		w.set(func() { w.heard[w.j.epoch] = w.heard[w.j.epoch][:150]; w.silent = true })

		w.o.Replied(w.j.at(400), w.j.at(400), time.Now())
		w.o.Replied(w.j.at(150), w.j.at(150), time.Now()) // an answer to an older hello
		if n := w.o.Status().Rewinds; n != 0 {
			t.Errorf("%d rewinds without cause", n)
		}
		w.o.Replied(w.j.at(150), w.j.at(400), time.Now())
		w.o.TakeAck(old)
		if st := w.o.Status(); st.Acked.Seq != 150 || st.Rewinds != 1 {
			t.Errorf("acknowledged %d after %d rewinds", st.Acked.Seq, st.Rewinds)
		}
		w.set(func() { w.silent = false })
		time.Sleep(time.Minute)
		synctest.Wait()
		w.complete()

		// Its clock was set back meanwhile.
		w.o.Replied(w.j.at(400), w.j.at(400), time.Now())
		if !w.o.floor.IsZero() {
			t.Error("acknowledgements of a slower clock are still refused")
		}

		// It knows nothing of the epoch any more.
		w.set(func() { delete(w.heard, w.j.epoch) })
		w.o.Replied(record.Position{}, w.j.at(400), time.Now())
		synctest.Wait()
		w.complete()

		// It asks for what has been forgotten here.
		w.set(func() { w.j.links, w.j.first = w.j.links[200:], 201 })
		w.o.Replied(record.Position{Epoch: w.j.epoch, Seq: 10}, w.j.at(400), time.Now())
		if st := w.o.Status(); st.Fault.Code != FaultMismatch || st.Acked.Seq != 200 {
			t.Errorf("%+v", st)
		}
	})
}

func TestNewEpoch(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		w := newWorld(t, 10)
		w.o.Up()
		w.run(ctx)
		synctest.Wait()
		w.complete()
		w.j.reset()
		synctest.Wait()
		w.complete()
		if len(w.heard) != 2 {
			t.Errorf("central knows %d epochs", len(w.heard))
		}
	})
}
