package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"gateagent/agent/config"
	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/cache"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/snapshot"
)

// keyStore is what holds the keys of data sets: cache.Sets.
type keyStore interface {
	Status() []cache.SetStatus
	PutKey(set, keyID string, key gate.Key) error
	DropKey(set, keyID string) error
}

// keys are the secrets of the box that are not its identity: those of the data
// sets, which are kept by the store, and the site's entry key, which is kept
// here.
//
// A key comes from the file that the configuration names, or from central,
// sealed to this box. The manifest in force says whether the first is allowed;
// the entry key is held as strictly as the strictest of the sets. Nothing here
// is ever written.
type keys struct {
	log   *slog.Logger
	event func(kind gate.EventKind, details map[string]any)
	// came is told that new keys are here, wanted that one is missing; both
	// without a lock held.
	came, wanted func()
	store        keyStore // nil where there are no data sets
	swap         func() string

	mu    sync.RWMutex // guards the following
	sets  []*setKeys
	entry entryKey
}

// setKeys is what is known of the keys of one set.
type setKeys struct {
	name string
	file keyFile
	// fromFile is the id of the key that is held because the file gave it.
	fromFile string
	// offered are the ids that central named last, the newest at the end.
	offered []string
	// awaited is the id of the key of a version that is to come into force.
	awaited string
}

// entryKey is the key under which subjects are named.
type entryKey struct {
	file     keyFile
	key      gate.Key
	kid      string // "": there is none
	fromFile bool
	cause    string // why there is none
	memory   bool   // it may not come from the file
}

// keyFile is a file that the configuration names, and whether it was read.
type keyFile struct {
	path string // "" for none
	seen time.Time
	err  error // why it cannot be used
}

func newKeys(cfg *config.Config, log *slog.Logger) *keys {
	k := &keys{log: log, event: func(gate.EventKind, map[string]any) {}, came: func() {}, wanted: func() {}, swap: swappable}
	for _, s := range cfg.Sets {
		k.sets = append(k.sets, &setKeys{name: s.Name, file: keyFile{path: s.KeyFile}})
	}
	k.entry.file.path = cfg.Keys.EntryFile
	k.entry.cause = "no file is named and central has not handed it out"
	return k
}

// names gives the data sets as the store is opened with them: without keys.
func (k *keys) names() []cache.SetKey {
	var out []cache.SetKey
	for _, s := range k.sets {
		out = append(out, cache.SetKey{Name: s.name})
	}
	return out
}

// read reads a key file that has changed since it was read last. ok is false
// when there is nothing new or nothing to be used.
func (f *keyFile) read(set string, log *slog.Logger) (s sealed.Secret, ok bool) {
	if f.path == "" {
		return s, false
	}
	changed := time.Time{}
	info, err := os.Stat(f.path)
	if err == nil {
		changed = info.ModTime()
	}
	if f.err == nil && changed.Equal(f.seen) && !f.seen.IsZero() {
		return s, false
	}
	before := f.err
	f.seen = changed
	kid, key, err := signed.LoadSecret(f.path, set)
	if f.err = err; err != nil {
		if before == nil || before.Error() != err.Error() {
			log.Error("a key file cannot be used", "set", set, "error", err)
		}
		return s, false
	}
	return sealed.Secret{Set: set, Kid: kid, Key: key}, true
}

// forget has the file read again when it is allowed again.
func (f *keyFile) forget() { f.seen, f.err = time.Time{}, nil }

// onDisk says whether the file is there, readable to this user or not.
func (f *keyFile) onDisk() bool {
	if f.path == "" {
		return false
	}
	info, err := os.Stat(f.path)
	if err != nil {
		return errors.Is(err, fs.ErrPermission)
	}
	return info.Size() > 0
}

// status gives the store's word on its sets.
func (k *keys) status() []cache.SetStatus {
	if k.store == nil {
		return nil
	}
	return k.store.Status()
}

// settle brings what is held in line with what is in force: keys from files
// where they are allowed, none of them where not, and no key that nothing needs
// any more. It is called after every change and now and then.
func (k *keys) settle() {
	k.mu.Lock()
	now := k.status()
	for _, s := range now {
		if t := k.set(s.Set); t != nil {
			k.settleSet(t, s)
		}
	}
	said := k.settleEntry(now)
	k.mu.Unlock()
	said()
}

// settleSet does so for one set. mu is held.
func (k *keys) settleSet(t *setKeys, s cache.SetStatus) {
	held := func(id string) bool { return slices.Contains(s.Keys, id) }
	if inMemory(s) {
		if t.fromFile != "" {
			k.log.Warn("the key of a data set may be in memory only: the one from the file is not used", "set", t.name, "kid", t.fromFile)
			k.drop(t, t.fromFile)
		}
		t.fromFile = ""
		t.file.forget()
	} else if f, ok := t.file.read(t.name, k.log); ok {
		k.put(t, f)
		if !held(f.Kid) {
			s.Keys = append(s.Keys, f.Kid)
		}
		t.fromFile = f.Kid
	}
	if t.awaited == s.KeyID {
		t.awaited = ""
	}
	// What came before the key in force is needed no more.
	if !held(s.KeyID) || s.KeyID == "" {
		return
	}
	newer := t.offered[slices.Index(t.offered, s.KeyID)+1:] // all of them, where it is not among them
	for _, id := range s.Keys {
		if id != s.KeyID && id != t.awaited && id != t.fromFile && !slices.Contains(newer, id) {
			k.log.Info("the key before is dropped", "set", t.name, "kid", id)
			k.drop(t, id)
		}
	}
}

// settleEntry does so for the entry key. mu is held; said tells of it without.
func (k *keys) settleEntry(now []cache.SetStatus) (said func()) {
	e := &k.entry
	e.memory = slices.ContainsFunc(now, inMemory)
	switch {
	case e.memory && e.fromFile:
		clear(e.key[:])
		e.kid, e.fromFile = "", false
		e.file.forget()
		e.cause = "the data in force demand that it is held in memory only, and central has not handed it out"
		cause := e.cause
		return func() { k.event(gate.EventNoSubject, map[string]any{"cause": cause}) }
	case e.memory:
		e.file.forget()
		if e.kid == "" {
			e.cause = "it is held in memory only and central has not handed it out"
		}
	case e.kid == "" || e.fromFile:
		if f, ok := e.file.read(signed.EntrySet, k.log); ok {
			return k.useEntry(f, true)
		}
		if e.file.err != nil && e.kid == "" {
			e.cause = "the file cannot be used"
		}
	}
	return func() {}
}

// useEntry puts an entry key into force. mu is held; said tells of it without.
func (k *keys) useEntry(s sealed.Secret, fromFile bool) (said func()) {
	e := &k.entry
	if e.kid == s.Kid && e.key == s.Key {
		e.fromFile = e.fromFile && fromFile
		return func() {}
	}
	clear(e.key[:])
	e.key, e.kid, e.fromFile, e.cause = s.Key, s.Kid, fromFile, ""
	source := "central"
	if fromFile {
		source = "file"
	}
	kid := s.Kid
	return func() {
		k.log.Info("the entry key is there", "kid", kid, "source", source)
		k.event(gate.EventSubject, map[string]any{"kid": kid, "source": source})
	}
}

// take takes the keys that central has handed to this box, of each set the
// newest last. It holds those that are of use: of a set the one in force and
// those after it.
func (k *keys) take(secrets []sealed.Secret) {
	k.mu.Lock()
	bySet := map[string][]sealed.Secret{}
	for _, s := range secrets {
		bySet[s.Set] = append(bySet[s.Set], s)
	}
	said := func() {}
	if entry := bySet[signed.EntrySet]; len(entry) > 0 {
		said = k.useEntry(entry[len(entry)-1], false)
	}
	for _, s := range k.status() {
		t, offered := k.set(s.Set), bySet[s.Set]
		if t == nil || len(offered) == 0 {
			continue
		}
		t.offered = nil
		for _, o := range offered {
			t.offered = append(t.offered, o.Kid)
		}
		if i := slices.Index(t.offered, s.KeyID); i >= 0 {
			offered = offered[i:]
		} else if s.Version > 0 {
			offered = offered[len(offered)-1:]
		}
		for _, o := range offered[max(0, len(offered)-2):] {
			k.put(t, o)
			if t.fromFile == o.Kid {
				t.fromFile = "" // it may stay, whatever becomes of the file
			}
			if !slices.Contains(s.Keys, o.Kid) {
				k.log.Info("a key from central is held in memory", "set", s.Set, "kid", o.Kid)
			}
		}
	}
	k.mu.Unlock()
	said()
	k.settle()
	k.came()
}

func (k *keys) put(t *setKeys, s sealed.Secret) {
	if err := k.store.PutKey(t.name, s.Kid, s.Key); err != nil {
		k.log.Error("a key cannot be used", "set", t.name, "kid", s.Kid, "error", err)
	}
}

func (k *keys) drop(t *setKeys, id string) {
	if err := k.store.DropKey(t.name, id); err != nil {
		k.log.Error("a key cannot be dropped", "set", t.name, "kid", id, "error", err)
	}
}

// ready says whether a version may take the place of the one in force. It may
// not while the box can read the one in force, or may as soon as central has
// answered after a start, and does not hold the key of the other: then nobody
// could be looked up any more.
func (k *keys) ready(g gate.Generation) error {
	k.mu.Lock()
	t := k.set(g.Set)
	i := slices.IndexFunc(k.status(), func(s cache.SetStatus) bool { return s.Set == g.Set })
	if t == nil || i < 0 {
		k.mu.Unlock()
		return nil
	}
	s := k.status()[i]
	if t.awaited = g.KeyID; g.KeyID == s.KeyID {
		t.awaited = ""
	}
	if f, ok := t.file.read(t.name, k.log); ok && !g.KeyInMemory && !inMemory(s) {
		k.put(t, f) // it was replaced since the start
		t.fromFile = f.Kid
		s = k.status()[i]
	}
	missing := !slices.Contains(s.Keys, g.KeyID)
	k.mu.Unlock()
	if missing {
		k.wanted()
	}
	// After a start no key is here yet: that of the one in force may be on its way.
	mayCome := s.Version > 0 && s.KeyID != g.KeyID && len(s.Keys) == 0 && inMemory(s)
	if missing && (s.HasKey || mayCome) {
		return fmt.Errorf("%w (%s); version %d stays in force until it is", snapshot.ErrNoKey, g.KeyID, s.Version)
	}
	return nil
}

// lack names what central could hand out and this box has not; "" for nothing.
func (k *keys) lack() string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	var out []string
	for _, s := range k.status() {
		t := k.set(s.Set)
		switch {
		case t == nil:
		case t.awaited != "" && !slices.Contains(s.Keys, t.awaited):
			out = append(out, s.Set+" "+t.awaited)
		case s.Version > 0 && !s.HasKey:
			out = append(out, s.Set+" "+s.KeyID)
		case s.Version == 0 && len(s.Keys) == 0:
			out = append(out, s.Set)
		}
	}
	if k.entry.kid == "" {
		out = append(out, signed.EntrySet)
	}
	return strings.Join(out, ", ")
}

// entryKey gives the key under which subjects are named.
func (k *keys) entryKey() (gate.Key, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.entry.key, k.entry.kid != ""
}

// entryState says why there is no entry key, "" when there is one, and whether
// it may come from central alone.
func (k *keys) entryState() (cause string, memory bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if k.entry.kid != "" {
		return "", k.entry.memory
	}
	return k.entry.cause, k.entry.memory
}

// fileError says why the key file of a set cannot be used, "" when it can or
// there is none.
func (k *keys) fileError(set string) string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	if t := k.set(set); t != nil && t.file.err != nil {
		return t.file.err.Error()
	}
	return ""
}

// theft says which keys lie on the disk. stray are the files that should not.
func (k *keys) theft() (t health.Theft, stray []string) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	now := k.status()
	memory := map[string]bool{}
	for _, s := range now {
		memory[s.Set] = inMemory(s)
		t.Memory = t.Memory || memory[s.Set] || len(s.Keys) > 0
	}
	for _, s := range k.sets {
		if s.file.onDisk() {
			t.Sets = append(t.Sets, s.name)
			if memory[s.name] {
				stray = append(stray, s.file.path)
			}
		}
	}
	if t.EntryKey = k.entry.file.onDisk(); t.EntryKey && k.entry.memory {
		stray = append(stray, k.entry.file.path)
	}
	t.Memory = t.Memory || k.entry.kid != ""
	return t, stray
}

// set gives what is known of a set's keys; nil for a set that is not used. mu
// is held.
func (k *keys) set(name string) *setKeys {
	for _, s := range k.sets {
		if s.name == name {
			return s
		}
	}
	return nil
}

// inMemory says whether the key of a set may be in memory only.
func inMemory(s cache.SetStatus) bool { return s.KeyHold == health.HoldMemory.String() }
