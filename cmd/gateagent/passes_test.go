package main_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"gateagent/agent/pass"
	"gateagent/driver/drivertest"
)

// TestPassesFolderLost: the folder of spent passes is lost whole. A pass that
// was used is not good again, and the gate, its page and its journal say what
// is not known any more. A pass that becomes good later is taken as ever.
func TestPassesFolderLost(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(10)
	o.publishPolicy(1, nil)
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(quickLane("main", pty.Path)))
	b.survive(pty)
	a := b.start()
	o.inForce(a)
	seen := 0
	present := func(payload, want string) {
		t.Helper()
		pty.Send(t, payload+"\r")
		seen++
		if got := outcome(t, a.waitEntries(seen)[seen-1]); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		time.Sleep(600 * time.Millisecond)
	}
	single := func(c *pass.Claims) { c.Single, c.Gates = true, []string{"g1"} }
	once := o.pass(1, single)
	if f := fault(a.status(), "passes"); f != "" {
		t.Errorf("a new box says %s", f)
	}
	present(once, "pass ALLOW pass")
	present(once, "pass DENY pass_spent")
	a.stop()
	if err := os.RemoveAll(b.storage("passes")); err != nil {
		t.Fatal(err)
	}

	a = b.start()
	o.inForce(a)
	a.waitFault("passes", "passes_forgotten")
	present(once, "pass MANUAL_CHECK store_fault pass")
	present(o.pass(2, nil), "pass ALLOW pass")
	if code, page := a.get("/"); code != 200 || !strings.Contains(page, "passes_forgotten") {
		t.Errorf("page: %d", code)
	}
	a.until("the journal says so", func() bool {
		for _, e := range a.events() {
			if body, err := json.Marshal(e); err == nil && strings.Contains(string(body), `"passes_forgotten"`) {
				return true
			}
		}
		return false
	})
	a.kill()

	// And with the journal as well.
	for _, gone := range []string{"passes", "journal"} {
		if err := os.RemoveAll(b.storage(gone)); err != nil {
			t.Fatal(err)
		}
	}
	a, seen = b.start(), 0
	o.inForce(a)
	a.waitFault("passes", "passes_forgotten")
	present(once, "pass MANUAL_CHECK store_fault pass")
	a.stop()
}
