package main_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/localapi"
	"gateagent/driver/drivertest"
)

// defaultListen is where the page is when the configuration cannot say.
const defaultListen = "127.0.0.1:8080"

// TestWrongConfigs: the agent never starts on defaults. With each of the wrong
// configurations it keeps the last good one and says so; where there is none
// it serves the page that says what is wrong, and nothing else: no lane, no
// connection, not a file on the disk.
//
// The files are used as they stand, with all paths at their defaults, which is
// why each run lives in a root folder of its own.
func TestWrongConfigs(t *testing.T) {
	if raceDetector {
		t.Skip("built with the race detector the program is not static, and cannot run in a folder of its own")
	}
	files, err := filepath.Glob("../../agent/config/testdata/wrong/*.toml")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d wrong configurations: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".toml")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		golden, err := os.ReadFile(strings.TrimSuffix(file, ".toml") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		for _, lastGood := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, last good copy %v", name, lastGood), func(t *testing.T) {
				testWrongConfig(t, text, problemsOf(string(golden)), lastGood)
			})
		}
	}
}

// TestCheckSaysAll holds the command to the golden texts of the wrong
// configurations.
func TestCheckSaysAll(t *testing.T) {
	files, err := filepath.Glob("../../agent/config/testdata/wrong/*.toml")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d wrong configurations: %v", len(files), err)
	}
	for _, file := range files {
		golden, err := os.ReadFile(strings.TrimSuffix(file, ".toml") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(theProgram(t), "check", "--config", "testdata/wrong/"+filepath.Base(file))
		cmd.Dir = "../../agent/config"
		out, err := cmd.Output()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || len(exit.Stderr) > 0 {
			t.Errorf("%s: %v", file, err)
		}
		if string(out) != string(golden) {
			t.Errorf("%s: said\n%swant\n%s", file, out, golden)
		}
	}
}

// problemsOf gives the places, keys and texts of what `check` says about a
// file: all of it must be on the page.
func problemsOf(golden string) (texts []string) {
	for line := range strings.Lines(golden) {
		line = strings.TrimSpace(line)
		if hint, ok := strings.CutPrefix(line, "hint: "); ok {
			texts = append(texts, hint)
		} else if p := strings.SplitN(line, ":", 5); len(p) == 5 {
			texts = append(texts, p[1]+":"+p[2], strings.TrimSpace(p[3]), strings.TrimSpace(p[4]))
		}
	}
	return texts
}

func testWrongConfig(t *testing.T, text []byte, problems []string, lastGood bool) {
	b := newBench(t, settings{})
	b.socket = filepath.Join(b.dir, "run/gateagent/agent.sock")
	for _, dir := range []string{"etc", "run/gateagent", "var/lib/gateagent/config", "tmp"} {
		if err := os.MkdirAll(filepath.Join(b.dir, dir), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	broker := countConnections(t)
	kept, pageFree := b.listen, true
	if lastGood {
		good := strings.Join([]string{
			`site = {id = "hn01", gate = "kept"}`, `trust.root_keys = ["nobody-1:kyOJiMzKFjtBS9YFoXDUxCi6bBTwVZ3KBgVz5n0jZqQ"]`,
			fmt.Sprintf("mqtt.broker = %q", broker.url), fmt.Sprintf("page.listen = %q", kept), serialLane("kept", "/dev/serial/by-id/not-there"),
		}, "\n")
		if err := os.WriteFile(filepath.Join(b.dir, "var/lib/gateagent/config/last-good.toml"), []byte(good), 0o600); err != nil {
			t.Fatal(err)
		}
		text = with(text, "mqtt", fmt.Sprintf("broker = %q", "mqtt://127.0.0.1:1"))
	} else {
		text = with(text, "page", fmt.Sprintf("listen = %q", b.listen))
		text = with(text, "mqtt", fmt.Sprintf("broker = %q", broker.url))
		if !strings.Contains(string(text), b.listen) {
			b.listen = defaultListen
			pageFree = free(t, defaultListen)
		}
	}
	if err := os.WriteFile(filepath.Join(b.dir, "etc/gateagent.toml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	a := b.startIn(b.dir, "/etc/gateagent.toml")
	s := a.status()
	if lastGood {
		wantLastGood(t, a, s, problems)
		a.until("it goes to the broker of the last good copy", func() bool { return broker.n.Load() > 0 })
	} else {
		wantNothingRuns(t, a, s)
		if pageFree {
			wantPageOnly(t, a, problems)
		}
		time.Sleep(50 * time.Millisecond)
		if n := broker.n.Load(); n != 0 {
			t.Errorf("%d connections to the broker", n)
		}
	}
	a.stop()
	if lastGood {
		return
	}
	left, err := filepath.Glob(filepath.Join(b.dir, "var/lib/gateagent/*/*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left on the disk: %v, %v", left, err)
	}
}

func wantLastGood(t *testing.T, a *agent, s localapi.Status, problems []string) {
	t.Helper()
	if s.Site != "hn01" || s.Gate != "kept" || len(s.Lanes) != 1 || s.Lanes[0].Name != "kept" {
		t.Errorf("in force is %s/%s with %v", s.Site, s.Gate, s.Lanes)
	}
	a.waitFault("config", "config_last_good")
	text, _, _ := a.do("status", "--socket", a.socket)
	if !strings.Contains(text, "config_last_good") {
		t.Errorf("status does not say so:\n%s", text)
	}
	wantOnPage(t, a, append(problems, "config_last_good"))
}

func wantNothingRuns(t *testing.T, a *agent, s localapi.Status) {
	t.Helper()
	if s.CanDecide || len(s.Lanes) != 0 || s.Journal.Epoch != "" || fault(s, "config") != "config_broken" {
		t.Errorf("status: can decide %v, lanes %v, journal %+v, config %s", s.CanDecide, s.Lanes, s.Journal, fault(s, "config"))
	}
	text, _, exit := a.do("status", "--socket", a.socket)
	if exit != 1 || !strings.Contains(text, "NO") || !strings.Contains(text, "gateagent check") {
		t.Errorf("status: exit %d\n%s", exit, text)
	}
	_, said, exit := a.do("entries", "--socket", a.socket)
	if exit != 1 || !strings.Contains(said, "no journal") {
		t.Errorf("entries: exit %d: %s", exit, said)
	}
	if log := a.logText(); strings.Contains(log, "component=sync") || strings.Contains(log, "component=lane") || strings.Contains(log, "gate starts") {
		t.Errorf("parts were started:\n%s", log)
	}
}

func wantPageOnly(t *testing.T, a *agent, problems []string) {
	t.Helper()
	wantOnPage(t, a, problems)
	if code, body := a.get("/healthz"); code != 503 || !strings.Contains(body, "config_broken") {
		t.Errorf("healthz: %d %s", code, body)
	}
}

// wantOnPage waits for the page and looks for texts as a reader sees them.
func wantOnPage(t *testing.T, a *agent, texts []string) {
	t.Helper()
	var code int
	var page string
	a.until("the page answers", func() bool {
		code, page = a.get("/")
		return code != 0
	})
	if code != 200 {
		t.Errorf("page: %d", code)
	}
	page = plain(page)
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q:\n%s", text, page)
		}
	}
}

// startIn runs the program with a folder as its root folder.
func (b *bench) startIn(root, config string) *agent {
	b.t.Helper()
	own := filepath.Join(root, "gateagent")
	if err := os.Link(theProgram(b.t), own); err != nil {
		b.t.Fatal(err)
	}
	attr := &syscall.SysProcAttr{Chroot: root}
	if uid := os.Getuid(); uid != 0 {
		attr.Cloneflags = syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	probe := exec.Command("/gateagent", "version")
	probe.SysProcAttr, probe.Dir = attr, "/"
	if out, err := probe.CombinedOutput(); err != nil {
		b.t.Skipf("this user may not give a program a root folder of its own: %v %s", err, out)
	}
	return b.startWith(func(c *exec.Cmd) {
		c.Path, c.Args, c.Dir, c.SysProcAttr = "/gateagent", []string{"gateagent", "run", "--config", config}, "/", attr
	})
}

// with adds a section of one line to the end of a configuration, where the
// lines of what stands there do not move. A file that has the section, is no
// text, or is empty, is left as it is.
func with(text []byte, section, line string) []byte {
	head := "[" + section + "]\n"
	if s := string(text); !strings.Contains(s, "[site]") || strings.Contains(s, head) {
		return text
	}
	return fmt.Appendf(text, "\n%s%s\n", head, line)
}

// countingBroker counts who comes, and hangs up.
type countingBroker struct {
	url string
	n   atomic.Int64
}

func countConnections(t *testing.T) *countingBroker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &countingBroker{url: "mqtt://" + l.Addr().String()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.n.Add(1)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	return b
}

// free says whether nobody listens at an address.
func free(t *testing.T, address string) bool {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Logf("the page is not looked at: %v", err)
		return false
	}
	_ = l.Close()
	return true
}

// TestBrokenConfigKeepsTheGateRunning: as it happens in the field. A box that
// ran is given a file with a mistake and started again: it goes on with what it
// had, reads codes, and says loudly why.
func TestBrokenConfigKeepsTheGateRunning(t *testing.T) {
	t.Parallel()
	pty := drivertest.NewPTY(t)
	b := newBench(t, settings{lanes: serialLane("main", pty.Path)})
	a := b.start()
	pty.Send(t, someone(1).card()+"\r")
	a.waitEntries(1)
	a.stop()

	text, err := os.ReadFile(b.config)
	if err != nil {
		t.Fatal(err)
	}
	broken := strings.Replace(string(text), "driver = \"serialscan\"", "driver = \"serialscam\"", 1)
	if err := os.WriteFile(b.config, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	a = b.start()
	a.waitFault("config", "config_last_good")
	pty.Send(t, someone(2).card()+"\r")
	a.waitEntries(2)
	wantOnPage(t, a, []string{`there is no driver "serialscam"`, "config_last_good"})
	if out, _, exit := b.do("check", "--config", b.config); exit != 1 || !strings.Contains(out, `hint: did you mean "serialscan"?`) {
		t.Errorf("check: exit %d\n%s", exit, out)
	}
	wholeChain(t, a.events())
	a.stop()
}
