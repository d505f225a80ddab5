package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/brokertest"
	"gateagent/sync/identity"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

// lockedBuffer collects what a command says while it runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// command runs gatectl in the background; the returned function stops it as
// Ctrl-C would and gives its exit code.
func command(t *testing.T, stdout, stderr *lockedBuffer, args ...string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	code := make(chan int, 1)
	go func() { code <- run(ctx, args, strings.NewReader(""), stdout, stderr) }()
	return sync.OnceValue(func() int {
		cancel()
		select {
		case c := <-code:
			return c
		case <-time.After(20 * time.Second):
			t.Errorf("%v does not stop", args)
			return -1
		}
	})
}

// box is a gate without hardware: identity, chain and link.
type box struct {
	origin record.Origin
	id     *identity.Identity
	epoch  record.Epoch
	topics wire.Topics
	link   *mqttlink.Link
	links  []record.Link
	boot   string

	mu   sync.Mutex // guards all following
	acks []wire.Ack
}

func newBox(t *testing.T, broker, name string) *box {
	t.Helper()
	id, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	topics, err := wire.NewTopics(wire.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	b := &box{
		origin: record.Origin{Site: "hn01", Gate: name}, id: id, epoch: record.NewEpoch(), topics: topics,
		boot: "00112233445566aa",
	}
	if b.link, err = mqttlink.New(mqttlink.Options{Broker: broker, ClientID: "box-" + record.NewEpoch().String()}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	b.link.Subscribe(topics.EntryAck(b.origin), b.hear)
	up := make(chan struct{}, 1)
	b.link.OnUp(func() {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.link.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-up
	return b
}

func (b *box) hear(_ string, body []byte, _ bool) {
	parts := strings.Split(string(body), ".")
	if len(parts) != 3 {
		return
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return
	}
	if a, err := wire.ParseAck(payload); err == nil {
		b.mu.Lock()
		b.acks = append(b.acks, a)
		b.mu.Unlock()
	}
}

// append adds a record to the box's chain.
func (b *box) append(t *testing.T, r record.Record, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	var prev record.Hash
	if n := len(b.links); n > 0 {
		prev = b.links[n-1].Hash()
	}
	b.links = append(b.links, record.Link{Seq: uint64(len(b.links) + 1), Prev: prev, Record: r})
}

// record makes the first event and n entries, each with its passage.
func (b *box) record(t *testing.T, n int) {
	t.Helper()
	now := time.Now()
	next := func() uint64 { return uint64(len(b.links) + 1) }
	if len(b.links) == 0 {
		r, err := record.FromEvent(b.origin, b.epoch, next(), record.FirstEvent(now, record.Position{}, "first_start"))
		b.append(t, r, err)
	}
	for i := range n {
		ref := next()
		r, err := record.FromEntry(b.origin, b.epoch, ref, gate.Entry{
			Time: now, Lane: "main", Verdict: gate.Allow, Class: gate.Green, Credential: gate.KindCCCD,
			Reasons: []gate.Reason{gate.ReasonVaccinated}, Subject: gate.Pseudonym(i), HasSubject: true,
			Policy: gate.PolicyRef{ID: "vn-2021-default"}, DataAge: -1, Decode: 3 * time.Millisecond,
			Inputs: gate.Inputs{Now: now.UnixMilli(), DataAge: -1},
		})
		b.append(t, r, err)
		r, err = record.FromPassage(b.origin, b.epoch, next(), gate.Passage{
			Time: now, Lane: "main", Ref: ref, Opened: true, Record: time.Millisecond, Actuate: 5 * time.Millisecond,
		})
		b.append(t, r, err)
	}
}

func (b *box) publish(t *testing.T, topic string, body []byte, err error) {
	t.Helper()
	if err == nil {
		err = b.link.Publish(t.Context(), topic, body, 1, false)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// hello says who the box is; central knows it from then on.
func (b *box) hello(t *testing.T, nonce int) {
	t.Helper()
	last := b.links[len(b.links)-1]
	topic := b.topics.Hello(b.origin)
	body, err := wire.SignBody(topic, wire.Hello{
		Nonce: fmt.Sprintf("%032x", nonce), Boot: b.boot, Epoch: b.epoch, Seq: last.Seq, Head: last.Hash(), ID: b.id.Public(),
	}, b.id.Sign)
	b.publish(t, topic, body, err)
}

// send sends the records from a number on.
func (b *box) send(t *testing.T, from int) {
	t.Helper()
	topic := b.topics.Entry(b.origin)
	for rest := b.links[from-1:]; len(rest) > 0; {
		body, n, err := wire.EncodeBatch(topic, rest, b.id.Sign)
		b.publish(t, topic, body, err)
		rest = rest[n:]
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (b *box) waitAck(t *testing.T) {
	t.Helper()
	last := b.links[len(b.links)-1]
	waitFor(t, fmt.Sprintf("the acknowledgement of %d records", last.Seq), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		n := len(b.acks)
		return n > 0 && b.acks[n-1].Seq == last.Seq && b.acks[n-1].Head == last.Hash()
	})
}

// TestIngestToVerify takes entries in, across a restart of central, watches
// them pass, and verifies what was kept; then it changes the file and verifies
// again.
func TestIngestToVerify(t *testing.T) {
	leaks := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, leaks) })
	broker := brokertest.Start(t)
	dir := t.TempDir()
	pass := filepath.Join(dir, "pass")
	if err := os.WriteFile(pass, []byte("a fictional passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, sink, gates := filepath.Join(dir, "keys"), filepath.Join(dir, "entries.jsonl"), filepath.Join(dir, "gates.json")
	var out, errs lockedBuffer
	if code := run(t.Context(), []string{"keygen", "--dir", keys, "--only", "ack", "--passphrase-file", pass}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	ingest := func(learn bool) (stop func() int, said *lockedBuffer) {
		said = &lockedBuffer{}
		args := []string{"ingest", "--sink", "jsonl:" + sink, "--gates", gates, "--keys", keys, "--passphrase-file", pass, "--broker", broker.URL()}
		if learn {
			args = append(args, "--learn")
		}
		stop = command(t, &lockedBuffer{}, said, args...)
		t.Cleanup(func() { stop() })
		waitFor(t, "central", func() bool {
			return strings.Contains(string(broker.Retained("gate/v1/central/state")), `"online":true`)
		})
		return stop, said
	}
	var seen lockedBuffer
	stopWatch := command(t, &seen, &lockedBuffer{}, "watch", "--broker", broker.URL())
	defer stopWatch()

	b := newBox(t, broker.URL(), "main-1")
	b.record(t, 100)
	stop, said := ingest(true)
	b.hello(t, 1)
	b.send(t, 1)
	b.waitAck(t)

	// Another box under the same name is refused and reported.
	twin := newBox(t, broker.URL(), "main-1")
	twin.record(t, 1)
	twin.hello(t, 2)
	waitFor(t, "the report of another identity", func() bool { return strings.Contains(said.String(), "foreign_identity") })

	// Central goes away and comes back; what is sent twice is kept once.
	if code := stop(); code != 0 {
		t.Fatalf("ingest ended with %d:\n%s", code, said)
	}
	if s := string(broker.Retained("gate/v1/central/state")); !strings.Contains(s, `"online":false`) {
		t.Errorf("central left and said %s", s)
	}
	b.record(t, 50)
	stop, said = ingest(false)
	b.hello(t, 3)
	b.send(t, 50)
	b.waitAck(t)
	if code := stop(); code != 0 {
		t.Fatalf("ingest ended with %d:\n%s", code, said)
	}

	waitFor(t, "watch to show all", func() bool { return strings.Contains(seen.String(), "acknowledged up to #301") })
	if code := stopWatch(); code != 0 {
		t.Errorf("watch ended with %d", code)
	}
	for _, line := range []string{"hn01/main-1", "event epoch", "ALLOW        GREEN   cccd", "vaccinated", "#2 opened after 5ms", "central is there", "central is away"} {
		if !strings.Contains(seen.String(), line) {
			t.Errorf("watch did not show %q:\n%.2000s", line, seen.String())
		}
	}
	verifyKept(t, b, gates, sink)
}

// verifyKept verifies the file as it is, and as it is after each change.
func verifyKept(t *testing.T, b *box, gates, sink string) {
	t.Helper()
	kept, err := os.ReadFile(sink)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(kept), "\n"), "\n")
	if len(lines) != len(b.links) {
		t.Fatalf("%d records kept of %d", len(lines), len(b.links))
	}
	join := func(parts ...[]string) string {
		var s strings.Builder
		for _, p := range parts {
			s.WriteString(strings.Join(p, ""))
		}
		return s.String()
	}
	signed := 0
	for i, l := range lines {
		if strings.Contains(l, `"sig":`) {
			signed = i
			break
		}
	}
	other := newIdentityFile(t, b.origin)
	tests := []struct {
		name, file, gates string
		code              int
		out, err          string
	}{
		{"as kept", string(kept), gates, 0, "chains whole, signatures hold", ""},
		{"without keys", string(kept), "", 0, "signatures of gates without a known key were not checked", ""},
		{"one line missing", join(lines[:100], lines[101:]), gates, 1, "", "records 101 to 101 are missing"},
		{"beginning missing", join(lines[10:]), gates, 1, "", "begins at record 11; records 1 to 10 are not here"},
		{"two swapped", join(lines[:20], lines[21:22], lines[20:21], lines[22:]), gates, 1, "", "record 21 comes after record 22"},
		{"verdict changed", join(lines[:3], []string{strings.Replace(lines[3], `"ALLOW"`, `"DENY"`, 1)}, lines[4:]), gates, 1, "", "was changed"},
		{"a signature taken away, a later one covers all", join(lines[:signed], []string{cutSignature(t, lines[signed])}, lines[signed+1:]), gates, 0, "chains whole, signatures hold", ""},
		{"end cut off", join(lines[:len(lines)-1]), gates, 1, "", "no signature covers records"},
		{"another gate's key", string(kept), other, 1, "", "signature does not hold"},
		{"the key of a box that was replaced, and of the one before", string(kept), other + "," + gates, 0, "chains whole, signatures hold", ""},
		{"a line of nonsense", join(lines[:5], []string{"{}\n"}, lines[5:]), gates, 1, "", ":6: not an event"},
		{"every line twice in a row", join(lines[:9], lines[:9], lines[9:]), gates, 0, "9 repeated", ""},
		{"nothing", "\n", gates, 1, "", "error: no events there"},
	}
	for _, tc := range tests {
		t.Run("verify/"+tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "entries.jsonl")
			if err := os.WriteFile(file, []byte(tc.file), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"verify", file}
			if tc.gates != "" {
				args = append(args, "--gates", tc.gates)
			}
			var out, errs lockedBuffer
			code := run(t.Context(), args, strings.NewReader(""), &out, &errs)
			if code != tc.code || !strings.Contains(out.String(), tc.out) || !strings.Contains(errs.String(), tc.err) {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %.1000s\nwant %q and %q", code, tc.code, out.String(), errs.String(), tc.out, tc.err)
			}
		})
	}
}

// newIdentityFile writes a file of gates that lists another key for o.
func newIdentityFile(t *testing.T, o record.Origin) string {
	t.Helper()
	id, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gates.json")
	p := id.Public()
	text := fmt.Sprintf(`{"gates":{"%s/%s":{"ed25519":%q,"x25519":%q}}}`, o.Site, o.Gate, p.Ed25519, p.X25519)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cutSignature takes the signature out of an event.
func cutSignature(t *testing.T, line string) string {
	t.Helper()
	from := strings.Index(line, `,"sig":"`)
	if from < 0 {
		t.Fatalf("no signature in %.80s", line)
	}
	to := strings.Index(line[from+8:], `"`)
	return line[:from] + line[from+8+to+1:]
}
