package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/agent/config"
	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
)

// shelf is a key store with sets in force as a test says.
type shelf struct {
	t    *testing.T
	sets []cache.SetStatus
	keys map[string]gate.Key // by set and id
}

func newShelf(t *testing.T, sets ...string) *shelf {
	s := &shelf{t: t, keys: map[string]gate.Key{}}
	for _, name := range sets {
		s.sets = append(s.sets, cache.SetStatus{Set: name})
	}
	return s
}

func (s *shelf) Status() []cache.SetStatus {
	out := slices.Clone(s.sets)
	for i := range out {
		out[i].Keys = slices.Clone(out[i].Keys)
		out[i].HasKey = out[i].Version > 0 && slices.Contains(out[i].Keys, out[i].KeyID)
	}
	return out
}

func (s *shelf) PutKey(set, id string, key gate.Key) error {
	st := s.set(set)
	if !slices.Contains(st.Keys, id) {
		st.Keys = append(st.Keys, id)
	}
	if len(st.Keys) > 2 {
		s.t.Errorf("more than two keys of %s: %q", set, st.Keys)
	}
	s.keys[set+" "+id] = key
	return nil
}

func (s *shelf) DropKey(set, id string) error {
	st := s.set(set)
	st.Keys = slices.DeleteFunc(st.Keys, func(k string) bool { return k == id })
	delete(s.keys, set+" "+id)
	return nil
}

func (s *shelf) set(name string) *cache.SetStatus {
	i := slices.IndexFunc(s.sets, func(c cache.SetStatus) bool { return c.Set == name })
	if i < 0 {
		s.t.Fatalf("no set %s", name)
	}
	return &s.sets[i]
}

// inForce brings a version into force.
func (s *shelf) inForce(set string, version uint64, kid, hold string) {
	st := s.set(set)
	st.Version, st.KeyID, st.KeyHold = version, kid, hold
}

// holder is a box's keys with the shelf they are on.
type holder struct {
	*keys
	*shelf
	said         []string // events
	asked, moved int
	dir          string
}

func newHolder(t *testing.T, fileOfVN, fileOfEntry bool) *holder {
	h := &holder{shelf: newShelf(t, "vn", "lists"), dir: t.TempDir()}
	cfg := &config.Config{Sets: []config.Set{{Name: "vn"}, {Name: "lists"}}}
	if fileOfVN {
		cfg.Sets[0].KeyFile = h.write("vn", "vn-1", 1)
	}
	if fileOfEntry {
		cfg.Keys.EntryFile = h.write(signed.EntrySet, "entry-1", 9)
	}
	h.keys = newKeys(cfg, slog.New(slog.DiscardHandler))
	h.store = h.shelf
	h.keys.event = func(kind gate.EventKind, details map[string]any) {
		h.said = append(h.said, fmt.Sprintf("%s %v%v", kind, details["kid"], details["source"]))
	}
	h.keys.came = func() { h.moved++ }
	h.wanted = func() { h.asked++ }
	return h
}

// write writes the key file of a set anew.
func (h *holder) write(set, kid string, first byte) string {
	h.t.Helper()
	text, err := signed.EncodeSecret(kid, set, gate.Key{first})
	if err != nil {
		h.t.Fatal(err)
	}
	path := filepath.Join(h.dir, set+".key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		h.t.Fatal(err)
	}
	// The clock of a file system is coarse.
	at := time.Now().Add(time.Duration(first) * time.Second)
	if err := os.Chtimes(path, at, at); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// holds says which keys of a set are held, as "id byte id byte".
func (h *holder) holds(set, want string) {
	h.t.Helper()
	var got []string
	for _, id := range h.shelf.set(set).Keys {
		got = append(got, fmt.Sprintf("%s %d", id, h.shelf.keys[set+" "+id][0]))
	}
	if s := strings.Join(got, " "); s != want {
		h.t.Errorf("held of %s: %q, want %q", set, s, want)
	}
}

func (h *holder) subject(want byte) {
	h.t.Helper()
	switch key, ok := h.entryKey(); {
	case ok != (want != 0):
		h.t.Errorf("there is an entry key: %v", ok)
	case key[0] != want:
		h.t.Errorf("the entry key is %d, want %d", key[0], want)
	}
}

func (h *holder) lacks(want string) {
	h.t.Helper()
	if got := h.lack(); got != want {
		h.t.Errorf("lacks %q, want %q", got, want)
	}
}

func secret(set, kid string, first byte) sealed.Secret {
	return sealed.Secret{Set: set, Kid: kid, Key: gate.Key{first}}
}

// TestKeysFromFiles: where the manifest allows it, the file is enough; a file
// that is replaced is read again, and a version whose key is not here does not
// take the place of one that can be read.
func TestKeysFromFiles(t *testing.T) {
	h := newHolder(t, true, true)
	h.settle()
	h.holds("vn", "vn-1 1")
	h.subject(9)
	h.lacks("lists")
	h.inForce("vn", 1, "vn-1", "file")
	h.settle()
	h.holds("vn", "vn-1 1")

	next := gate.Generation{Set: "vn", Version: 2, KeyID: "vn-2"}
	if err := h.ready(next); err == nil || !strings.Contains(err.Error(), "vn-2") || h.asked != 1 {
		t.Errorf("a version without its key: %v", err)
	}
	h.lacks("vn vn-2, lists")
	h.write("vn", "vn-2", 2)
	if err := h.ready(next); err != nil {
		t.Error(err)
	}
	h.holds("vn", "vn-1 1 vn-2 2") // both during the change
	h.inForce("vn", 2, "vn-2", "file")
	h.settle()
	h.holds("vn", "vn-2 2")
	h.lacks("lists")

	// Central may hand out the next one as well, and the entry key.
	h.take([]sealed.Secret{secret("vn", "vn-2", 2), secret("vn", "vn-3", 3), secret("entry", "entry-1", 9), secret("entry", "entry-2", 8), secret("other", "o-1", 1)})
	h.holds("vn", "vn-2 2 vn-3 3")
	h.subject(8)
	h.settle()
	h.subject(8)
	if theft, stray := h.theft(); !slices.Equal(theft.Sets, []string{"vn"}) || !theft.EntryKey || len(stray) > 0 {
		t.Errorf("%+v, %q", theft, stray)
	}
	if h.moved != 1 {
		t.Errorf("told %d times of new keys", h.moved)
	}
	// A file that is taken away does not take its key from memory.
	if err := os.Remove(filepath.Join(h.dir, "vn.key")); err != nil {
		t.Fatal(err)
	}
	h.settle()
	h.holds("vn", "vn-2 2 vn-3 3")
	if theft, _ := h.theft(); len(theft.Sets) > 0 {
		t.Errorf("%+v", theft)
	}
}

// TestKeysInMemory: where the manifest says memory, no file is used, neither for
// the set nor for the entry key, and the files are named as what a thief could
// use.
func TestKeysInMemory(t *testing.T) {
	h := newHolder(t, true, true)
	h.inForce("vn", 1, "vn-1", "memory")
	h.settle()
	h.holds("vn", "")
	h.subject(0)
	if cause, memory := h.entryState(); cause == "" || !memory {
		t.Errorf("%q, %v", cause, memory)
	}
	h.lacks("vn vn-1, lists, entry")
	theft, stray := h.theft()
	if len(stray) != 2 || !slices.Equal(theft.Sets, []string{"vn"}) || !theft.EntryKey {
		t.Errorf("%+v, %q", theft, stray)
	}

	h.take([]sealed.Secret{secret("vn", "vn-1", 1), secret("entry", "entry-1", 9)})
	h.holds("vn", "vn-1 1")
	h.subject(9)
	h.lacks("lists")
	h.settle()
	h.holds("vn", "vn-1 1")
	if want := []string{"subject entry-1central"}; !slices.Equal(h.said, want) {
		t.Errorf("recorded %q, want %q", h.said, want)
	}
	for _, path := range stray {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	if theft, stray := h.theft(); theft.OnDisk() || !theft.Memory || len(stray) > 0 {
		t.Errorf("%+v, %q", theft, stray)
	}
}

// TestKeysBecomeMemory: a set whose manifest allowed a file demands memory from
// its next version on; and back again.
func TestKeysBecomeMemory(t *testing.T) {
	h := newHolder(t, true, true)
	h.settle()
	h.inForce("vn", 1, "vn-1", "file")
	h.settle()
	h.said = nil
	h.inForce("vn", 2, "vn-1", "memory")
	h.settle()
	h.holds("vn", "")
	h.subject(0)
	if want := []string{"no_subject <nil><nil>"}; !slices.Equal(h.said, want) {
		t.Errorf("recorded %q", h.said)
	}
	h.take([]sealed.Secret{secret("vn", "vn-1", 1)})
	h.holds("vn", "vn-1 1")
	h.lacks("lists, entry")
	h.inForce("vn", 3, "vn-1", "file")
	h.settle()
	h.holds("vn", "vn-1 1")
	h.subject(9)
}

// TestRekeying: two keys of a set are held while it changes, and never more.
func TestRekeying(t *testing.T) {
	h := newHolder(t, false, false)
	h.take([]sealed.Secret{secret("vn", "vn-1", 1)}) // before any data
	h.holds("vn", "vn-1 1")
	h.inForce("vn", 1, "vn-1", "memory")
	h.settle()
	h.take([]sealed.Secret{secret("vn", "vn-1", 1), secret("vn", "vn-2", 2)})
	h.holds("vn", "vn-1 1 vn-2 2")
	if err := h.ready(gate.Generation{Set: "vn", Version: 2, KeyID: "vn-2", KeyInMemory: true}); err != nil {
		t.Error(err)
	}
	h.settle()
	h.holds("vn", "vn-1 1 vn-2 2")
	h.inForce("vn", 2, "vn-2", "memory")
	h.settle()
	h.holds("vn", "vn-2 2")
	// The one before, handed out again, is not taken back.
	h.take([]sealed.Secret{secret("vn", "vn-1", 1), secret("vn", "vn-2", 2)})
	h.holds("vn", "vn-2 2")

	// Central has gone on by two while the box was away.
	h.take([]sealed.Secret{secret("vn", "vn-3", 3), secret("vn", "vn-4", 4)})
	h.holds("vn", "vn-2 2 vn-4 4")
	h.inForce("vn", 9, "vn-4", "memory")
	h.settle()
	h.holds("vn", "vn-4 4")

	// Nothing is in force any more that could be read: data may come first.
	h.inForce("vn", 9, "vn-5", "memory")
	if err := h.ready(gate.Generation{Set: "vn", Version: 10, KeyID: "vn-6"}); err != nil {
		t.Error(err)
	}
	h.lacks("vn vn-6, lists, entry")
}

// TestRekeyingOverARestart: a version under a key that has not come does not take
// the place of one whose key has not come yet either.
func TestRekeyingOverARestart(t *testing.T) {
	h := newHolder(t, false, false)
	h.inForce("vn", 1, "vn-1", "memory")
	next := gate.Generation{Set: "vn", Version: 2, KeyID: "vn-2", KeyInMemory: true}
	if err := h.ready(next); err == nil {
		t.Error("it was let in before any key came")
	}
	if err := h.ready(gate.Generation{Set: "vn", Version: 2, KeyID: "vn-1", KeyInMemory: true}); err != nil {
		t.Errorf("under the same key: %v", err)
	}
	h.take([]sealed.Secret{secret("vn", "vn-1", 1)})
	if err := h.ready(next); err == nil {
		t.Error("it was let in without its key")
	}
	h.take([]sealed.Secret{secret("vn", "vn-1", 1), secret("vn", "vn-2", 2)})
	if err := h.ready(next); err != nil {
		t.Error(err)
	}
}

// TestStrictest: the entry key is held as strictly as the strictest of the sets.
func TestStrictest(t *testing.T) {
	h := newHolder(t, true, true)
	h.inForce("vn", 1, "vn-1", "file")
	h.settle()
	h.subject(9)
	h.inForce("lists", 1, "lists-1", "memory")
	h.settle()
	h.holds("vn", "vn-1 1")
	h.subject(0)
	theft, stray := h.theft()
	if len(stray) != 1 || !strings.HasSuffix(stray[0], "entry.key") || !slices.Equal(theft.Sets, []string{"vn"}) {
		t.Errorf("%+v, %q", theft, stray)
	}
	h.take([]sealed.Secret{secret("lists", "lists-1", 5), secret("entry", "entry-1", 9)})
	h.holds("lists", "lists-1 5")
	h.subject(9)
}

func TestSwap(t *testing.T) {
	const head = "Filename\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	for swaps, want := range map[string]string{
		"": "", head: "",
		head + "/dev/zram0                              partition\t1\t0\t100\n":                                  "",
		head + "/var/swap                               file\t\t102396\t\t0\t\t-2\n":                             "/var/swap",
		head + "/dev/zram0 partition 1 0 100\n/dev/mmcblk0p3                          partition\t1\t\t0\t\t-2\n": "/dev/mmcblk0p3",
	} {
		if got := swapOnDisk(swaps); got != want {
			t.Errorf("swapOnDisk(%q) = %q, want %q", swaps, got, want)
		}
	}
	if noSwapInGroup("1:name=systemd:/\n0::/../../no-such-group\n") || noSwapInGroup("") {
		t.Error("a group that is not there forbids swap")
	}
}
