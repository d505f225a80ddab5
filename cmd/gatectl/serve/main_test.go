package serve

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/identity"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/snapshot"
	"gateagent/sync/wire"
)

// A box whose process is killed has to be a process: this test program is it
// when it finds its task in the environment.
const taskEnv = "GATEAGENT_SERVE_TEST_BOX"

func TestMain(m *testing.M) {
	if task := os.Getenv(taskEnv); task != "" {
		os.Exit(runBox(task))
	}
	os.Exit(m.Run())
}

var (
	quiet  = slog.New(slog.DiscardHandler)
	origin = record.Origin{Site: "hn01", Gate: "g1"}
	vnKey  = gate.Key{1}
)

// task is what a box is told.
type task struct {
	Broker string
	Dir    string
	Root   string // kid:key
	Trust  []byte
	Rate   int64
}

// seen is what a box says of itself, a line of JSON each time.
type seen struct {
	Version, Base, Target uint64
	Done, Chunks          int
	Fetched               uint64
	Fault                 string
}

// runBox is the data side of one gate, until its standard input ends.
func runBox(text string) int {
	var t task
	err := json.Unmarshal([]byte(text), &t)
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		err = boxUntil(ctx, t, func(s seen) {
			line, _ := json.Marshal(s)
			fmt.Println(string(line))
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func boxUntil(ctx context.Context, t task, say func(seen)) error {
	sets, err := openSets(t.Dir)
	if err != nil {
		return err
	}
	defer sets.Close() //nolint:errcheck // the process ends
	id, err := identity.Load(filepath.Join(t.Dir, "identity"))
	if err != nil {
		return err
	}
	root, err := signed.ParseRoot(t.Root)
	if err != nil {
		return err
	}
	moment := func() signed.Moment { return signed.Moment{Now: time.Now(), Level: gate.ClockNTP} }
	v := signed.NewVerifier([]signed.Root{root}, origin.Site, origin.Gate)
	if _, err := v.TakeTrust(t.Trust, moment()); err != nil {
		return err
	}
	topics, err := wire.NewTopics(wire.DefaultPrefix)
	if err != nil {
		return err
	}
	link, err := mqttlink.New(mqttlink.Options{Broker: t.Broker, ClientID: "box"}, quiet)
	if err != nil {
		return err
	}
	f := snapshot.New(snapshot.Options{
		Set: "vn", Topics: topics, Verifier: v, Moment: moment, Store: sets, Reserve: 1,
		Dir:     filepath.Join(t.Dir, "sets", "vn", "chunks"),
		Courier: snapshot.NewCourier(snapshot.CourierOptions{Origin: origin, Topics: topics, Sign: id.Sign, Rate: t.Rate}, link, quiet),
	}, link, quiet)
	var wg sync.WaitGroup
	wg.Go(func() { _ = link.Run(ctx) })
	wg.Go(func() { _ = f.Run(ctx) })
	defer wg.Wait()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		s := f.Status()
		say(seen{s.Version, s.Base, s.Target, s.Done, s.Chunks, s.Fetched, s.Fault.Detail})
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func openSets(dir string) (*cache.Sets, error) {
	return cache.OpenSets(cache.SetsOptions{
		Dir: filepath.Join(dir, "sets"), Reserve: 1,
		Sets: []cache.SetKey{{Name: "vn", KeyID: "vn-1", Key: vnKey, HasKey: true}},
	}, quiet)
}

// boxProcess is a box in a process of its own.
type boxProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}

	mu   sync.Mutex
	last seen
}

func startBoxProcess(t *testing.T, what task) *boxProcess {
	t.Helper()
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	b := &boxProcess{t: t, cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	b.cmd.Env = append(os.Environ(), taskEnv+"="+string(text))
	b.cmd.Stderr = os.Stderr
	if b.stdin, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(b.done)
		for dec := json.NewDecoder(out); ; {
			var s seen
			if dec.Decode(&s) != nil {
				return
			}
			b.mu.Lock()
			b.last = s
			b.mu.Unlock()
		}
	}()
	t.Cleanup(b.kill)
	return b
}

func (b *boxProcess) seen() seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// kill ends it without a word.
func (b *boxProcess) kill() {
	_ = b.cmd.Process.Kill()
	<-b.done
	_ = b.cmd.Wait()
}

// stop ends it in order.
func (b *boxProcess) stop() {
	b.t.Helper()
	_ = b.stdin.Close()
	<-b.done
	if err := b.cmd.Wait(); err != nil {
		b.t.Error(err)
	}
}

func eventually(t *testing.T, within time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}

// office is central: its keys, and the folder of a set.
type office struct {
	t      *testing.T
	url    string
	root   signed.Signer
	key    signed.Signer
	folder dataset.Folder
	m      wire.Manifest
	values map[uint64][]byte // of the base
	now    int64             // Unix seconds: each document is younger than the one before
}

func newOffice(t *testing.T, url string) *office {
	t.Helper()
	o := &office{t: t, url: url, folder: dataset.NewFolder(t.TempDir()), now: time.Now().Unix() - 1000}
	for s, role := range map[*signed.Signer]signed.Role{&o.root: signed.RoleRoot, &o.key: signed.RoleSnapshot} {
		var err error
		if *s, err = signed.NewSigner(string(role)+"-1", role); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// task tells a box where it is.
func (o *office) task(broker, dir string, rate int64) task {
	o.t.Helper()
	now := time.Now().Unix()
	trust, err := publish.SignTrust(o.root, signed.Trust{
		Aud: origin.Site, Ver: 1, Iat: now, Exp: now + 86400, Keys: []signed.TrustKey{o.key.TrustKey()},
	})
	if err != nil {
		o.t.Fatal(err)
	}
	return task{Broker: broker, Dir: dir, Root: o.root.Root().String(), Trust: []byte(trust), Rate: rate}
}

// number is the n-th fictional number.
func number(n int) gate.Number { return gate.Number(fmt.Sprintf("00119%07d", n)) }

func word(n int) gate.Word { return gate.Word(n*7) & gate.MaxWordDay }

// build writes version 1 with n people into the folder, a chunk for each span
// blocks.
func (o *office) build(n int, span uint64) { o.buildAs(1, n, 0, span) }

// buildAs writes a version in which the first people, so many as are changed,
// have the word 1.
func (o *office) buildAs(version uint64, n, changed int, span uint64) {
	o.t.Helper()
	p := gate.NewPseudonymer(vnKey)
	rows := make([]block.Row, n)
	for i := range rows {
		rows[i] = block.Row{Person: p.Of(number(i)), Word: word(i)}
		if i < changed {
			rows[i].Word = 1
		}
	}
	if err := block.Sort(rows); err != nil {
		o.t.Fatal(err)
	}
	o.now++
	blocks := block.Blocks(uint64(n))
	o.m = wire.Manifest{
		Aud: "vn", Ver: version, Iat: o.now, Exp: o.now + 3600, Coding: wire.CodingColumns, KeyHold: wire.KeyHoldFile,
	}
	o.values = make(map[uint64][]byte)
	dir := filepath.Join(o.folder.Dir(), "chunks")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		o.t.Fatal(err)
	}
	digest := block.NewDigest()
	w := wire.NewChunkWriter(o.m.Coding, block.Width, blocks, span, func(c wire.Chunk, body []byte) error {
		o.m.Chunks = append(o.m.Chunks, c)
		return os.WriteFile(filepath.Join(dir, c.Digest), body, 0o644)
	})
	for no, value := range block.Pack(rows, block.Width) {
		digest.Add(no, value)
		o.values[no] = append([]byte(nil), value...)
		if err := w.Block(no, value, nil); err != nil {
			o.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		o.t.Fatal(err)
	}
	sum := digest.Sum()
	o.m.Base = wire.Base{
		Version: version, People: uint64(n), Blocks: blocks, Width: block.Width,
		BaseDay: "2021-01-01", KeyID: "vn-1", Digest: hex.EncodeToString(sum[:]),
	}
}

// extend adds a delta by which the first n people get the word 1.
func (o *office) extend(n int) {
	o.t.Helper()
	p := gate.NewPseudonymer(vnKey)
	var changes []gate.Change
	for i := range n {
		no, rem := block.Place(p.Of(number(i)), o.m.Base.Blocks)
		at, ok := block.Find(o.values[no], block.Width, rem)
		if !ok {
			o.t.Fatal("nobody there")
		}
		changes = append(changes, gate.Change{Block: no, Place: at, Word: 1})
	}
	sortChanges(changes)
	pieces, err := wire.EncodeChanges(changes, block.Width)
	if err != nil {
		o.t.Fatal(err)
	}
	o.now++
	d := wire.DeltaDoc{
		Aud: "vn", N: o.m.Ver + 1, Iat: o.now, Exp: o.now + 3600, Base: o.m.Base.Version, BaseDigest: o.m.Base.Digest, People: o.m.Base.People,
	}
	for _, body := range d.PutChanges(pieces, uint64(len(changes))) {
		if err := os.WriteFile(filepath.Join(o.folder.Dir(), "chunks", digestOf(body)), body, 0o644); err != nil {
			o.t.Fatal(err)
		}
	}
	compact, err := publish.SignDelta(o.key, d)
	if err != nil {
		o.t.Fatal(err)
	}
	dir := filepath.Join(o.folder.Dir(), "deltas")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		o.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jws", d.N)), []byte(compact), 0o644); err != nil {
		o.t.Fatal(err)
	}
	o.m.Deltas = append(o.m.Deltas, wire.DeltaRef{N: d.N, Base: d.Base, Size: len(compact), Digest: digestOf([]byte(compact))})
	o.m.Ver, o.m.Iat, o.m.Exp = d.N, o.now, o.now+3600
}

func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// publish brings the folder to the broker.
func (o *office) publish() {
	o.t.Helper()
	compact, err := publish.SignManifest(o.key, o.m)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := o.folder.WriteManifest(compact); err != nil {
		o.t.Fatal(err)
	}
	s, err := publish.Connect(o.t.Context(), publish.Broker{URL: o.url, ClientID: "office"}, quiet, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a test's
	if err := s.Snapshot(o.t.Context(), o.folder, []byte(compact), o.m, nil); err != nil {
		o.t.Fatal(err)
	}
}

// serve answers gates until the test ends or stop is called.
func (o *office) serve() (stats func() Stats, stop func()) {
	o.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	link, topics, err := publish.NewLink(publish.Broker{URL: o.url, ClientID: "serve"}, quiet)
	if err != nil {
		o.t.Fatal(err)
	}
	s := New(Options{Sources: []Source{o.folder}, Topics: topics}, link, quiet)
	for _, filter := range s.Filters() {
		link.Add(mqttlink.Subscription{
			Filter: filter, QoS: 1, Queue: 4096, Once: true, MaxBody: wire.MaxWant,
			Handle: func(topic string, body []byte, _ bool) { s.Deliver(topic, body) },
		})
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = link.Run(ctx) })
	wg.Go(func() { _ = s.Run(ctx) })
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	o.t.Cleanup(stop)
	eventually(o.t, 20*time.Second, "the server is there", link.Connected)
	return s.Stats, stop
}

// wantPeople asks a box's files about a few people: the first changed have the
// word 1.
func wantPeople(t *testing.T, dir string, version uint64, people, changed int) {
	t.Helper()
	sets, err := openSets(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer sets.Close() //nolint:errcheck // a test's
	for _, n := range []int{0, 1, changed - 1, changed, people / 2, people - 1, people} {
		if n < 0 {
			continue
		}
		f, st, err := sets.Facts(number(n), "")
		want := word(n)
		if n < changed {
			want = 1
		}
		if err != nil || st.Sets[0].Version != version || f.Found != (n < people) || f.Found && f.Word != want {
			t.Errorf("person %d: %+v in version %d, %v; want %v", n, f, st.Sets[0].Version, err, want)
		}
	}
}

// fetchAll asks for chunks, a window of them at once, until all have come.
func fetchAll(ctx context.Context, c *snapshot.Courier, names []string, size int) error {
	next := make(chan string, len(names))
	for _, name := range names {
		next <- name
	}
	close(next)
	failed := make(chan error, window)
	var wg sync.WaitGroup
	for range window {
		wg.Go(func() {
			for name := range next {
				err := errors.New("not asked")
				for tries := 0; err != nil; tries++ {
					if _, err = c.Ask(ctx, "vn", name, size); err != nil && tries == 10 {
						failed <- err
						return
					}
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
