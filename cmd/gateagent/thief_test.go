package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cache"
	"gateagent/driver/drivertest"
	"gateagent/sync/identity"
	"gateagent/sync/sealed"
	"gateagent/sync/wire"
)

// Whoever takes a box takes its whole disk. With keys in memory nothing of
// anybody can be recovered from it; with keys in files it can, and the page
// says so.

// crowd is how many people the thief asks after.
const crowd = 1000

// disk is everything that the box leaves on storage without power: its folder
// with data, journal, configuration, documents and logs, and the files that
// the configuration names.
type disk map[string][]byte

func (b *bench) takeDisk() disk {
	b.t.Helper()
	d := disk{}
	add := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			b.t.Fatal(err)
		}
		d[path] = text
	}
	err := filepath.WalkDir(b.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			add(path)
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\w+_file = "(.+)"$`).FindAllSubmatch(d[b.config], -1) {
		add(string(m[1]))
	}
	if len(d) < 6 {
		b.t.Fatalf("only %d files on the disk", len(d))
	}
	return d
}

// loot is what a thief gets out of a disk.
type loot struct {
	keys    map[gate.Key]string // that open something, and where they were found
	tried   int                 // candidates for a key
	people  []gate.Number       // found in the data
	passers []gate.Number       // whose entries are known
}

// burgle tries every key that the disk could hold on everything that is on it,
// and then all numbers under those that fit. The thief's own number helps: it is
// known to be in the data, and an entry was made of it.
func burgle(t *testing.T, b *bench, d disk, own gate.Number, all []gate.Number) loot {
	t.Helper()
	l := loot{keys: map[gate.Key]string{}}
	var subjects []gate.Pseudonym
	fits := lock(t, b, d, &subjects)
	for path, text := range d {
		for key := range candidates(text) {
			l.tried++
			if _, known := l.keys[key]; !known && fits(key, own) {
				l.keys[key] = path
			}
		}
	}
	for key := range l.keys {
		p := gate.NewPseudonymer(key)
		for _, n := range all {
			if fits(key, n) && !slices.Contains(l.people, n) {
				l.people = append(l.people, n)
			}
			if slices.Contains(subjects, p.Of(n)) && !slices.Contains(l.passers, n) {
				l.passers = append(l.passers, n)
			}
		}
	}
	return l
}

// lock gives the test whether a key fits a number: its pseudonym is among the
// subjects of the journal, or its remainder and place in the set's file.
func lock(t *testing.T, b *bench, d disk, subjects *[]gate.Pseudonym) func(gate.Key, gate.Number) bool {
	t.Helper()
	// Five bytes of a record stand anywhere in the file.
	remainders := map[[5]byte]bool{}
	for path, text := range d {
		if strings.HasSuffix(path, ".db") && strings.Contains(path, "/sets/") {
			for i := range len(text) - 5 {
				remainders[[5]byte(text[i:i+5])] = true
			}
		}
	}
	if len(remainders) < 5*crowd {
		t.Fatalf("the thief finds no data: %d", len(remainders))
	}
	// The journal is read as the box would, on a copy.
	at := t.TempDir()
	for path, text := range d {
		if rel, err := filepath.Rel(b.storage("journal"), path); err == nil && filepath.IsLocal(rel) {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(at, rel)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(at, rel), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	j, err := cache.OpenJournal(cache.JournalOptions{Dir: at, Origin: record.Origin{Site: site, Gate: "g1"}, MaxBytes: 64 << 20}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	links, err := j.Read(1, 32<<20)
	if err = joinErr(err, j.Close()); err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if e, err := link.Record.Entry(); err == nil && e.HasSubject {
			*subjects = append(*subjects, e.Subject)
		}
	}
	if len(*subjects) == 0 {
		t.Fatal("the thief finds no entries of anybody")
	}
	blocks := (uint64(crowd) + 61) / 62
	return func(key gate.Key, n gate.Number) bool {
		p := gate.NewPseudonymer(key).Of(n)
		// STORE §7.1: the low 64 bits of pseudonym times blocks, above its lowest 24.
		rem := uint64(p) * blocks >> 24
		five := [5]byte{byte(rem >> 32), byte(rem >> 24), byte(rem >> 16), byte(rem >> 8), byte(rem)}
		return remainders[five] || slices.Contains(*subjects, p)
	}
}

func joinErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// candidates are all 32 bytes in a row, as they stand, and as hexadecimal or
// base64 text would give them.
func candidates(text []byte) map[gate.Key]bool {
	out := map[gate.Key]bool{}
	add := func(b []byte) {
		if len(b) == 32 && len(bytes.Trim(b, "\x00\xff")) > 8 {
			out[gate.Key(b)] = true
		}
	}
	for i := 0; i+32 <= len(text); i++ {
		add(text[i : i+32])
	}
	for _, run := range regexp.MustCompile(`[0-9A-Fa-f]{64,}`).FindAll(text, -1) {
		for i := 0; i+64 <= len(run); i++ {
			b := make([]byte, 32)
			if _, err := hex.Decode(b, run[i:i+64]); err == nil {
				add(b)
			}
		}
	}
	for _, run := range regexp.MustCompile(`[0-9A-Za-z+/_-]{43,}`).FindAll(text, -1) {
		run = []byte(strings.NewReplacer("+", "-", "/", "_").Replace(string(run)))
		for i := 0; i+43 <= len(run); i++ {
			b := make([]byte, 33)
			if n, err := base64.RawURLEncoding.Decode(b, run[i:i+43]); err == nil {
				add(b[:n])
			}
		}
	}
	return out
}

// noKey says where a key stands in any form.
func noKey(t *testing.T, where string, text []byte, secrets ...sealed.Secret) {
	t.Helper()
	for _, s := range secrets {
		for name, form := range forms(string(s.Key[:])) {
			if i := bytes.Index(text, form); i >= 0 {
				t.Errorf("%s holds the key of %s as %s at %d", where, s.Set, name, i)
			}
		}
	}
}

func everybody() (all []gate.Number) {
	for i := range crowd {
		all = append(all, someone(i+1).number)
	}
	return all
}

// scan shows a card and gives the entry that it made.
func (a *agent) scan(pty *drivertest.PTY, n int) gate.Entry {
	a.t.Helper()
	before := len(a.entries())
	pty.Send(a.t, someone(n).card()+"\r")
	events := a.waitEntries(before + 1)
	e, err := events[before].Link().Record.Entry()
	if err != nil {
		a.t.Fatal(err)
	}
	return e
}

// TestThiefOfMemoryKeys: 1,000 people, keys in memory. The box is powered off
// and its whole disk taken: nobody is found. Started again without central it
// knows nobody and says so; central brings it back without a restart.
func TestThiefOfMemoryKeys(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hold = wire.KeyHoldMemory
	o.hand = func(record.Origin) ([]sealed.Secret, error) { return []sealed.Secret{o.vn, o.entry}, nil }
	o.publishPeople(crowd)
	_, closeOffice := o.open()
	sent := o.listen()
	pty := drivertest.NewPTY(t)
	s := o.memorySettings(serialLane("main", pty.Path))
	s.logLevel = "debug"
	b := newBench(t, s)
	b.survive(pty)
	a := b.start()
	o.equipped(a)
	a.until("the keys are here", func() bool {
		s := a.status()
		return s.Sets[0].HasKey && s.Sets[0].KeyHold == "memory" && fault(s, "keys") == "" && fault(s, "data:vn") == ""
	})
	for n := 1; n <= 5; n++ {
		if e := a.scan(pty, n); e.Verdict != gate.Allow && e.Verdict != gate.AllowNotice || !e.HasSubject || e.Subject != o.subject(n) {
			t.Errorf("person %d: %v %v, subject %v", n, e.Verdict, e.Reasons, e.HasSubject)
		}
	}
	a.scan(pty, crowd+1) // who is not on the list
	o.delivered(a)
	sentence := theftSentence(a)
	if !strings.Contains(sentence, "can find nobody") || a.status().Theft.EntryKey || len(a.status().Theft.Sets) > 0 {
		t.Errorf("the page says %q", sentence)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", a.cmd.Process.Pid))
	if err != nil || !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("core dumps are not switched off: %v\n%s", err, limits)
	}
	if filter, err := os.ReadFile(fmt.Sprintf("/proc/%d/coredump_filter", a.cmd.Process.Pid)); err != nil || strings.Trim(string(filter), "0\n") != "" {
		t.Errorf("memory may be dumped: %q, %v", filter, err)
	}
	// Nothing that the box shows or says holds a key or a person.
	people := tainted{someone(1), someone(3), someone(crowd + 1)}
	people.notIn(t, a, sent())
	for _, path := range []string{"/", "/metrics", "/healthz"} {
		_, body := a.get(path)
		noKey(t, "page "+path, []byte(body), o.vn, o.entry)
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"entries", "--json"}} {
		out, said, _ := a.do(append(args, "--config", a.config)...)
		noKey(t, "gateagent "+strings.Join(args, " "), []byte(out+said), o.vn, o.entry)
	}

	// Central goes away, the power goes, the thief comes.
	closeOffice()
	a.kill()
	d := b.takeDisk()
	for path, text := range d {
		noKey(t, path, text, o.vn, o.entry)
		for _, n := range regexp.MustCompile(`\d{12}`).FindAll(text, -1) {
			if i := slices.Index(everybody(), gate.Number(n)); i >= 0 {
				t.Errorf("%s holds the number of person %d", path, i+1)
			}
		}
	}
	for i, m := range sent() {
		noKey(t, fmt.Sprintf("message %d on %s", i, m.topic), append([]byte(m.topic), m.body...), o.vn, o.entry)
	}
	notKept(t, d, sent())
	l := burgle(t, b, d, someone(1).number, everybody())
	if len(l.keys)+len(l.people)+len(l.passers) > 0 {
		t.Errorf("the thief finds %d keys (%v), %d people, %d who passed", len(l.keys), l.keys, len(l.people), len(l.passers))
	}
	t.Logf("%d files, %d candidates for a key: none fits", len(d), l.tried)

	// The box itself, started again without central, knows no more.
	a = b.start()
	a.waitFault("data:vn", "data_key_awaited")
	a.waitFault("keys", "entry_key_awaited")
	if e := a.scan(pty, 1); e.Verdict != gate.ManualCheck || len(e.Reasons) == 0 || e.Reasons[0] != gate.ReasonNoData || e.HasSubject {
		t.Errorf("without its key: %v %v, subject %v", e.Verdict, e.Reasons, e.HasSubject)
	}
	_, page := a.get("/")
	out, _, exit := a.do("status", "--config", a.config)
	for _, said := range []string{"everybody is checked by hand", "mọi người đều phải kiểm tra thủ công", "data_key_awaited"} {
		if !strings.Contains(plain(page), said) || !strings.Contains(out, said) {
			t.Errorf("page or status do not say %q (exit %d)\n%s", said, exit, out)
		}
	}
	if !strings.Contains(page, `<li class="bad">`) {
		t.Error("the page is not red about it")
	}
	if n := events(t, a, gate.EventNoSubject); n != 2 { // of both starts
		t.Errorf("%d events say that there is no subject", n)
	}

	// Central comes back: it is right again without a restart.
	o.open()
	a.until("the keys are here again", func() bool { s := a.status(); return s.Sets[0].HasKey && fault(s, "keys") == "" })
	if e := a.scan(pty, 2); !e.Verdict.Opens() || !e.HasSubject || e.Subject != o.subject(2) {
		t.Errorf("with its key again: %v %v, subject %v", e.Verdict, e.Reasons, e.HasSubject)
	}
	if n := events(t, a, gate.EventSubject); n != 2 {
		t.Errorf("%d events say that there is a subject", n)
	}
	o.delivered(a)
	a.stop()
}

// TestThiefOfFileKeys: the same with key files. The thief finds them, finds the
// people in the data and who passed; and the page has said so.
func TestThiefOfFileKeys(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(crowd)
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(serialLane("main", pty.Path)))
	b.survive(pty)
	a := b.start()
	o.equipped(a)
	for n := 1; n <= 3; n++ {
		if e := a.scan(pty, n); !e.Verdict.Opens() || !e.HasSubject {
			t.Errorf("person %d: %v %v", n, e.Verdict, e.Reasons)
		}
	}
	sentence := theftSentence(a)
	for _, said := range []string{"for every personal number they try", "in the data vn", "which entries are that person's"} {
		if !strings.Contains(sentence, said) {
			t.Errorf("the page says %q and not %q", sentence, said)
		}
	}
	a.kill()
	l := burgle(t, b, b.takeDisk(), someone(1).number, everybody())
	if len(l.keys) != 2 || len(l.people) != crowd || len(l.passers) != 3 {
		t.Errorf("the thief finds %d keys, %d people, %d who passed", len(l.keys), len(l.people), len(l.passers))
	}
}

// TestKeyFileWhereNoneMayBe: a box is given key files and a set that demands
// memory. It does not use them, and says that they must go.
func TestKeyFileWhereNoneMayBe(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hold = wire.KeyHoldMemory
	o.publishPeople(10)
	pty := drivertest.NewPTY(t)
	s := o.settings(serialLane("main", pty.Path))
	b := newBench(t, s)
	b.survive(pty)
	a := b.start()
	o.equipped(a)
	c := a.waitFault("hold", "key_on_disk")
	if !strings.Contains(c.Fault.Detail, s.setKey) || !strings.Contains(c.Fault.Detail, s.entryKey) {
		t.Errorf("%+v", c.Fault)
	}
	a.waitFault("data:vn", "data_key_awaited")
	a.waitFault("keys", "entry_key_awaited")
	if e := a.scan(pty, 1); e.Verdict != gate.ManualCheck || e.HasSubject {
		t.Errorf("%v %v, subject %v", e.Verdict, e.Reasons, e.HasSubject)
	}
	if got := a.status().Theft; !slices.Equal(got.Sets, []string{"vn"}) || !got.EntryKey {
		t.Errorf("%+v", got)
	}
	// It does not use them after a restart either, and the fault goes with them.
	a.stop()
	a = b.start()
	a.waitFault("hold", "key_on_disk")
	a.waitFault("data:vn", "data_key_awaited")
	for _, path := range []string{s.setKey, s.entryKey} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	a.waitFault("hold", "")
	if got := a.status().Theft; len(got.Sets) > 0 || got.EntryKey {
		t.Errorf("%+v", got)
	}
	a.stop()
}

// TestRekeyed: a new base under a new key. While it changes the box holds both;
// there is no moment at which somebody who may pass is not known.
func TestRekeyed(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.hold = wire.KeyHoldMemory
	first, second := o.vn, newSecret("vn", "vn-2")
	hand := []sealed.Secret{first, o.entry}
	o.hand = func(record.Origin) ([]sealed.Secret, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		return slices.Clone(hand), nil
	}
	o.publishPeople(100)
	o.open()
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.memorySettings(serialLane("main", pty.Path)))
	a := b.start()
	o.equipped(a)
	a.until("the keys are here", func() bool { s := a.status(); return s.Sets[0].HasKey && fault(s, "keys") == "" })
	if e := a.scan(pty, 1); !e.Verdict.Opens() {
		t.Errorf("before: %v %v", e.Verdict, e.Reasons)
	}
	// The new version comes before its key is handed out: the one in force stays.
	o.vn, o.version = second, 2
	o.publishPeople(100)
	a.waitFault("data:vn", "data_awaited")
	if e := a.scan(pty, 2); !e.Verdict.Opens() {
		t.Errorf("with the version waiting for its key: %v %v", e.Verdict, e.Reasons)
	}
	o.mu.Lock()
	hand = []sealed.Secret{first, second, o.entry}
	o.mu.Unlock()
	a.until("the second version is in force", func() bool {
		s := a.status().Sets[0]
		if !s.HasKey {
			t.Fatal("there was a moment without a key")
		}
		return s.Version == 2 && s.KeyID == second.Kid
	})
	if e := a.scan(pty, 3); !e.Verdict.Opens() {
		t.Errorf("after: %v %v", e.Verdict, e.Reasons)
	}
	a.waitFault("data:vn", "")
	a.until("the first key is dropped", func() bool { return strings.Contains(a.logText(), "the key before is dropped") })
	a.stop()
}

// theftSentence gives what a thief could learn, by page and status alike.
func theftSentence(a *agent) string {
	a.t.Helper()
	s := a.status().Theft
	_, page := a.get("/")
	out, _, _ := a.do("status", "--config", a.config)
	for _, said := range []string{s.VI, s.EN} {
		if said == "" || !strings.Contains(plain(page), said) || !strings.Contains(out, said) {
			a.t.Errorf("page and status do not both say %q", said)
		}
	}
	return s.EN
}

// events counts the events of a kind.
func events(t *testing.T, a *agent, kind gate.EventKind) (n int) {
	t.Helper()
	for _, e := range a.events() {
		if e.Type() == record.TypeEvent {
			if v, err := e.Link().Record.Event(); err != nil {
				t.Fatal(err)
			} else if v.Kind == kind {
				n++
			}
		}
	}
	return n
}

// notKept holds the box to not writing the answers by which keys came: its
// identity is on its disk, and opens them.
func notKept(t *testing.T, d disk, sent []message) {
	t.Helper()
	answers, opened := 0, 0
	for _, m := range sent {
		if !strings.HasSuffix(m.topic, "/hello/reply") {
			continue
		}
		answers++
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(string(m.body), ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		r, err := wire.ParseHelloReply(payload)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range r.Keys {
			// That the search is a fair one: whoever has both opens it.
			for path := range d {
				if filepath.Base(path) == "keys.json" {
					id, err := identity.Load(filepath.Dir(path))
					if err != nil {
						t.Fatal(err)
					}
					if _, err := sealed.Open(id, sealed.Label{Site: site, Gate: "g1", Set: k.Set, Kid: k.Kid}, k.Sealed); err == nil {
						opened++
					}
				}
			}
			for path, text := range d {
				for name, form := range forms(string(k.Sealed)) {
					if bytes.Contains(text, form) {
						t.Errorf("%s holds the sealed key of %s as %s", path, k.Set, name)
					}
				}
			}
		}
	}
	if answers == 0 || opened < 2 {
		t.Errorf("%d answers, %d keys in them", answers, opened)
	}
}
