package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/brokertest"
	"gateagent/sync/mqttlink"
	"gateagent/sync/snapshot"
	"gateagent/sync/wire"
)

func sortChanges(c []gate.Change) { slices.SortFunc(c, wire.CompareChanges) }

// long asks for the long form of a test: 1 million people, 50 boxes.
var long = os.Getenv("GATEAGENT_SOAK") != ""

// window is how many chunks a box has under way.
const window = 4

// A box whose link is cut again and again (five times in the long form) and whose
// process is killed (twice) gets the whole set, and each time no more than a window of chunks comes twice; then it
// gets a delta, live. The chunks are kept on the broker, or asked for.
func TestInterrupted(t *testing.T) {
	people, rate := 120_000, int64(300_000)
	cuts, kills := 1, 1
	if long {
		people, rate = 1_000_000, 600_000
		cuts, kills = 5, 2
	}
	interruptions := cuts + kills
	// As many chunks as are kept at most, and more.
	for name, chunks := range map[string]int{"retained": 150, "asked for": 250} {
		t.Run(name, func(t *testing.T) {
			if !long {
				t.Parallel()
			}
			m := brokertest.StartMosquitto(t)
			o := newOffice(t, m.URL())
			o.build(people, uint64(people/62/chunks))
			o.publish()
			asked := len(o.m.Chunks) > wire.MaxRetained
			stats := func() Stats { return Stats{} }
			if asked {
				stats, _ = o.serve()
			}
			line := brokertest.StartLine(t, m.URL())
			dir := t.TempDir()
			what := o.task(line.URL(), dir, rate)
			box := startBoxProcess(t, what)
			size := int64(0)
			for _, c := range o.m.Chunks {
				size += int64(c.Size)
			}
			for i := range interruptions {
				mark := (i + 1) * len(o.m.Chunks) / (interruptions + 1)
				eventually(t, 2*time.Minute, fmt.Sprintf("%d chunks are there", mark), func() bool { return box.seen().Done >= mark })
				if i%2 == 1 && i/2 < kills {
					box.kill()
					box = startBoxProcess(t, what)
				} else {
					line.Cut()
				}
			}
			eventually(t, 2*time.Minute, "in force", func() bool { return box.seen().Version == 1 })
			down := line.Down()
			if s := box.seen(); s.Fault != "" {
				t.Error(s.Fault)
			}
			largest := 0
			for _, c := range o.m.Chunks {
				largest = max(largest, c.Size)
			}
			// Manifest and answers to subscriptions come anew with each connection.
			other := int64(interruptions+1) * 64 << 10
			if again := down - size; again > int64(interruptions*window*largest)+other {
				t.Errorf("%d bytes came for %d", down, size)
			}
			st := stats()
			if again := int(st.Chunks) - len(o.m.Chunks); asked && (again < 0 || again > interruptions*window) {
				t.Errorf("%d of %d chunks were asked for again", again, len(o.m.Chunks))
			}
			t.Logf("%d people, %d chunks, %d bytes: %d bytes came; %d chunks asked for, %d sent", people, len(o.m.Chunks), size, down, st.Chunks, st.Sent)

			o.extend(300)
			o.publish()
			eventually(t, time.Minute, "the delta", func() bool { return box.seen().Version == 2 })
			o.extend(5000) // in chunks
			o.publish()
			eventually(t, time.Minute, "the large delta", func() bool { return box.seen().Version == 3 })
			box.stop()
			wantPeople(t, dir, 3, people, 5000)
			if left, _ := filepath.Glob(filepath.Join(dir, "sets", "vn", "chunks", "*")); len(left) != 0 {
				t.Errorf("%d chunks are left", len(left))
			}
		})
	}
}

// randomChunks are n messages of size bytes in a folder: what is in them does
// not matter to those who carry them.
type randomChunks struct {
	mu     sync.Mutex
	bodies map[string][]byte
	names  []string
	asked  map[string]int
}

func newRandomChunks(n, size int) *randomChunks {
	r := &randomChunks{bodies: make(map[string][]byte), asked: make(map[string]int)}
	for range n {
		body := make([]byte, size)
		rand.Read(body) // never fails
		name := digestOf(body)
		r.bodies[name] = body
		r.names = append(r.names, name)
	}
	return r
}

func (r *randomChunks) Chunk(digest string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, ok := r.bodies[digest]
	if !ok {
		return nil, os.ErrNotExist
	}
	r.asked[digest]++
	return body, nil
}

// A fleet fetches a set of more than 200 chunks, 60 MB, at once: all get it
// whole, the broker holds no more than what is under way, and nothing is asked
// twice that was answered in time.
func TestFleet(t *testing.T) {
	boxes, chunks := 10, 240
	if long {
		boxes = 50
	}
	const size = 250_000
	m := brokertest.StartMosquitto(t)
	r := newRandomChunks(chunks, size)
	topics, err := wire.NewTopics(wire.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	server, err := mqttlink.New(mqttlink.Options{Broker: m.URL(), ClientID: "serve"}, log)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{Sources: []Source{r}, Topics: topics}, server, log)
	for _, filter := range s.Filters() {
		server.Add(mqttlink.Subscription{
			Filter: filter, QoS: 1, Queue: 4096, Once: true, MaxBody: wire.MaxWant,
			Handle: func(topic string, body []byte, _ bool) { s.Deliver(topic, body) },
		})
	}
	var running sync.WaitGroup
	defer running.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running.Go(func() { _ = server.Run(ctx) })
	running.Go(func() { _ = s.Run(ctx) })
	links := []*mqttlink.Link{server}
	var couriers []*snapshot.Courier
	for i := range boxes {
		o := record.Origin{Site: "hn01", Gate: fmt.Sprintf("g%d", i)}
		link, err := mqttlink.New(mqttlink.Options{Broker: m.URL(), ClientID: "box-" + o.Gate}, log)
		if err != nil {
			t.Fatal(err)
		}
		couriers = append(couriers, snapshot.NewCourier(snapshot.CourierOptions{
			Origin: o, Topics: topics, Sign: func(string, []byte) []byte { return make([]byte, 64) },
		}, link, log))
		links = append(links, link)
		running.Go(func() { _ = link.Run(ctx) })
	}
	for _, l := range links {
		eventually(t, 30*time.Second, "connected", l.Connected)
	}
	before, _ := m.Memory()
	began := time.Now()
	var fetching sync.WaitGroup
	for i, c := range couriers {
		fetching.Go(func() {
			if err := fetchAll(ctx, c, r.names, size); err != nil {
				t.Errorf("box %d: %v", i, err)
			}
		})
	}
	fetching.Wait()
	took := time.Since(began)
	_, most := m.Memory()
	var asked, brought, wrong, unasked uint64
	for _, c := range couriers {
		st := c.Status()
		asked += st.Asked
		brought += st.Chunks
		wrong += st.Wrong
		unasked += st.Unasked
	}
	st := s.Stats()
	want := uint64(boxes * chunks)
	if brought != want || wrong != 0 {
		t.Errorf("%d chunks of %d came, %d wrong ones", brought, want, wrong)
	}
	if st.Chunks != asked || st.Again > asked-want || st.Turned != 0 {
		t.Errorf("asked for %d times: %+v", asked, st)
	}
	if again := asked - want; again > want/20 {
		t.Errorf("%d of %d were asked for again", again, want)
	}
	if grown := most - before; grown > 200<<20 {
		t.Errorf("the broker has grown by %d MiB", grown>>20)
	}
	t.Logf("%d boxes, %d MB each, in %v: %.0f MB/s; %d asked for again, %d came too late; the broker grew from %d to %d MiB",
		boxes, chunks*size/1e6, took.Round(time.Millisecond), float64(want)*size/1e6/took.Seconds(), asked-want, unasked, before>>20, most>>20)
}

// A broker that loses, doubles and holds back what it has acknowledged: chunks,
// and what is asked for. Everything comes whole all the same.
func TestLyingBroker(t *testing.T) {
	t.Parallel()
	m := brokertest.Start(t)
	o := newOffice(t, m.URL())
	o.build(13_500, 1)
	o.publish()
	if len(o.m.Chunks) <= wire.MaxRetained {
		t.Fatalf("%d chunks", len(o.m.Chunks))
	}
	stats, _ := o.serve()
	m.Lie(brokertest.Lies{
		On: func(topic string) bool {
			return strings.Contains(topic, "/data/want") || strings.Contains(topic, "/chunk/")
		},
		Drop: 0.006, Twice: 0.2, Late: 0.01, Seed: 5,
	})
	dir := t.TempDir()
	version, _, stop := startBox(t, o.task(m.URL(), dir, 0))
	eventually(t, 2*time.Minute, "in force", version(1))
	lied := m.Lied()
	m.Lie(brokertest.Lies{})
	for range 5 {
		o.extend(200)
	}
	o.publish()
	eventually(t, time.Minute, "the deltas", version(6))
	stop()
	wantPeople(t, dir, 6, 13_500, 200)
	if lied.Dropped == 0 || lied.Twice == 0 || lied.Late == 0 {
		t.Errorf("the broker hardly lied: %+v", lied)
	}
	t.Logf("%d chunks; the broker lied: %+v; %+v", len(o.m.Chunks), lied, stats())
}

// startBox runs a box in this process. version says whether it has a version in
// force on a base, box gives what it said last.
func startBox(t *testing.T, what task) (version func(v uint64) func() bool, box func() seen, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var last seen
	ended := make(chan error, 1)
	go func() {
		ended <- boxUntil(ctx, what, func(s seen) {
			mu.Lock()
			defer mu.Unlock()
			last = s
		})
	}()
	box = func() seen { mu.Lock(); defer mu.Unlock(); return last }
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return func(v uint64) func() bool { return func() bool { return box().Version == v } }, box, stop
}

// A set through its whole life on a box with a real store: a base, deltas, a
// new base of the same content, back to an older version of it, and on.
func TestLifeOfASet(t *testing.T) {
	const people, span = 5000, 20
	m := brokertest.Start(t)
	o := newOffice(t, m.URL())
	o.build(people, span)
	o.publish()
	dir := t.TempDir()
	version, box, stop := startBox(t, o.task(m.URL(), dir, 0))
	eventually(t, time.Minute, "the base", version(1))
	o.extend(10)
	o.extend(20)
	o.publish()
	eventually(t, time.Minute, "two deltas", version(3))
	fetched := box().Fetched

	lineage := o.m.Deltas
	o.buildAs(3, people, 20, span)
	o.m.Deltas = lineage // a box that is behind comes to it by these
	o.publish()
	eventually(t, time.Minute, "the new base", func() bool { return box().Base == 3 })
	if got := box().Fetched; got != fetched {
		t.Errorf("%d bytes were fetched for a base that was here", got-fetched)
	}
	o.extend(30)
	o.extend(40)
	o.publish()
	eventually(t, time.Minute, "deltas of the new base", version(5))
	stop()
	wantPeople(t, dir, 5, people, 40)

	newest := o.m
	o.now++
	back := o.m
	back.Ver, back.Deltas, back.BackFrom, back.Iat, back.Exp = 3, lineage, 5, o.now, o.now+3600
	o.m = back
	o.publish()
	version, box, stop = startBox(t, o.task(m.URL(), dir, 0))
	eventually(t, time.Minute, "back", version(3))
	stop()
	wantPeople(t, dir, 3, people, 20)

	o.m = newest // taken back
	o.publish()
	version, box, stop = startBox(t, o.task(m.URL(), dir, 0))
	eventually(t, time.Minute, "what was taken back is refused", func() bool { return strings.Contains(box().Fault, "taken back") })
	if !version(3)() {
		t.Errorf("%+v", box())
	}
	o.buildAs(6, people, 60, span)
	o.publish()
	eventually(t, time.Minute, "on", version(6))
	stop()
	wantPeople(t, dir, 6, people, 60)
}
