package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/agent/localapi"
	"gateagent/agent/record"
	"gateagent/driver/drivertest"
	"gateagent/sync/brokertest"
)

// The soak runs both programs as they ship over a real Mosquitto: cards come in
// through a serial scanner, the broker is killed, central is killed and later
// put back to an older copy. In the end central must have each scan once.

// soakScans is the short form; GATEAGENT_SOAK sets another number.
const soakScans = 60

// soakPace is the time between two cards: 1,000 of them spread over a minute,
// so that the faults lie some seconds apart.
const soakPace = 60 * time.Millisecond

func TestSoak(t *testing.T) {
	scans := soakScans
	if s := os.Getenv("GATEAGENT_SOAK"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < soakScans {
			t.Fatalf("GATEAGENT_SOAK=%s: want a number of scans, at least %d", s, soakScans)
		}
		scans = n
	} else if testing.Short() {
		t.Skip("-short: a minute with both programs and a broker")
	}
	m := brokertest.StartMosquitto(t, "autosave_interval 20")
	s := newSoak(t, m, scans)
	start := time.Now()
	s.feed(s.faults())
	took := s.settle().Sub(start)
	s.endCentral(syscall.SIGTERM)
	s.judge(took)
}

// soak is one run: the box, central and the broker between them.
type soak struct {
	t      *testing.T
	dir    string
	broker *brokertest.Mosquitto
	pty    *drivertest.PTY
	client *localapi.Client
	socket string
	decide chan localapi.Decision

	numbers  []gate.Number
	subjects *gate.Pseudonymer

	gateagent, gatectl string // the programs
	box                *process
	central            *process
	past               []*process // runs of central that have ended
	kills              []string   // how much the broker had saved at each kill
	copied, lost       int        // records in the copy of central, and later than it
}

const soakPass = "a fictional passphrase"

// soakName is on every card and must be in no file and no log.
const soakName = "Ngô Thị Giả Tưởng"

func newSoak(t *testing.T, m *brokertest.Mosquitto, scans int) *soak {
	t.Helper()
	s := &soak{t: t, dir: t.TempDir(), broker: m, pty: drivertest.NewPTY(t), decide: make(chan localapi.Decision, 16)}
	for i := range scans {
		// A woman, born in 1990, registered in Hà Nội.
		s.numbers = append(s.numbers, gate.Number(fmt.Sprintf("001190%06d", i)))
	}
	s.build()
	s.publish()
	s.startCentral("--learn")
	s.startBox()
	return s
}

// fault is something that happens before a scan.
type fault struct {
	percent int // of the scans
	begin   func()
	end     func() // some scans later; nil where nothing lasts
}

// faults gives what goes wrong: all of it in a long run, the least in a short
// one.
func (s *soak) faults() []fault {
	broker := func(percent int) fault { return fault{percent, s.killBroker, s.broker.Restart} }
	kill := func() { s.endCentral(syscall.SIGKILL) }
	back := func() { s.startCentral() }
	if len(s.numbers) < 10*soakScans {
		return []fault{broker(20), {50, kill, back}}
	}
	return []fault{
		broker(8), // before the first autosave: all that is retained is lost
		{25, kill, back},
		{40, s.backUp, nil},
		// Central is held up; what waits for it is stored when its acknowledgements
		// no longer reach anybody, and comes again.
		{48, func() { s.signal(syscall.SIGSTOP) }, nil},
		{50, func() { s.killBroker(); s.signal(syscall.SIGCONT) }, s.broker.Restart},
		{68, func() { s.endCentral(syscall.SIGTERM) }, func() { s.restore(); s.startCentral() }},
		broker(86),
	}
}

// feed shows the cards one after the other, each when the one before has been
// decided, with the faults in between.
func (s *soak) feed(faults []fault) {
	s.t.Helper()
	lasts := max(5, min(20, len(s.numbers)/10)) // scans that a fault lasts
	do := map[int]func(){}
	for _, f := range faults {
		at := len(s.numbers) * f.percent / 100
		do[at] = f.begin
		if f.end != nil {
			do[at+lasts] = f.end
		}
	}
	next := time.Now()
	for i, n := range s.numbers {
		if f := do[i]; f != nil {
			f()
		}
		s.pty.Send(s.t, string(n)+"||"+soakName+"|15071990|Nữ|Số 1 Phố Ví Dụ, Hà Nội|20082021\r")
		want := s.subjects.Of(n).String()
		select {
		case d, ok := <-s.decide:
			if !ok || d.Subject != want {
				s.t.Fatalf("scan %d: the box decided %q (%v), want %s", i, d.Subject, ok, want)
			}
		case <-time.After(10 * time.Second):
			s.t.Fatalf("scan %d was not decided", i)
		}
		next = next.Add(soakPace)
		time.Sleep(time.Until(next))
	}
}

func (s *soak) signal(sig syscall.Signal) {
	if err := s.central.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

func (s *soak) killBroker() {
	known := "nothing saved yet"
	if saved, ok := s.broker.Saved(); ok {
		known = fmt.Sprintf("saved %.0f s before", time.Since(saved).Seconds())
	}
	s.kills = append(s.kills, known)
	s.broker.Kill()
}

// sinkFiles are what an operator would back up of central.
var sinkFiles = []string{"entries.jsonl", "entries.jsonl.state"}

// backUp copies what central keeps while it is at work.
func (s *soak) backUp() {
	for _, name := range sinkFiles {
		b, err := os.ReadFile(s.path(name))
		if os.IsNotExist(err) {
			continue // the state is written from time to time
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.write(name+".old", string(b))
	}
	s.copied = bytes.Count(s.read("entries.jsonl.old"), []byte("\n"))
}

// restore puts the copy back.
func (s *soak) restore() {
	s.lost = bytes.Count(s.read("entries.jsonl"), []byte("\n")) - s.copied
	if s.lost < len(s.numbers)/10 {
		s.t.Errorf("the copy lacks %d records only", s.lost)
	}
	for _, name := range sinkFiles {
		if err := os.Rename(s.path(name+".old"), s.path(name)); err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
	}
}

// settle waits until central has every record of the box, and the box knows,
// and gives when that was. What follows the last entry is recorded after it, so
// it has to stay so for a while.
func (s *soak) settle() (settled time.Time) {
	s.t.Helper()
	const quiet = 2 * time.Second
	var seq uint64
	s.until("central has all, and the queue is empty", 2*time.Minute, func(st localapi.Status) bool {
		b, err := os.ReadFile(s.path("entries.jsonl"))
		kept := uint64(bytes.Count(b, []byte("\n")))
		if err != nil || st.Journal.Queue != 0 || kept != st.Journal.Seq {
			seq = 0
			return false
		}
		if seq != kept {
			seq, settled = kept, time.Now()
		}
		return time.Since(settled) >= quiet
	})
	return settled
}

// judge compares what central kept with what the box recorded and with what
// was shown to it.
func (s *soak) judge(took time.Duration) {
	s.t.Helper()
	kept := s.events(s.read("entries.jsonl"))
	own := s.events([]byte(s.run(s.gateagent, "entries", "--json", "--socket", s.socket)))
	if len(kept) > len(own) {
		s.t.Errorf("central has %d records, the box %d", len(kept), len(own))
	}
	for _, late := range own[min(len(kept), len(own)):] {
		if late.Type() == record.TypeEntry { // an event may come at any time
			s.t.Errorf("central lacks the entry %d", late.Position().Seq)
		}
	}
	for i := range min(len(kept), len(own)) {
		if kept[i].Position() != own[i].Position() {
			s.t.Fatalf("record %d at central is %v, on the box %v", i+1, kept[i].Position(), own[i].Position())
		}
	}
	entries := s.entriesBySubject(kept)
	if out := s.run(s.gatectl, "verify", "--gates", "gates.json", "entries.jsonl"); !strings.Contains(out, "chains whole, signatures hold") {
		s.t.Errorf("gatectl verify: %s", out)
	}
	if out := s.run(s.gateagent, "entries", "--verify", "--socket", s.socket); !strings.Contains(out, "the chain is whole") {
		s.t.Errorf("gateagent entries --verify: %s", out)
	}
	for _, c := range s.until("", 0, func(localapi.Status) bool { return true }).Components {
		if c.Fault != nil && c.Fault.Code != string(health.JournalSlow) { // a busy machine's disk
			s.t.Errorf("in the end %s has the fault %s: %s", c.Name, c.Fault.Code, c.Fault.Detail)
		}
	}
	s.box.end(syscall.SIGTERM)
	if code := s.box.cmd.ProcessState.ExitCode(); code != 0 {
		s.t.Errorf("the agent ended with %d on SIGTERM", code)
	}
	s.searchForNames()
	s.table(entries, took)
}

func (s *soak) events(lines []byte) []record.Event {
	s.t.Helper()
	var out []record.Event
	for line := range bytes.Lines(lines) {
		ev, err := record.ParseEvent(bytes.TrimSpace(line))
		if err != nil {
			s.t.Fatalf("record %d: %v", len(out)+1, err)
		}
		out = append(out, ev)
	}
	return out
}

// entriesBySubject wants one entry of each person that was shown, in the order
// they were shown, and gives their number.
func (s *soak) entriesBySubject(events []record.Event) (entries int) {
	s.t.Helper()
	verdicts := map[gate.Verdict]int{}
	for _, ev := range events {
		if ev.Type() != record.TypeEntry {
			continue
		}
		e, err := ev.Link().Record.Entry()
		if err != nil {
			s.t.Fatal(err)
		}
		if entries < len(s.numbers) && e.Subject != s.subjects.Of(s.numbers[entries]) {
			s.t.Fatalf("entry %d at central is of another person than scan %d", entries+1, entries+1)
		}
		entries++
		verdicts[e.Verdict]++
	}
	if entries != len(s.numbers) {
		s.t.Errorf("central has %d entries of %d scans", entries, len(s.numbers))
	}
	if got, want := verdicts[gate.Allow], (len(s.numbers)+1)/2; got != want || entries != got+verdicts[gate.ManualCheck] {
		s.t.Errorf("%d people are on the list, and the verdicts are %v", want, verdicts)
	}
	return entries
}

// searchForNames looks through all files and logs of box, central and broker
// for what is printed on the cards.
func (s *soak) searchForNames() {
	s.t.Helper()
	look := func(where string, text []byte) {
		for _, secret := range []string{soakName, string(s.numbers[0]), string(s.numbers[len(s.numbers)-1])} {
			if bytes.Contains(text, []byte(secret)) {
				s.t.Errorf("%s holds what is printed on a card", where)
			}
		}
	}
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || d.Name() == "people.csv" {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, b)
		return err
	})
	if err != nil {
		s.t.Error(err)
	}
	look("the box's log", []byte(s.box.said.String()))
	for _, c := range s.past {
		look("central's log", []byte(c.said.String()))
	}
}

var (
	centralEnded = regexp.MustCompile(`msg=ended stored=(\d+) duplicates=(\d+)`)
	outboxEnded  = regexp.MustCompile(`msg="entries sent" .*resent=(\d+) .*rewinds=(\d+)`)
)

// table prints the figures.
func (s *soak) table(entries int, took time.Duration) {
	s.t.Helper()
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			s.t.Error(err)
		}
		return n
	}
	duplicates, told := 0, 0
	for _, c := range s.past {
		if m := centralEnded.FindStringSubmatch(c.said.String()); m != nil {
			duplicates += number(m[2])
			told++
		}
	}
	box := outboxEnded.FindStringSubmatch(s.box.said.String())
	if box == nil || told == 0 {
		s.t.Fatal("box or central did not say at its end what it had done")
	}
	rewinds := number(box[2])
	if want := min(1, s.copied); rewinds < want {
		s.t.Errorf("central was put back and the box sent nothing again: %d rewinds", rewinds)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	row := func(what string, value any) { fmt.Fprintf(w, "%s\t%v\n", what, value) }
	row("scans", len(s.numbers))
	row("entries at central, each once", entries)
	row("duplicates dropped by central", fmt.Sprintf("%d (told by %d of %d runs; a killed one tells nothing)", duplicates, told, len(s.past)))
	row("records resent by the box", number(box[1]))
	row("rewinds", rewinds)
	row("records lost with central's copy", s.lost)
	row("broker killed", strings.Join(s.kills, "; "))
	row("seconds, last entry acknowledged", fmt.Sprintf("%.1f", took.Seconds()))
	if err := w.Flush(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("\n%s", out.String())
}
