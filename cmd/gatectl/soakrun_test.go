package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/localapi"
	"gateagent/sync/signed"
)

// build makes both programs as `make build` does.
func (s *soak) build() {
	s.t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		s.t.Skipf("needs the go command to build the programs: %v", err)
	}
	cmd := exec.CommandContext(s.t.Context(), goTool, "build", "-trimpath", "-o", s.dir+"/", "gateagent/cmd/gateagent", "gateagent/cmd/gatectl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("build: %v\n%s", err, out)
	}
	s.gateagent, s.gatectl = filepath.Join(s.dir, "gateagent"), filepath.Join(s.dir, "gatectl")
}

func (s *soak) path(name string) string { return filepath.Join(s.dir, name) }

// run runs a command to its end and gives what it printed.
func (s *soak) run(program string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), program, args...)
	cmd.Dir = s.dir
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, errs.Bytes())
	}
	return string(out)
}

// publish does what an operator does first, with a list of every second
// person.
func (s *soak) publish() {
	s.t.Helper()
	s.write("pass", soakPass+"\n")
	var people strings.Builder
	people.WriteString("id,doses\n")
	for i, n := range s.numbers {
		if i%2 == 0 {
			fmt.Fprintf(&people, "%s,1/2@%s;2/2@%s\n", string(n), ago(90), ago(60))
		}
	}
	s.write("people.csv", people.String())
	keys := []string{"--keys", "keys", "--passphrase-file", "pass"}
	via := []string{"--broker", s.broker.URL()}
	s.run(s.gatectl, "keygen", "--dir", "keys", "--passphrase-file", "pass", "--site", "hn01", "--set", "vn")
	s.run(s.gatectl, slices.Concat([]string{"trust", "publish", "--site", "hn01"}, keys, via)...)
	s.run(s.gatectl, slices.Concat([]string{"snapshot", "build", "people.csv", "--set", "vn", "--out", "vn"}, keys)...)
	s.run(s.gatectl, slices.Concat([]string{"snapshot", "publish", "vn"}, via)...)
	s.run(s.gatectl, slices.Concat([]string{"policy", "publish", "--site", "hn01", "--level", "3"}, keys, via)...)
	_, key, err := signed.LoadSecret(s.path("keys/entry-hn01.jwk"), signed.EntrySet)
	if err != nil {
		s.t.Fatal(err)
	}
	s.subjects = gate.NewPseudonymer(key)
}

func (s *soak) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// process is a program that stays.
type process struct {
	cmd    *exec.Cmd
	said   lockedBuffer
	exited chan struct{}
}

func (s *soak) start(program string, args ...string) *process {
	s.t.Helper()
	p := &process{cmd: exec.Command(program, args...), exited: make(chan struct{})}
	p.cmd.Dir = s.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the state tells
	}()
	s.t.Cleanup(func() {
		p.end(syscall.SIGKILL)
		if s.t.Failed() {
			text := p.said.String()
			s.t.Logf("%s said:\n%s", filepath.Base(program), text[max(0, len(text)-4000):])
		}
	})
	return p
}

// end sends a signal and waits.
func (p *process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

func (s *soak) startCentral(more ...string) {
	s.t.Helper()
	s.central = s.start(s.gatectl, append([]string{
		"ingest", "--sink", "jsonl:entries.jsonl", "--gates", "gates.json",
		"--keys", "keys", "--passphrase-file", "pass", "--broker", s.broker.URL(),
	}, more...)...)
}

// endCentral ends central; in order, it must say that all was well.
func (s *soak) endCentral(sig syscall.Signal) {
	s.t.Helper()
	s.central.end(sig)
	if code := s.central.cmd.ProcessState.ExitCode(); sig == syscall.SIGTERM && code != 0 {
		s.t.Errorf("ingest ended with %d on SIGTERM:\n%s", code, s.central.said.String())
	}
	s.past = append(s.past, s.central)
}

// startBox starts the agent and waits until it has all that was published.
func (s *soak) startBox() {
	s.t.Helper()
	root := strings.TrimSpace(string(s.read("keys/root.pub")))
	s.socket = s.path("agent.sock")
	s.write("gateagent.toml", fmt.Sprintf(`[site]
id = "hn01"
gate = "gate-1"
[trust]
root_keys = [%q]
[keys]
entry_file = "keys/entry-hn01.jwk"
[[set]]
name = "vn"
key_file = "keys/set-vn.jwk"
[mqtt]
broker = %q
[storage]
dir = %q
[record]
wait = "2s"
[page]
listen = %q
[local]
socket = %q
[[lane]]
[lane.scanner]
driver = "serialscan"
device = %q
framing = "cr"
[lane.relay]
driver = "dryrelay"
pulse = "50ms"
`, root, s.broker.URL(), s.path("store"), freeAddress(s.t), s.socket, s.pty.Path))
	s.box = s.start(s.gateagent, "run", "--config", "gateagent.toml")
	s.client = localapi.NewClient(s.socket)
	s.until("the box has policy and data, and reaches central", time.Minute, func(st localapi.Status) bool {
		return st.CanDecide && st.Policy.Version > 0 && len(st.Sets) == 1 && st.Sets[0].Version > 0 && !st.Link.Central.IsZero()
	})
	ready := make(chan struct{})
	go func() {
		defer close(s.decide)
		_ = s.client.Decisions(s.t.Context(), func() { close(ready) }, func(d localapi.Decision) error {
			s.decide <- d
			return nil
		})
	}()
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		s.t.Fatal("the box does not tell its decisions")
	}
}

// freeAddress gives a port that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (s *soak) read(name string) []byte {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// until asks the box for its status until it is as wanted.
func (s *soak) until(what string, within time.Duration, done func(localapi.Status) bool) localapi.Status {
	s.t.Helper()
	deadline := time.Now().Add(within)
	for {
		st, err := s.client.Status(s.t.Context())
		if err == nil && done(st) {
			return st
		}
		if time.Now().After(deadline) {
			b, _ := json.Marshal(st)
			s.t.Fatalf("waited in vain until %s (%v):\n%s", what, err, b)
		}
		select {
		case <-s.box.exited:
			s.t.Fatalf("the agent has ended:\n%s", s.box.said.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
