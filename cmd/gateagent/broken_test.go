package main_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/localapi"
	"gateagent/driver/drivertest"
)

// TestJournalDamaged: a power cut left a journal that cannot be read. It is
// checked in a child process, set aside, and a new epoch begins that names what
// there was.
func TestJournalDamaged(t *testing.T) {
	t.Parallel()
	pty := drivertest.NewPTY(t)
	b := newBench(t, settings{lanes: serialLane("main", pty.Path)})
	b.survive(pty)
	a := b.start()
	pty.Send(t, someone(1).card()+"\r")
	a.waitEntries(1)
	old := a.status().Journal.Epoch
	a.kill()

	path := b.storage("journal", "journal.db")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 2 * os.Getpagesize(); i < len(data); i += 7 {
		data[i] ^= 0x5a
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}

	a = b.start()
	a.waitFault("journal", "journal_new_epoch")
	pty.Send(t, someone(2).card()+"\r")
	a.waitEntries(1)
	events := a.events()
	if at := wholeChain(t, events); at.Epoch.String() == old {
		t.Error("the damaged epoch goes on")
	}
	first, err := events[0].Link().Record.Event()
	if err != nil {
		t.Fatal(err)
	}
	if first.Details["cause"] != "journal_damaged" || first.Details["last_epoch"] != old {
		t.Errorf("the new epoch says %v; the old one was %s", first.Details, old)
	}
	if kept, err := filepath.Glob(b.storage("journal", "quarantine", "*")); err != nil || len(kept) != 1 {
		t.Errorf("set aside: %v, %v", kept, err)
	}
	a.stop()

	a = b.start() // what was closed in order needs no check
	if a.status(); strings.Contains(a.logText(), "was not closed") {
		t.Errorf("the journal was not closed in order:\n%s", a.logText())
	}
	wholeChain(t, a.events())
	a.stop()
}

// TestSecondAgent: a second agent on the same storage folder is refused and
// does the first no harm.
func TestSecondAgent(t *testing.T) {
	t.Parallel()
	pty := drivertest.NewPTY(t)
	b := newBench(t, settings{lanes: serialLane("main", pty.Path)})
	a := b.start()
	a.status()
	_, said, exit := b.do("run", "--config", b.config)
	if exit != 1 || !strings.Contains(said, "error: ") || !strings.Contains(said, "hint: stop the other one first") {
		t.Errorf("the second agent: exit %d\n%s", exit, said)
	}
	pty.Send(t, someone(1).card()+"\r")
	a.waitEntries(1)
	a.stop()
}

// TestNothingToStoreOn: there is no place for journal, data and identity. The
// agent runs, says so, and does with everybody what on_fault says.
func TestNothingToStoreOn(t *testing.T) {
	t.Parallel()
	for _, onFault := range []string{"closed", "open", "guard"} {
		t.Run(onFault, func(t *testing.T) {
			t.Parallel()
			pty := drivertest.NewPTY(t)
			lanes := strings.Replace(serialLane("main", pty.Path), "[lane.scanner]", fmt.Sprintf("on_fault = %q\n[lane.scanner]", onFault), 1)
			b := newBench(t, settings{lanes: lanes, setKey: writeKey(t, "vn-1", "vn", gate.Key{1})})
			if err := os.WriteFile(b.storage(), []byte("this is no folder"), 0o600); err != nil {
				t.Fatal(err)
			}
			a := b.start()
			a.status()
			decisions := a.decisions()
			pty.Send(t, someone(1).card()+"\r")
			d := <-decisions
			if d.Verdict != gate.ManualCheck.String() || d.Opened || d.Seq != 0 {
				t.Errorf("decided %+v", d)
			}
			const holds = "dry relay: would open the gate"
			if onFault == "open" {
				a.until("the gate is held open", func() bool { return strings.Contains(a.logText(), holds) })
			} else if strings.Contains(a.logText(), holds) {
				t.Error("the gate was opened")
			}
			a.waitFault("journal", "journal_failed")
			a.waitFault("identity", "identity_failed")
			a.waitFault("data:vn", "data_damaged")
			if a.status().CanDecide {
				t.Error("the gate can decide")
			}
			if code, page := b.get("/"); code != 200 || !strings.Contains(page, "journal_failed") {
				t.Errorf("page: %d", code)
			}
			if code, _ := b.get("/healthz"); code != 503 {
				t.Errorf("healthz: %d", code)
			}
			if _, said, exit := b.do("entries", "--config", b.config); exit != 1 || !strings.Contains(said, "error: ") {
				t.Errorf("entries: exit %d: %s", exit, said)
			}
			a.stop()
		})
	}
}

// TestSilentBroker: a broker that takes the connection and never answers, and a
// page whose port is taken, hold up neither the start nor the end nor a
// decision.
func TestSilentBroker(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	pty := drivertest.NewPTY(t)
	b := newBench(t, settings{lanes: serialLane("main", pty.Path), broker: "mqtt://" + silent.Addr().String()})
	taken, err := net.Listen("tcp", b.listen)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	pty.Send(t, someone(1).card()+"\r")
	a := b.start()
	if took := a.answered(1); took > slow(100*time.Millisecond) {
		t.Errorf("the first answer took %v", took)
	}
	a.waitFault("page", "page_failed")
	a.waitFault("broker", "broker_unreachable")
	began := time.Now()
	a.stop()
	if took := time.Since(began); took > slow(time.Second) {
		t.Errorf("the end took %v", took)
	}
}

// decisions gives decisions as they happen; those that nobody takes are lost.
func (a *agent) decisions() <-chan localapi.Decision {
	c := make(chan localapi.Decision, 64)
	a.onDecision(func(d localapi.Decision) {
		select {
		case c <- d:
		default:
		}
	})
	return c
}
