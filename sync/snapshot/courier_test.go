package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/sync/pace"
	"gateagent/sync/wire"
)

// serve has the chunk server, and not the broker, keep the chunks of e.
func (st *stand) serve(e edition) {
	st.b.mu.Lock()
	for _, body := range e.chunks {
		sum := sha256.Sum256(body)
		st.b.served[hex.EncodeToString(sum[:])] = body
	}
	st.b.mu.Unlock()
	st.TakeManifest(e.manifest)
}

func (st *stand) asked() (times, chunks int) {
	st.b.mu.Lock()
	defer st.b.mu.Unlock()
	for _, n := range st.b.wants {
		times += n
	}
	return times, len(st.b.wants)
}

// large is a version of more chunks than are kept on the broker.
func (st *stand) large(ver uint64) edition {
	st.p.span = 1
	defer func() { st.p.span = 5 }()
	e := st.p.print(ver, 13_500, nil)
	if len(e.m.Chunks) <= wire.MaxRetained {
		st.t.Fatalf("only %d chunks", len(e.m.Chunks))
	}
	return e
}

func TestAskedFor(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.large(1)
		st.b.latency = 20 * time.Millisecond
		st.serve(e)
		time.Sleep(time.Second)
		s := st.Status()
		if s.Target != 1 || s.Done < 50 || s.Chunks != len(e.m.Chunks) || s.Bytes == 0 || s.OfBytes < s.Bytes {
			t.Errorf("under way: %+v", s)
		}
		time.Sleep(time.Minute)
		st.want("asked for", 1, "")
		if times, chunks := st.asked(); times != len(e.m.Chunks) || chunks != times {
			t.Errorf("asked %d times for %d of %d chunks", times, chunks, len(e.m.Chunks))
		}
		if files := st.Fetcher.dir.files(); len(files) > 0 {
			t.Errorf("%d chunks are left", len(files))
		}
		if len(st.b.reads) > 0 {
			t.Errorf("%d topics were read", len(st.b.reads))
		}
	})
}

// The window holds for all that is under way.
func TestWindow(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.b.latency = time.Second
		st.serve(st.large(1))
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			st.b.courier.mu.Lock()
			n := len(st.b.courier.waiting)
			st.b.courier.mu.Unlock()
			if n > window {
				t.Fatalf("%d under way", n)
			}
		}
	})
}

func TestNobodyAnswers(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.publish(st.p.print(1, 400, nil))
		synctest.Wait()
		e := st.large(2)
		st.TakeManifest(e.manifest)
		time.Sleep(time.Minute)
		st.want("no server", 1, "nobody answers")
		if r := st.Status().Fault.Reason; r != "nobody_answers" {
			t.Errorf("reason %s", r)
		}
		time.Sleep(time.Hour)
		// At first after 5 s, then less and less often, four at a time.
		if times, _ := st.asked(); times > 200 {
			t.Errorf("asked %d times in an hour", times)
		}
		st.b.mu.Lock()
		st.b.latency = time.Second
		st.b.mu.Unlock()
		st.serve(e)
		for deadline := 15 * time.Minute; st.Status().Done == 0 && deadline > 0; deadline -= time.Second {
			time.Sleep(time.Second)
		}
		synctest.Wait()
		st.want("it is coming", 1, "") // nobody need be told any more that it does not
		time.Sleep(15 * time.Minute)
		st.want("it came", 2, "")
	})
}

// A link that is lost costs no more than the window, and neither does a start.
func TestAskedForOverLostLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := newStand(t, true)
		e := st.large(1)
		st.b.latency = 100 * time.Millisecond
		st.serve(e)
		interruptions := 0
		for starts := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- st.Run(ctx) }()
			if starts > 0 {
				st.serve(e)
			}
			for range 3 {
				time.Sleep(650 * time.Millisecond)
				st.b.mu.Lock()
				st.b.down = true
				st.b.courier.mu.Lock()
				clear(st.b.courier.waiting) // what is on its way is lost
				st.b.courier.mu.Unlock()
				st.b.mu.Unlock()
				st.b.courier.down()
				interruptions++
				time.Sleep(10 * time.Second)
				st.b.mu.Lock()
				st.b.down = false
				st.b.mu.Unlock()
				st.Up()
			}
			if starts == 2 {
				time.Sleep(time.Hour)
			}
			cancel()
			<-ended
			if starts < 2 {
				st.restart()
				interruptions++
			}
		}
		st.want("in the end", 1, "")
		times, _ := st.asked()
		again := times - len(e.m.Chunks)
		if again > interruptions*window {
			t.Errorf("%d chunks asked for again after %d interruptions", again, interruptions)
		}
		t.Logf("%d chunks, %d interruptions: %d asked for again", len(e.m.Chunks), interruptions, again)
	})
}

// Rubbish under the name of a chunk keeps the right one not out; rubbish alone
// is said, and nothing of it is taken.
func TestRubbish(t *testing.T) {
	bubble(t, true, func(st *stand) {
		rubbish := func(body []byte) []byte {
			bad := slices.Clone(body)
			bad[len(bad)/2] ^= 1
			return bad
		}
		st.b.answer = func(_ string, body []byte) [][]byte {
			return [][]byte{rubbish(body), nil, body[:len(body)-1], body, body}
		}
		e := st.large(1)
		st.serve(e)
		time.Sleep(time.Minute)
		st.want("the right ones came, too", 1, "")
		c := st.b.courier
		before := c.Status().Unasked // the second of two right answers may come too late
		c.deliver(c.o.Topics.GateChunk(c.o.Origin, e.m.Chunks[0].Digest), []byte("late"))
		if s := c.Status(); s.Wrong == 0 || s.Unasked != before+1 {
			t.Errorf("%+v", s)
		}
		st.b.mu.Lock()
		st.b.answer = func(_ string, body []byte) [][]byte { return [][]byte{rubbish(body)} }
		st.b.mu.Unlock()
		st.serve(st.large(2))
		time.Sleep(time.Minute)
		st.want("rubbish alone", 1, "digest is another")
		if s := st.Status(); s.Wrong == 0 || s.Fault.Reason != "wrong_chunk" || s.Done != 0 {
			t.Errorf("%+v", s)
		}
		st.b.mu.Lock()
		st.b.answer = nil
		st.b.mu.Unlock()
		time.Sleep(time.Hour)
		st.want("honest again", 2, "")
	})
}

// A line that is too slow for a window of chunks at a time is not filled with
// the same ones again and again.
func TestSlowLine(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.large(1)
		// One chunk in three seconds, whatever is asked for.
		var free time.Time
		st.b.answer = func(digest string, body []byte) [][]byte {
			if now := time.Now(); free.Before(now) {
				free = now
			}
			free = free.Add(3 * time.Second)
			c, to := st.b.courier, st.b.courier.o.Topics.GateChunk(st.b.courier.o.Origin, digest)
			time.AfterFunc(time.Until(free), func() { c.deliver(to, body) })
			return nil
		}
		st.serve(e)
		time.Sleep(time.Duration(len(e.m.Chunks)) * 5 * time.Second)
		st.want("in the end", 1, "")
		times, _ := st.asked()
		if most := len(e.m.Chunks) * 3 / 2; times > most {
			t.Errorf("%d chunks were asked for %d times", len(e.m.Chunks), times)
		}
	})
}

// The pace holds.
func TestRate(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.large(1)
		st.b.courier.pace = pace.New(10_000)
		bytes := 0
		for _, c := range e.m.Chunks {
			bytes += c.Size
		}
		began := time.Now()
		st.serve(e)
		for st.Status().Version == 0 && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
			synctest.Wait()
			if s := st.Status(); time.Since(began) == 20*time.Second && (s.Rate < 8_000 || s.Rate > 13_000 || s.Left < 10*time.Second) {
				t.Errorf("%+v", s)
			}
		}
		took := time.Since(began).Seconds()
		if least := float64(bytes)/10_000 - 1; took < least || took > least+10 {
			t.Errorf("%d bytes in %.0f s", bytes, took)
		}
	})
}

// A chunk that was spoiled on the disk is fetched again.
func TestSpoiledChunk(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 5000, nil)
		missing := e.topics[3]
		body := e.chunks[missing]
		delete(e.chunks, missing)
		st.publish(e)
		time.Sleep(time.Minute)
		files := st.Fetcher.dir.files()
		if len(files) != len(e.topics)-1 {
			t.Fatalf("%d chunks are kept of %d", len(files), len(e.topics))
		}
		path := st.Fetcher.dir.path(files[0].Name())
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kept[0] ^= 1
		if err := os.WriteFile(path, kept, 0o600); err != nil {
			t.Fatal(err)
		}
		st.b.mu.Lock()
		st.b.kept[missing] = body
		st.b.mu.Unlock()
		time.Sleep(10 * time.Minute)
		st.want("whole", 1, "")
		n := 0
		for _, topic := range e.topics {
			n += st.b.reads[topic]
		}
		if again := st.b.reads[missing] - 1; n != len(e.topics)+1+again {
			t.Errorf("%d topics read", n)
		}
	})
}

// Chunks of a version that nobody wants any more do not stay.
func TestSupersededChunks(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 5000, nil)
		delete(e.chunks, e.topics[3])
		st.publish(e)
		time.Sleep(time.Minute)
		if len(st.Fetcher.dir.files()) == 0 {
			t.Fatal("no chunk is kept")
		}
		st.publish(st.p.print(2, 400, nil))
		synctest.Wait()
		st.want("the newer one", 2, "")
		if n := len(st.Fetcher.dir.files()); n != 0 {
			t.Errorf("%d chunks are left", n)
		}
	})
}

func TestNoRoom(t *testing.T) {
	bubble(t, true, func(st *stand) {
		st.Fetcher.o.Reserve = 1 << 60
		st.publish(st.p.print(1, 400, nil))
		synctest.Wait()
		st.want("no room", 0, "MiB of the disk are free")
		if s := st.Status(); s.Fault.Reason != "no_room" || s.Fetched != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestURLs: chunks come from a web server where the manifest names one and the
// box may ask it; the broker has what it has not.
func TestURLs(t *testing.T) {
	p := newPress(t, true)
	var wrong, missing, redirected string
	chunks := make(map[string][]byte)
	gets := 0
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gets++
		digest := strings.TrimPrefix(r.URL.Path, "/vn/")
		switch digest {
		case wrong:
			fmt.Fprint(w, strings.Repeat("x", wire.MaxChunk*2))
		case missing:
			http.NotFound(w, r)
		case redirected:
			http.Redirect(w, r, "/vn/"+missing, http.StatusFound)
		default:
			_, _ = w.Write(chunks[digest])
		}
	}))
	defer srv.Close()
	e := p.print(1, 3000, func(m *wire.Manifest) { m.URLs = []string{srv.URL + "/vn/"} })
	for _, c := range e.m.Chunks {
		chunks[c.Digest] = e.chunks[p.topics.Chunk("vn", c.Digest)]
	}
	good := parcel{e.m.Chunks[0].Digest, e.m.Chunks[0].Size}
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	b := &memBroker{kept: e.chunks, reads: make(map[string]int), wants: make(map[string]int)}
	courier := func(roots []byte) *Courier {
		web, err := NewWeb(roots)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(web.Close)
		return newCourier(CourierOptions{Topics: p.topics, Web: web}, b, slog.New(slog.DiscardHandler))
	}
	bring := func(c *Courier, what parcel, byURL uint64) {
		t.Helper()
		before := c.Status().ByURL
		body, err := c.bring(t.Context(), "vn", what, e.m.URLs, byTopic)
		if err != nil || !what.is(body) {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		if n := c.Status().ByURL - before; n != byURL {
			t.Errorf("%d chunks came from the web server, want %d", n, byURL)
		}
	}
	c := courier(roots)
	bring(c, good, 1)
	for i, name := range []*string{&wrong, &missing, &redirected} {
		p := parcel{e.m.Chunks[1+i].Digest, e.m.Chunks[1+i].Size}
		*name = p.digest
		c := courier(roots)
		bring(c, p, 0)
		before := gets
		bring(c, good, 0) // it is left alone for a while
		if gets != before {
			t.Error("a web server that failed was asked again at once")
		}
	}
	bring(courier(nil), good, 0) // an unknown certificate
	if _, err := NewWeb([]byte("none")); err == nil {
		t.Error("no certificate was taken for one")
	}
}

// A small set whose publisher keeps nothing on the broker is found by asking,
// and from then on asked for.
func TestKeptNowhere(t *testing.T) {
	bubble(t, true, func(st *stand) {
		e := st.p.print(1, 20_000, nil)
		st.serve(e)
		time.Sleep(20 * time.Second)
		st.want("asked for", 1, "")
		if times, chunks := st.asked(); times != len(e.m.Chunks) || chunks != times {
			t.Errorf("asked %d times for %d of %d chunks", times, chunks, len(e.m.Chunks))
		}
		if n := len(st.b.reads); n >= 2*window {
			t.Errorf("%d topics were read in vain", n)
		}
	})
}
