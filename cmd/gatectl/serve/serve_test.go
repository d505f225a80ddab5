package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/wire"
)

// desk has a Server with a link and a folder of a test's making.
type desk struct {
	*Server
	t      *testing.T
	topics wire.Topics

	mu     sync.Mutex
	chunks map[string][]byte
	sent   []string // gates, in order
	digest []string
	takes  time.Duration // of one answer
	flight int
	most   int
	fail   error
}

func newDesk(t *testing.T, o Options) *desk {
	t.Helper()
	d := &desk{t: t, chunks: make(map[string][]byte)}
	var err error
	if d.topics, err = wire.NewTopics("p"); err != nil {
		t.Fatal(err)
	}
	o.Topics, o.Sources = d.topics, []Source{emptySource{}, d}
	d.Server = New(o, d, slog.New(slog.DiscardHandler))
	return d
}

type emptySource struct{}

func (emptySource) Chunk(string) ([]byte, error) { return nil, fs.ErrNotExist }

func (d *desk) Chunk(digest string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	body, ok := d.chunks[digest]
	if !ok {
		return nil, fmt.Errorf("read: %w", fs.ErrNotExist)
	}
	return body, nil
}

func (d *desk) Publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error {
	a, ok := d.topics.Parse(topic)
	if !ok || a.Kind != wire.KindGateChunk || qos != 0 || retained {
		d.t.Errorf("sent on %s at QoS %d", topic, qos)
	}
	d.mu.Lock()
	d.flight++
	d.most = max(d.most, d.flight)
	takes, fail := d.takes, d.fail
	d.mu.Unlock()
	if takes > 0 { // a timer that is due at once ends the race detector's bubble
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			fail = ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flight--
	if fail == nil {
		d.sent = append(d.sent, a.Gate)
		d.digest = append(d.digest, a.Digest)
	}
	return fail
}

// atOnce gives how many answers were under way at the most.
func (d *desk) atOnce() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.most
}

// digests makes n chunks and gives their names.
func (d *desk) make(n, size int) (out []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range n {
		name := fmt.Sprintf("%064x", len(d.chunks)+i*0x10001)
		d.chunks[name] = make([]byte, size)
		out = append(out, name)
	}
	return out
}

func (d *desk) want(gate string, digests ...string) {
	d.t.Helper()
	topic := d.topics.Want(record.Origin{Site: "hn01", Gate: gate})
	body, err := wire.Want{Set: "vn", Digests: digests}.Marshal(topic, func(string, []byte) []byte { return make([]byte, 64) })
	if err != nil {
		d.t.Fatal(err)
	}
	d.Deliver(topic, body)
}

// serving runs f beside the server in a synctest bubble.
func serving(t *testing.T, o Options, f func(d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, o)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		f(d)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// One gate that asks for much does not keep the others waiting.
func TestFairTurns(t *testing.T) {
	serving(t, Options{InFlight: wire.MaxChunk}, func(d *desk) {
		d.takes = time.Second
		d.want("first", d.make(1, 10)...) // while it is answered the others queue up
		synctest.Wait()
		d.want("greedy", d.make(16, 10)...)
		d.want("b", d.make(2, 10)...)
		d.want("c", d.make(1, 10)...)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got, want := d.sent[:6], []string{"first", "greedy", "b", "c", "greedy", "b"}; !slices.Equal(got, want) {
			t.Errorf("served %v, want %v", got, want)
		}
		if st := d.Stats(); st.Sent != 20 || st.Gates != 4 || st.Waiting != 0 || d.atOnce() != 1 {
			t.Errorf("%+v, %d at once", st, d.atOnce())
		}
	})
}

func TestBounds(t *testing.T) {
	serving(t, Options{InFlight: 3 * wire.MaxChunk}, func(d *desk) {
		d.takes = time.Second
		for g := range 5 {
			digests := d.make(40, 10)
			for at := 0; at < 40; at += 10 {
				d.want(fmt.Sprintf("g%d", g), digests[at:at+10]...)
			}
		}
		synctest.Wait()
		// Three are under way at most, and 16 of each gate wait.
		if st := d.Stats(); st.Turned < 5*(40-16-3) || st.Waiting > 5*16 || d.atOnce() > 3 {
			t.Errorf("%+v, %d at once", st, d.atOnce())
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		st := d.Stats()
		if st.Sent+st.Turned != 200 || st.Waiting != 0 || d.atOnce() != 3 {
			t.Errorf("%+v, %d at once", st, d.atOnce())
		}
	})
}

// What a gate asks for again while it waits is sent once.
func TestAskedAgain(t *testing.T) {
	serving(t, Options{InFlight: wire.MaxChunk}, func(d *desk) {
		d.takes = time.Second
		d.want("a", d.make(1, 10)...)
		synctest.Wait()
		digests := d.make(4, 10)
		for range 3 {
			d.want("a", digests...)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if st := d.Stats(); st.Sent != 5 || st.Again != 8 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRateOfAll(t *testing.T) {
	serving(t, Options{Rate: 100_000}, func(d *desk) {
		for g := range 4 {
			d.want(fmt.Sprintf("g%d", g), d.make(10, 100_000)...)
		}
		time.Sleep(20*time.Second + time.Millisecond)
		if n := d.Stats().Sent; n < 19 || n > 22 {
			t.Errorf("%d chunks of a second each were sent in 20 s", n)
		}
	})
}

func TestHostileWants(t *testing.T) {
	serving(t, Options{}, func(d *desk) {
		good := d.make(1, 10)[0]
		topic := d.topics.Want(record.Origin{Site: "hn01", Gate: "g1"})
		for _, body := range []string{
			"", "{}", `{"set":"vn","digests":[]}`, `{"set":"vn","digests":["../../etc/passwd"]}`,
			`{"set":"vn","digests":["` + strings.ToUpper(good[:63]+"f") + `"]}`,
			`{"set":"../x","digests":["` + good + `"]}`,
			`{"set":"vn","digests":["` + good + `","` + good + `"]}`,
			strings.Repeat(" ", wire.MaxWant+1),
		} {
			d.Deliver(topic, []byte(body))
		}
		d.Deliver("p/hn01/g1/state", []byte(`{"set":"vn","digests":["`+good+`"]}`))
		d.Deliver("p/data/g1/data/want", []byte(`{"set":"vn","digests":["`+good+`"]}`))
		d.want("g1", strings.Repeat("0", 63)+"f", good)
		synctest.Wait()
		st := d.Stats()
		if st.Malformed != 8 || st.Unknown != 1 || st.Sent != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// What cannot be sent is not kept: the gate asks again.
func TestNotSent(t *testing.T) {
	serving(t, Options{}, func(d *desk) {
		d.fail = errors.New("not connected")
		d.want("g1", d.make(3, 10)...)
		synctest.Wait()
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		time.Sleep(time.Hour)
		if st := d.Stats(); st.Failed != 3 || st.Sent != 0 || st.Waiting != 0 {
			t.Errorf("%+v", st)
		}
		d.mu.Lock()
		var all []string
		for name := range d.chunks {
			all = append(all, name)
		}
		d.mu.Unlock()
		d.want("g1", all...)
		synctest.Wait()
		if st := d.Stats(); st.Sent != 3 {
			t.Errorf("%+v", st)
		}
	})
}

func TestFilters(t *testing.T) {
	d := newDesk(t, Options{})
	if got := d.Filters(); !slices.Equal(got, []string{"p/+/+/data/want"}) {
		t.Errorf("%v", got)
	}
	d = newDesk(t, Options{Sites: []string{"hn01", "hn02"}})
	if got := d.Filters(); !slices.Equal(got, []string{"p/hn01/+/data/want", "p/hn02/+/data/want"}) {
		t.Errorf("%v", got)
	}
}
