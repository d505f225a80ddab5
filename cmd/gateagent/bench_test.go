package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/localapi"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/driver/drivertest"

	"go.uber.org/goleak"
)

// program builds the real program once for all tests: what is tested here is
// the binary, from outside.
var program struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	anyBytes()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if program.dir != "" {
			_ = os.RemoveAll(program.dir)
		}
		os.Exit(code)
	}))
}

// theProgram gives the path of the program.
func theProgram(t testing.TB) string {
	t.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "gateagent-"); program.err != nil {
			return
		}
		program.path = filepath.Join(program.dir, "gateagent")
		// As `make build` does it.
		args, cgo := []string{"build", "-tags", "nethttpomithttp2", "-ldflags", "-s -w", "-o", program.path}, "CGO_ENABLED=0"
		if raceDetector {
			args, cgo = append(args, "-race"), "CGO_ENABLED=1"
		}
		build := exec.Command("go", append(args, ".")...)
		build.Env = append(os.Environ(), cgo)
		if out, err := build.CombinedOutput(); err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return program.path
}

// slow is how much longer things may take than on the box: the machine of a
// test run is shared, and the race detector costs its part.
func slow(d time.Duration) time.Duration {
	if raceDetector {
		d *= 4
	}
	return 5 * d
}

// settings are what a test wants to be different about its box.
type settings struct {
	site, gate string         // hn01, g1
	broker     string         // one that nobody reaches
	root       string         // a root key of nobody
	setKey     string         // path; the box uses the set vn then
	entryKey   string         // path
	keyless    bool           // the box uses the set vn without a key file
	lanes      string         // TOML
	logLevel   string         // info
	rules      *policy.Policy // that may come into force beside the built-in one
	shadow     *policy.Policy // on trial; shadowFile is its file
	shadowFile string
}

// bench is one box on the bench: its folder, its settings, its addresses.
// Runs of the program on it are agents.
type bench struct {
	t      testing.TB
	dir    string
	config string
	socket string
	listen string
	rules  policies // that may be in force
	runs   int
	killed bool              // in some run
	lines  []*drivertest.PTY // that a kill must not leave locked
}

// survive names lines that are opened again after a kill. It belongs before
// the first start.
func (b *bench) survive(lines ...*drivertest.PTY) {
	b.t.Helper()
	for _, l := range lines {
		l.Survive(b.t)
	}
	b.lines = lines
}

// newBench makes the folder of a box and its configuration. The folder is a
// short one: the path of a Unix socket has at most 108 bytes.
func newBench(t testing.TB, s settings) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	b := &bench{
		t: t, dir: dir, config: filepath.Join(dir, "gateagent.toml"), socket: filepath.Join(dir, "agent.sock"),
		// All of 127/8 is this machine: an address for each box needs no
		// search for a free port.
		listen: fmt.Sprintf("127.%d.%d.%d:8080", 1+rand.N(254), rand.N(256), 1+rand.N(254)),
		rules:  rulesOf(s.rules, s.shadow),
	}
	b.write(s)
	return b
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// write writes the configuration anew.
func (b *bench) write(s settings) {
	b.t.Helper()
	var c strings.Builder
	fmt.Fprintf(&c, "[site]\nid = %q\ngate = %q\n\n", or(s.site, "hn01"), or(s.gate, "g1"))
	fmt.Fprintf(&c, "[trust]\nroot_keys = [%q]\n\n", or(s.root, "nobody-1:kyOJiMzKFjtBS9YFoXDUxCi6bBTwVZ3KBgVz5n0jZqQ"))
	fmt.Fprintf(&c, "[storage]\ndir = %q\n\n", b.storage())
	fmt.Fprintf(&c, "[mqtt]\nbroker = %q\n\n", or(s.broker, "mqtt://127.0.0.1:1"))
	fmt.Fprintf(&c, "[page]\nlisten = %q\n\n[local]\nsocket = %q\n\n", b.listen, b.socket)
	fmt.Fprintf(&c, "[log]\nlevel = %q\n\n", or(s.logLevel, "info"))
	if s.entryKey != "" {
		fmt.Fprintf(&c, "[keys]\nentry_file = %q\n\n", s.entryKey)
	}
	if s.shadowFile != "" {
		fmt.Fprintf(&c, "[policy]\nshadow_file = %q\n\n", s.shadowFile)
	}
	if s.keyless {
		fmt.Fprint(&c, "[[set]]\nname = \"vn\"\n\n")
	}
	if s.setKey != "" {
		fmt.Fprintf(&c, "[[set]]\nname = \"vn\"\nkey_file = %q\n\n", s.setKey)
	}
	c.WriteString(s.lanes)
	if err := os.WriteFile(b.config, []byte(c.String()), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) storage(elem ...string) string {
	return filepath.Join(append([]string{b.dir, "data"}, elem...)...)
}

// serialLane is a lane with an engine on a serial line and a relay that only
// says what it would open.
func serialLane(name, device string) string {
	return fmt.Sprintf("[[lane]]\nname = %q\n[lane.scanner]\ndriver = \"serialscan\"\ndevice = %q\n"+
		"[lane.relay]\ndriver = \"dryrelay\"\npulse = \"50ms\"\n\n", name, device)
}

// cameraLane is a lane with a camera that is not there.
func cameraLane(name string) string {
	return fmt.Sprintf("[[lane]]\nname = %q\n[lane.scanner]\ndriver = \"v4l2cam\"\ndevice = \"/dev/v4l/by-id/usb-Not_There-video-index0\"\n"+
		"[lane.relay]\ndriver = \"dryrelay\"\n\n", name)
}

// agent is one run of the program on a bench.
type agent struct {
	*bench
	cmd    *exec.Cmd
	log    string // file with what it wrote to standard error
	began  time.Time
	exited chan struct{} // closed when it has ended, with err
	err    error
}

// start runs the program until the test ends.
func (b *bench) start() *agent { return b.startWith(nil) }

// startWith lets the test change the command before it runs.
func (b *bench) startWith(change func(*exec.Cmd)) *agent {
	b.t.Helper()
	b.runs++
	a := &agent{bench: b, log: filepath.Join(b.dir, fmt.Sprintf("run-%d.log", b.runs)), exited: make(chan struct{})}
	a.cmd = exec.Command(theProgram(b.t), "run", "--config", b.config)
	a.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET=", "GORACE=atexit_sleep_ms=0")
	log, err := os.Create(a.log)
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if change != nil {
		change(a.cmd)
	}
	a.began = time.Now()
	if err := a.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	go func() {
		a.err = a.cmd.Wait()
		close(a.exited)
	}()
	b.t.Cleanup(a.kill)
	return a
}

// kill ends the program as a power cut would, if it still runs.
func (a *agent) kill() {
	select {
	case <-a.exited:
	default:
		a.killed = true
		_ = a.cmd.Process.Kill() // it may have ended in this moment
		<-a.exited
	}
	for _, l := range a.lines {
		l.Free(a.t)
	}
	a.judgeLog()
}

// stop asks the program to end, which it must do well. Before that its journal
// is held to what every journal must keep.
func (a *agent) stop() {
	a.t.Helper()
	a.audit()
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		a.t.Fatal(err)
	}
	select {
	case <-a.exited:
	case <-time.After(slow(5 * time.Second)):
		a.t.Fatalf("the agent does not end\n%s", a.logText())
	}
	if a.err != nil {
		a.t.Errorf("the agent ended with %v\n%s", a.err, a.logText())
	}
	a.judgeLog()
}

// audit holds the journal, where there is one, to its inputs and passages.
func (a *agent) audit() {
	a.t.Helper()
	var events []record.Event
	missing := ""
	for end := time.Now().Add(slow(time.Second)); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		if events, err = a.read(); err != nil {
			return // it serves the page only, or has nothing to store on
		}
		// A passage is written after the gate was opened: nobody waits for it.
		if missing = passages(events, a.killed); missing == "" {
			break
		}
	}
	if missing != "" {
		a.t.Error(missing)
	}
	replay(a.t, events, a.rules)
}

// judgeLog fails the test for what must not happen in any run.
func (a *agent) judgeLog() {
	a.t.Helper()
	text := "\n" + a.logText()
	for _, never := range []string{"DATA RACE", "\npanic: ", "\nfatal error: ", " stack="} {
		if i := strings.Index(text, never); i >= 0 {
			a.t.Errorf("%s: %s", a.log, text[i:min(len(text), i+4000)])
			return
		}
	}
}

func (a *agent) logText() string {
	a.t.Helper()
	text, err := os.ReadFile(a.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		a.t.Error(err)
	}
	return string(text)
}

func (b *bench) client() *localapi.Client { return localapi.NewClient(b.socket) }

// status asks the agent, waiting until it answers.
func (a *agent) status() localapi.Status {
	a.t.Helper()
	var s localapi.Status
	a.until("the agent answers", func() bool {
		var err error
		s, err = a.client().Status(a.t.Context())
		return err == nil
	})
	return s
}

// until waits for something that the agent is to do.
func (a *agent) until(what string, done func() bool) {
	a.t.Helper()
	for end := time.Now().Add(slow(6 * time.Second)); ; time.Sleep(2 * time.Millisecond) {
		if done() {
			return
		}
		select {
		case <-a.exited:
			a.t.Fatalf("the agent ended (%v) before %s\n%s", a.err, what, a.logText())
		default:
		}
		if time.Now().After(end) {
			a.t.Fatalf("not in time: %s\n%s", what, a.logText())
		}
	}
}

// component gives the last word on one part; zero where there is none.
func component(s localapi.Status, name string) localapi.Component {
	for _, c := range s.Components {
		if c.Name == name {
			return c
		}
	}
	return localapi.Component{}
}

// fault gives the code of a component's fault, "" when it works.
func fault(s localapi.Status, name string) string {
	if f := component(s, name).Fault; f != nil {
		return f.Code
	}
	return ""
}

// waitFault waits until a component reports a fault, which is returned.
func (a *agent) waitFault(name, code string) localapi.Component {
	a.t.Helper()
	var s localapi.Status
	a.until(name+" says "+code, func() bool {
		s = a.status()
		return fault(s, name) == code
	})
	return component(s, name)
}

// events reads the whole journal through the agent, as `entries` does.
func (a *agent) events() []record.Event {
	a.t.Helper()
	out, err := a.read()
	if err != nil {
		a.t.Fatalf("read the journal: %v\n%s", err, a.logText())
	}
	return out
}

func (a *agent) read() (out []record.Event, err error) {
	err = a.client().Entries(a.t.Context(), time.Time{}, 0, func(line []byte) error {
		e, err := record.ParseEvent(bytes.Clone(line))
		out = append(out, e)
		return err
	})
	return out, err
}

// entries gives the decided scans of the journal.
func (a *agent) entries() []record.Event {
	a.t.Helper()
	var out []record.Event
	for _, e := range a.events() {
		if e.Type() == record.TypeEntry {
			out = append(out, e)
		}
	}
	return out
}

// waitEntries waits until the journal has n entries and gives them.
func (a *agent) waitEntries(n int) []record.Event {
	a.t.Helper()
	a.status()
	var out []record.Event
	a.until(fmt.Sprintf("%d entries", n), func() bool {
		out = a.entries()
		return len(out) >= n
	})
	return out
}

// onDecision has fn told of decisions as they happen. ended is closed when the
// stream has ended, which it does with the agent.
func (a *agent) onDecision(fn func(localapi.Decision)) (ended <-chan struct{}) {
	a.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, end := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(end)
		_ = a.client().Decisions(ctx, func() { close(ready) }, func(d localapi.Decision) error { // it ends with the agent
			fn(d)
			return nil
		})
	}()
	a.t.Cleanup(func() {
		cancel()
		<-end
	})
	select {
	case <-ready:
	case <-end:
		a.t.Fatalf("the stream of decisions ended at once\n%s", a.logText())
	}
	return end
}

// watch collects decisions as they happen. The function it gives waits for the
// agent to end and returns what came.
func (a *agent) watch() func() []localapi.Decision {
	a.t.Helper()
	var got []localapi.Decision
	ended := a.onDecision(func(d localapi.Decision) { got = append(got, d) })
	return func() []localapi.Decision {
		<-ended
		return got
	}
}

// get asks the page for a path.
func (b *bench) get(path string) (code int, body string) {
	b.t.Helper()
	return get(b.t, b.listen, path)
}

func get(t testing.TB, listen, path string) (code int, body string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	resp, err := c.Get("http://" + listen + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// do runs another command of the program and gives what it printed and its
// exit code.
func (b *bench) do(args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command(theProgram(b.t), args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return o.String(), e.String(), exit.ExitCode()
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return o.String(), e.String(), 0
}
