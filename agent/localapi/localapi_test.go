package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gateagent/agent/feed"
	"gateagent/agent/gate"
	"gateagent/agent/health"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var at = time.Date(2021, 9, 1, 8, 0, 0, 0, time.UTC)

func box() health.Box {
	reg := health.New(func() time.Time { return at })
	reg.Declare("scanner:main", health.ByLane, "main")
	reg.Set("scanner:main", health.Failed, health.NewFault(health.ScannerGone, "/dev/video0"))
	reg.OK("journal")
	return health.Box{
		Report: reg.Report(), Site: "hn01", Gate: "gate-1", Version: "v0", Boot: "00000000000000aa",
		Now: at, Started: at.Add(-time.Hour), Clock: gate.ClockRTC,
		Policy:  health.PolicyState{PolicyRef: gate.PolicyRef{ID: "vn-2021-default"}, Level: 4, BuiltIn: true},
		Sets:    []health.SetState{{Set: "vn", Version: 3, People: 100000, Issued: at.Add(-time.Minute), HasKey: true, KeyID: "vn-1", Hold: health.HoldFile}},
		Theft:   health.Theft{Sets: []string{"vn"}, EntryKey: true},
		Journal: health.JournalState{Epoch: "0102030405060708", Seq: 12, Acked: 10, Bytes: 4096, Max: 1 << 20, Oldest: at},
		Link:    health.LinkState{Broker: "mqtt://127.0.0.1:1883"},
		Lanes: []health.LaneState{
			{Name: "main", Scanner: "v4l2cam", Relay: "dryrelay", Decisions: map[gate.Verdict]uint64{gate.Allow: 2}, Picture: 90 * time.Millisecond},
			{Name: "side", Scanner: "serialscan", Relay: "dryrelay", Picture: -1},
		},
	}
}

// journal is a fake that keeps its records.
type journal struct {
	events []string
	times  []time.Time
	fail   error
}

func (j *journal) Entries(ctx context.Context, since time.Time, after uint64, fn func([]byte) error) error {
	for i, e := range j.events {
		if uint64(i+1) <= after || j.times[i].Before(since) {
			continue
		}
		if err := fn([]byte(e)); err != nil {
			return err
		}
	}
	return j.fail
}

func (j *journal) Verify(context.Context) (Verification, error) {
	return Verification{Whole: true, Epoch: "0102030405060708", From: 1, To: uint64(len(j.events))}, j.fail
}

// start runs a server and gives its client; it is stopped and joined at the end.
func start(t *testing.T, o Options) (*Client, Options) {
	t.Helper()
	if o.Socket == "" {
		o.Socket = filepath.Join(t.TempDir(), "agent.sock")
	}
	if o.Box == nil {
		o.Box = box
	}
	if o.Feed == nil {
		o.Feed = feed.New(4)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- New(o, slog.New(slog.DiscardHandler)).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, err := os.Lstat(o.Socket); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket was left behind (%v)", err)
		}
	})
	c := NewClient(o.Socket)
	for deadline := time.Now().Add(5 * time.Second); ; {
		_, err := c.Status(t.Context())
		if err == nil {
			return c, o
		}
		if !errors.Is(err, ErrNotRunning) || time.Now().After(deadline) {
			t.Fatalf("server does not come up: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestStatus(t *testing.T) {
	c, o := start(t, Options{})
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(StatusOf(box()), s); diff != "" {
		t.Error(diff)
	}
	if s.CanDecide || s.Level != "failed" || s.Journal.Queue != 2 || s.Components[0].Fault.Code != "scanner_gone" ||
		s.Components[1].Fault != nil || *s.Lanes[0].PictureMS != 90 || s.Lanes[1].PictureMS != nil || s.Lanes[0].Decisions["ALLOW"] != 2 {
		t.Errorf("%+v", s)
	}
	info, err := os.Stat(o.Socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket mode %v, %v", info.Mode(), err)
	}
}

func TestStatusGolden(t *testing.T) {
	got, err := json.MarshalIndent(StatusOf(box()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/status.json", append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/status.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSpace(string(want)), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestEntries(t *testing.T) {
	j := &journal{}
	for i := range 5 {
		j.events = append(j.events, fmt.Sprintf(`{"n":%d}`, i+1))
		j.times = append(j.times, at.Add(time.Duration(i)*time.Second))
	}
	c, _ := start(t, Options{Journal: j})
	read := func(since time.Time, after uint64) string {
		t.Helper()
		var got []string
		if err := c.Entries(t.Context(), since, after, func(e []byte) error {
			got = append(got, string(e))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return strings.Join(got, "")
	}
	for _, tt := range []struct {
		since time.Time
		after uint64
		want  string
	}{
		{time.Time{}, 0, `{"n":1}{"n":2}{"n":3}{"n":4}{"n":5}`},
		{time.Time{}, 3, `{"n":4}{"n":5}`},
		{at.Add(1500 * time.Millisecond), 0, `{"n":3}{"n":4}{"n":5}`},
		{at.Add(time.Hour), 0, ""},
	} {
		if got := read(tt.since, tt.after); got != tt.want {
			t.Errorf("since %v after %d: %s, want %s", tt.since, tt.after, got, tt.want)
		}
	}
	stop := errors.New("enough")
	if err := c.Entries(t.Context(), time.Time{}, 0, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error of fn: %v", err)
	}
	j.fail = errors.New("record 6 is damaged")
	n := 0
	err := c.Entries(t.Context(), time.Time{}, 0, func([]byte) error { n++; return nil })
	if n != 5 || err == nil || !strings.Contains(err.Error(), "record 6 is damaged") {
		t.Errorf("after %d entries: %v", n, err)
	}
	if _, err := c.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "record 6 is damaged") {
		t.Errorf("Verify: %v", err)
	}
}

func TestVerifyAndNoJournal(t *testing.T) {
	c, _ := start(t, Options{Journal: &journal{events: []string{"{}"}, times: []time.Time{at}}})
	if v, err := c.Verify(t.Context()); err != nil || !v.Whole || v.To != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	c, _ = start(t, Options{})
	if _, err := c.Verify(t.Context()); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Errorf("Verify without journal: %v", err)
	}
	if err := c.Entries(t.Context(), at, 0, nil); err == nil || !strings.Contains(err.Error(), "no journal") {
		t.Errorf("Entries without journal: %v", err)
	}
}

func TestBadQuestions(t *testing.T) {
	c, _ := start(t, Options{Journal: &journal{}})
	for _, path := range []string{"/entries?since=yesterday", "/entries?after=-1", "/nowhere"} {
		if resp, err := c.get(t.Context(), path); err == nil {
			resp.Body.Close()
			t.Errorf("%s was answered", path)
		}
	}
}

func TestDecisions(t *testing.T) {
	f := feed.New(4)
	c, _ := start(t, Options{Feed: f})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sent := feed.Decision{
		Epoch: "0102030405060708", Seq: 7, Time: at, Lane: "main", Verdict: gate.AllowNotice, Class: gate.Yellow,
		Reasons: []gate.Reason{gate.ReasonTested}, Credential: gate.KindCCCD, Subject: "00000000000000ff",
		Policy: gate.PolicyRef{ID: "p", Version: 2}, Clock: gate.ClockNTP, Opened: true, Took: 12345 * time.Microsecond,
	}
	var got []Decision
	err := c.Decisions(ctx, func() { f.Publish(sent); f.Publish(sent) }, func(d Decision) error {
		if got = append(got, d); len(got) == 2 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) && err != nil {
		t.Errorf("ended with %v", err)
	}
	if len(got) != 2 {
		t.Fatalf("%d decisions", len(got))
	}
	if diff := cmp.Diff(DecisionOf(sent), got[0]); diff != "" {
		t.Error(diff)
	}
	if got[0].LatencyMS.Total != 12.345 || got[0].Verdict != "ALLOW_NOTICE" {
		t.Errorf("%+v", got[0])
	}
}

// TestStreamEndsWithTheAgent: a watcher is told that the agent stopped, and
// the agent does not wait for it.
func TestStreamEndsWithTheAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "a.sock")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- New(Options{Socket: socket, Box: box, Feed: feed.New(1)}, slog.New(slog.DiscardHandler)).Run(ctx)
	}()
	c := NewClient(socket)
	for {
		err := c.Decisions(t.Context(), cancel, func(Decision) error { return nil })
		if !errors.Is(err, ErrNotRunning) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestSlowReaderIsDropped: a reader that never reads holds up nobody.
func TestSlowReaderIsDropped(t *testing.T) {
	f := feed.New(1)
	_, o := start(t, Options{Feed: f})
	conn, err := net.Dial("unix", o.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /decisions HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	long := feed.Decision{Lane: strings.Repeat("x", 4096)}
	begin := time.Now()
	for range 10_000 {
		f.Publish(long)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("publishing took %v", took)
	}
}

func TestSocketOfAnotherAgent(t *testing.T) {
	_, o := start(t, Options{})
	err := New(o, slog.New(slog.DiscardHandler)).Run(t.Context())
	if !errors.Is(err, ErrRunning) {
		t.Errorf("second agent: %v", err)
	}
	if _, err := NewClient(o.Socket).Status(t.Context()); err != nil {
		t.Errorf("the first agent suffered: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := NewClient(socket).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("nobody listens, yet %v", err)
	}
	start(t, Options{Socket: socket})
}

func TestFileInTheWayIsLeftAlone(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := New(Options{Socket: socket}, slog.New(slog.DiscardHandler)).Run(t.Context()); err == nil {
		t.Error("ran over a file")
	}
	if b, err := os.ReadFile(socket); err != nil || string(b) != "precious" {
		t.Errorf("the file is %q, %v", b, err)
	}
}

func TestNotRunning(t *testing.T) {
	_, err := NewClient(filepath.Join(t.TempDir(), "none.sock")).Status(t.Context())
	if !errors.Is(err, ErrNotRunning) {
		t.Errorf("got %v", err)
	}
}

func TestPolicy(t *testing.T) {
	c, _ := start(t, Options{Policy: func(version uint64) ([]byte, error) {
		if version != 7 {
			return nil, errors.New("no such version")
		}
		return []byte(`{"id":"hn01"}`), nil
	}})
	if doc, err := c.Policy(t.Context(), 7); err != nil || string(doc) != `{"id":"hn01"}` {
		t.Errorf("%s, %v", doc, err)
	}
	if _, err := c.Policy(t.Context(), 8); !errors.Is(err, ErrNotKept) || !strings.Contains(err.Error(), "no such version") {
		t.Errorf("a version that is not kept: %v", err)
	}
	none, _ := start(t, Options{})
	if _, err := none.Policy(t.Context(), 0); !errors.Is(err, ErrNotKept) {
		t.Errorf("without policies: %v", err)
	}
}
