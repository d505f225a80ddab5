package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/durable"
	"gateagent/agent/gate"
	"gateagent/agent/record"
)

// SetKey names a data set and, where it is known from the start, the key of its
// pseudonyms. Others come by [Sets.PutKey].
type SetKey struct {
	Name  string // [a-z0-9][a-z0-9-]{0,31}
	KeyID string
	Key   gate.Key
	// HasKey is false when the key is not there; the set then counts as
	// missing until it comes.
	HasKey bool
}

// SetsOptions say where the sets are and which are in use.
type SetsOptions struct {
	Dir  string   // holds one directory per set; made when missing
	Sets []SetKey // in the order in which they are asked; at most gate.MaxSets
	// Check runs [CheckFile] in a child process on a file that faulted in the
	// last run. Nil checks in this process.
	Check func(ctx context.Context, path string) error
	// CheckWait bounds Check; 0 means 5 minutes.
	CheckWait time.Duration
	// Reserve is how many bytes of the disk a new generation leaves free for
	// the journal; 0 means 64 MiB.
	Reserve int64
	// MaxFile bounds one file, because a machine maps each as a whole: larger
	// versions are written in parts. 0 means 128 MiB on 32 bits and no bound
	// on 64; at least 256 KiB.
	MaxFile int64
	// FoldBytes is from how many bytes of changes in memory on they are folded
	// into the file; 0 means from 8 MiB or 2 % of the people on.
	FoldBytes int
}

// Sets are the data sets in force. All methods may be called at the same time.
type Sets struct {
	opts   SetsOptions
	log    *slog.Logger
	sets   []*set
	closed atomic.Bool
}

// set is one data set: at most one generation in force, at most one in staging.
type set struct {
	name string
	dir  string

	current atomic.Pointer[generation]

	// grow is held by whoever brings another version into force, by delta or
	// by file. It comes before mu and guards the log.
	grow      sync.Mutex
	log       *deltaLog // nil until it is needed
	logMarked bool      // see logMark
	foldAgain int       // bytes of changes from which on folding is tried again

	mu      sync.Mutex // guards the fields below and every change of current
	keys    []*heldKey // oldest first
	staging bool
	fault   error // why the set has no data, or that it faulted
	// deltaFault is why deltas that were in force are not any more.
	deltaFault error
}

// SetStatus is the state of one set, for the page and for `state`.
type SetStatus struct {
	Set     string
	Version uint64 // 0: none in force
	People  uint64
	Extras  uint64 // people among them of whom more is known than one word
	Bytes   int64  // on the disk
	Files   int    // it lies in
	// Base is the whole version that Version has grown from; Deltas is how
	// many deltas lie between them, Overlay the bytes of memory they take.
	Base    uint64
	Deltas  uint64
	Overlay int64
	KeyID   string // key that the generation in force was made with
	// HasKey says whether the box holds that very key.
	HasKey bool
	// KeyHold says how that key may be held: "file" or "memory".
	KeyHold string
	// Keys are the ids of all keys of the set that are held.
	Keys []string
	// Issued is when central last vouched for the version.
	Issued  time.Time
	Staging bool
	// Fault is why the set has no data or cannot be trusted; nil when well.
	Fault error
	// DeltaFault is why deltas that were in force are not any more, so that
	// the set is older than it was: their log could not be read. Nil when
	// well, and again once a delta was applied.
	DeltaFault error
}

const (
	maxKeyID = 255 // bytes

	minMaxFile = 256 << 10
	// maxFile32 is far below the 512 MiB that one map could have (STORE §4): while
	// a nation is switched both versions are mapped, and 3 GB of addresses then
	// have holes of this size, but not of that.
	maxFile32 = 128 << 20
)

// OpenSets puts the newest whole generation of each set in force, throws away
// what was left in staging and sets damaged files aside. A set that cannot be
// opened is reported in Status and counts as missing; an error means that
// the options or the directory are no good.
func OpenSets(o SetsOptions, log *slog.Logger) (*Sets, error) {
	if len(o.Sets) > gate.MaxSets {
		return nil, fmt.Errorf("%d data sets are configured, at most %d can be", len(o.Sets), gate.MaxSets)
	}
	if o.CheckWait == 0 {
		o.CheckWait = 5 * time.Minute
	}
	if o.Reserve == 0 {
		o.Reserve = 64 << 20
	}
	if o.Check == nil {
		o.Check = func(_ context.Context, path string) error { return CheckFile(path) }
	}
	switch {
	case o.MaxFile == 0 && strconv.IntSize == 32:
		o.MaxFile = maxFile32
	case o.MaxFile == 0:
		o.MaxFile = math.MaxInt64
	case o.MaxFile < minMaxFile:
		return nil, fmt.Errorf("files of at most %d bytes; it takes %d", o.MaxFile, minMaxFile)
	}
	s := &Sets{opts: o, log: log}
	for _, key := range o.Sets {
		if !record.ValidName(key.Name) {
			return nil, fmt.Errorf("data set %q: not a name of [a-z0-9][a-z0-9-]{0,31}", key.Name)
		}
		if s.byName(key.Name) != nil {
			return nil, fmt.Errorf("data set %q is configured twice", key.Name)
		}
		t := &set{name: key.Name, dir: filepath.Join(o.Dir, key.Name)}
		if key.HasKey {
			t.keys = append(t.keys, &heldKey{key.KeyID, key.Key})
		}
		if err := os.MkdirAll(t.stagingDir(), dirMode); err != nil {
			return nil, errors.Join(fmt.Errorf("data set %s: %w", key.Name, err), s.Close())
		}
		s.sets = append(s.sets, t)
		if err := s.load(t); err != nil {
			t.fault = err
			log.Error("data set has no usable file", "set", key.Name, "err", err)
		}
	}
	return s, nil
}

func (t *set) stagingDir() string    { return filepath.Join(t.dir, "staging") }
func (t *set) quarantineDir() string { return filepath.Join(t.dir, "quarantine") }
func (t *set) path(version uint64) string {
	return filepath.Join(t.dir, strconv.FormatUint(version, 10)+".db")
}

func (s *Sets) byName(name string) *set {
	for _, t := range s.sets {
		if t.name == name {
			return t
		}
	}
	return nil
}

// load puts the newest whole file in force and removes older ones.
func (s *Sets) load(t *set) error {
	if err := emptyDir(t.stagingDir()); err != nil {
		s.log.Warn("cannot clean up staging", "set", t.name, "err", err)
	}
	versions, orphans, err := listVersions(t.dir)
	if err != nil {
		return err
	}
	for _, path := range orphans { // of a version that was being put in place, or removed
		if err := removeIfThere(path); err != nil {
			s.log.Warn("cannot remove a part of no version", "set", t.name, "err", err)
		}
	}
	var faults []error
	for _, v := range versions {
		path := t.path(v)
		if t.current.Load() != nil {
			if err := removeGeneration(path); err != nil {
				s.log.Warn("cannot remove an old version", "set", t.name, "version", v, "err", err)
			}
			continue
		}
		g, err := s.open(t, path, v)
		if err != nil {
			faults = append(faults, err)
			if errors.Is(err, ErrDamaged) {
				faults = append(faults, s.setAside(t, path, err))
			}
			if errors.Is(err, ErrNewerSchema) {
				s.log.Warn("a data set of a newer agent was left alone", "set", t.name, "version", v)
			}
			continue
		}
		if err := s.replay(t, g); err != nil {
			t.deltaFault = err
		}
		t.current.Store(g)
		s.logInForce(t, g)
	}
	return errors.Join(faults...)
}

// open opens one file; one that faulted before is checked first.
func (s *Sets) open(t *set, path string, version uint64) (*generation, error) {
	if suspect, err := exists(suspectPath(path)); err != nil {
		return nil, err
	} else if suspect {
		if _, err := readHeader(path); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), s.opts.CheckWait)
		defer cancel()
		s.log.Warn("checking a data set that faulted", "set", t.name, "version", version)
		if err := s.opts.Check(ctx, path); errors.Is(err, ErrNotChecked) {
			return nil, fmt.Errorf("check %s: %w", path, err)
		} else if err != nil {
			return nil, fmt.Errorf("check %s: %w: %w", path, ErrDamaged, err)
		}
		if err := removeIfThere(suspectPath(path)); err != nil {
			return nil, err
		}
	}
	g, err := openGeneration(path, t.name, version)
	if err != nil {
		return nil, err
	}
	g.useKey(t.held(g.info.KeyID))
	return g, nil
}

func (s *Sets) logInForce(t *set, g *generation) {
	now := g.grown.Load()
	s.log.Info("data set in force", "set", t.name, "version", now.version, "people", now.people,
		"files", len(g.parts), "has_key", g.key.Load() != nil)
}

// setAside moves a damaged file to quarantine, where only the newest is kept: a
// set can be fetched again, so one is enough to learn from.
func (s *Sets) setAside(t *set, path string, why error) error {
	s.log.Error("a data set file is damaged and was set aside", "set", t.name, "file", filepath.Base(path), "err", why)
	if err := os.MkdirAll(t.quarantineDir(), dirMode); err != nil {
		return err
	}
	if err := emptyDir(t.quarantineDir()); err != nil {
		return err
	}
	if err := t.move(path, t.quarantineDir()); err != nil {
		return err
	}
	return errors.Join(removeRest(path), durable.SyncDir(t.dir))
}

// move moves a set file and its parts to another directory, the one that counts
// first.
func (t *set) move(path, dir string) error {
	parts, err := listParts(path)
	if err != nil {
		return err
	}
	for _, p := range append([]string{path}, parts...) {
		if err := os.Rename(p, filepath.Join(dir, filepath.Base(p))); err != nil {
			return err
		}
	}
	return nil
}

func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// inForce gives the generation in force with a reference taken, nil for none.
func (t *set) inForce() *generation {
	for {
		g := t.current.Load()
		if g == nil || g.acquire() {
			return g
		}
	}
}

// faulted notes that a set file could not be read. It stays in force, because
// its other pages may be sound; it is offered for fetching again and checked
// before it is opened the next time.
func (s *Sets) faulted(t *set, g *generation, why error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fault != nil || t.current.Load() != g {
		return
	}
	t.fault = why
	s.log.Error("a data set cannot be read", "set", t.name, "version", g.info.Version, "err", why)
	if err := durable.WriteFile(suspectPath(g.path), nil, fileMode); err != nil {
		s.log.Error("cannot mark a data set for checking", "set", t.name, "err", err)
	}
}

// Generation describes the version of a set in force. Where deltas have made it
// of another one, the digest is that of its base: see [Sets.Base]. It gives
// false when there is none, or when it faulted and should be fetched again.
func (s *Sets) Generation(name string) (gate.Generation, bool) {
	t := s.byName(name)
	if t == nil {
		return gate.Generation{}, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.current.Load()
	if g == nil || t.fault != nil {
		return gate.Generation{}, false
	}
	return g.describe(), true
}

// Vouch records that a newer manifest names the version in force: its data is
// as fresh as v.Issued. Version and digest must be what [Sets.Generation] gives,
// the digest thus that of the base; a manifest
// that is not newer changes nothing.
func (s *Sets) Vouch(v gate.Generation) error {
	t := s.byName(v.Set)
	if t == nil {
		return fmt.Errorf("vouch for %s: %w", v.Set, ErrUnknownSet)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.current.Load()
	if g == nil || g.grown.Load().version != v.Version || g.info.BaseDigest != v.Digest {
		return fmt.Errorf("vouch for %s: version %d with this digest is not in force", v.Set, v.Version)
	}
	next := vouch{Issued: v.Issued.UnixMilli(), Manifest: slices.Clone(v.Manifest), Version: v.Version, KeyHold: holdFile}
	if v.KeyInMemory {
		next.KeyHold = holdMemory
	}
	if next.Issued <= g.asOf(g.grown.Load()) {
		return nil
	}
	if err := writeVouch(vouchPath(g.path), next); err != nil {
		return fmt.Errorf("vouch for %s: %w", v.Set, err)
	}
	g.vouched.Store(&next)
	return nil
}

// Status gives the state of each set, in the configured order.
func (s *Sets) Status() []SetStatus {
	out := make([]SetStatus, 0, len(s.sets))
	for _, t := range s.sets {
		t.mu.Lock()
		st := SetStatus{Set: t.name, Keys: t.keyIDs(), Staging: t.staging, Fault: t.fault, DeltaFault: t.deltaFault}
		if g := t.current.Load(); g != nil {
			now := g.grown.Load()
			st.Version, st.People, st.Extras = now.version, now.people, now.extras
			st.Bytes, st.Files = g.size, len(g.parts)
			st.Base, st.Deltas, st.Overlay = g.info.Base, now.version-g.info.Base, int64(now.overlay.Bytes())
			st.KeyID, st.HasKey, st.KeyHold = g.info.KeyID, g.key.Load() != nil, holdFile
			if g.inMemory() {
				st.KeyHold = holdMemory
			}
			st.Issued = time.UnixMilli(g.asOf(now)).UTC()
		}
		t.mu.Unlock()
		out = append(out, st)
	}
	return out
}

// Close waits for the lookups under way and closes all files. Generations still
// in staging are thrown away when the sets are opened again.
func (s *Sets) Close() error {
	s.closed.Store(true)
	var errs []error
	for _, t := range s.sets {
		t.grow.Lock()
		t.mu.Lock()
		g := t.current.Swap(nil)
		t.mu.Unlock()
		errs = append(errs, t.endLog())
		t.grow.Unlock()
		if g != nil {
			errs = append(errs, g.retire())
		}
	}
	return errors.Join(errs...)
}
