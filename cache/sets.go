package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

// SetKey names a data set and the key of its pseudonyms.
type SetKey struct {
	Name  string // [a-z0-9][a-z0-9-]{0,31}
	KeyID string
	Key   gate.Key
	// HasKey is false while the key is not there; the set then counts as
	// missing.
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
	key SetKey
	dir string

	current atomic.Pointer[generation]

	mu      sync.Mutex // guards the fields below and every change of current
	staging bool
	fault   error // why the set has no data, or that it faulted
}

// SetStatus is the state of one set, for the page and for `state`.
type SetStatus struct {
	Set     string
	Version uint64 // 0: none in force
	People  uint64
	Bytes   int64
	KeyID   string // key that the generation in force was made with
	// HasKey says whether the box holds that very key.
	HasKey bool
	// Issued is when central last vouched for the version.
	Issued  time.Time
	Staging bool
	// Fault is why the set has no data or cannot be trusted; nil when well.
	Fault error
}

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
	s := &Sets{opts: o, log: log}
	for _, key := range o.Sets {
		if !record.ValidName(key.Name) {
			return nil, fmt.Errorf("data set %q: not a name of [a-z0-9][a-z0-9-]{0,31}", key.Name)
		}
		if s.byName(key.Name) != nil {
			return nil, fmt.Errorf("data set %q is configured twice", key.Name)
		}
		t := &set{key: key, dir: filepath.Join(o.Dir, key.Name)}
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
		if t.key.Name == name {
			return t
		}
	}
	return nil
}

// load puts the newest whole file in force and removes older ones.
func (s *Sets) load(t *set) error {
	if err := emptyDir(t.stagingDir()); err != nil {
		s.log.Warn("cannot clean up staging", "set", t.key.Name, "err", err)
	}
	versions, err := listVersions(t.dir)
	if err != nil {
		return err
	}
	var faults []error
	for _, v := range versions {
		path := t.path(v)
		if t.current.Load() != nil {
			if err := removeGeneration(path); err != nil {
				s.log.Warn("cannot remove an old version", "set", t.key.Name, "version", v, "err", err)
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
				s.log.Warn("a data set of a newer agent was left alone", "set", t.key.Name, "version", v)
			}
			continue
		}
		t.current.Store(g)
		s.log.Info("data set in force", "set", t.key.Name, "version", v, "people", g.info.People, "has_key", g.key != nil)
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
		s.log.Warn("checking a data set that faulted", "set", t.key.Name, "version", version)
		if err := s.opts.Check(ctx, path); errors.Is(err, ErrNotChecked) {
			return nil, fmt.Errorf("check %s: %w", path, err)
		} else if err != nil {
			return nil, fmt.Errorf("check %s: %w: %w", path, ErrDamaged, err)
		}
		if err := removeIfThere(suspectPath(path)); err != nil {
			return nil, err
		}
	}
	return openGeneration(path, t.key.Name, version, t.key)
}

// setAside moves a damaged file to quarantine, where only the newest is kept: a
// set can be fetched again, so one is enough to learn from.
func (s *Sets) setAside(t *set, path string, why error) error {
	s.log.Error("a data set file is damaged and was set aside", "set", t.key.Name, "file", filepath.Base(path), "err", why)
	if err := os.MkdirAll(t.quarantineDir(), dirMode); err != nil {
		return err
	}
	if err := emptyDir(t.quarantineDir()); err != nil {
		return err
	}
	if err := os.Rename(path, filepath.Join(t.quarantineDir(), filepath.Base(path))); err != nil {
		return err
	}
	return errors.Join(removeGeneration(path), syncDir(t.dir))
}

// listVersions gives the versions with a file in dir, newest first.
func listVersions(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".db")
		if !ok {
			continue
		}
		if v, err := strconv.ParseUint(name, 10, 64); err == nil && strconv.FormatUint(v, 10) == name {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out, nil
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

// Facts says what the sets know about n, which must be valid, and which
// versions were asked. A blocking fact (positive, quarantine) of any set wins,
// otherwise the first set that knows the person. On an error the facts are what
// the other sets say, and the lane's on_fault decides. It allocates nothing.
func (s *Sets) Facts(n gate.Number, card string) (facts gate.Facts, state gate.DataState, err error) {
	if !n.Valid() {
		return facts, state, errors.New("look up: not a number of twelve digits")
	}
	if s.closed.Load() {
		return facts, state, fmt.Errorf("look up: data sets are %w", ErrClosed)
	}
	state.N = len(s.sets)
	state.Missing = state.N == 0
	blocked := false
	for i, t := range s.sets {
		state.Sets[i].Set = t.key.Name
		g := t.inForce()
		if g == nil {
			state.Missing = true
			continue
		}
		state.Sets[i].Version = g.info.Version
		if g.key == nil {
			state.Missing = true
			g.release()
			continue
		}
		if at := g.vouched.Load().Issued; state.AsOf == 0 || at < state.AsOf {
			state.AsOf = at
		}
		w, found, ferr := g.find(n)
		base := g.info.BaseDay
		g.release()
		if ferr != nil {
			s.faulted(t, g, ferr)
			err = errors.Join(err, ferr)
		}
		if found && !blocked {
			blocks := w.Kind() == gate.FactPositive || w.Kind() == gate.FactQuarantine
			if blocks || !facts.Found {
				facts = gate.Facts{Found: true, Word: w, Base: base}
			}
			blocked = blocks
		}
	}
	if state.Missing {
		state.AsOf = 0
	}
	return facts, state, err
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
	s.log.Error("a data set cannot be read", "set", t.key.Name, "version", g.info.Version, "err", why)
	if err := writeFile(suspectPath(g.path), nil); err != nil {
		s.log.Error("cannot mark a data set for checking", "set", t.key.Name, "err", err)
	}
}

// Generation describes the generation of a set in force. It gives false when
// there is none, or when it faulted and should be fetched again.
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
// as fresh as v.Issued. Version and digest must be those in force; a manifest
// that is not newer changes nothing.
func (s *Sets) Vouch(v gate.Generation) error {
	t := s.byName(v.Set)
	if t == nil {
		return fmt.Errorf("vouch for %s: %w", v.Set, ErrUnknownSet)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.current.Load()
	if g == nil || g.info.Version != v.Version || g.info.Digest != v.Digest {
		return fmt.Errorf("vouch for %s: version %d with this digest is not in force", v.Set, v.Version)
	}
	next := vouch{Issued: v.Issued.UnixMilli(), Manifest: slices.Clone(v.Manifest)}
	if next.Issued <= g.vouched.Load().Issued {
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
		st := SetStatus{Set: t.key.Name, Staging: t.staging, Fault: t.fault}
		if g := t.current.Load(); g != nil {
			st.Version, st.People, st.Bytes = g.info.Version, g.info.People, g.size
			st.KeyID, st.HasKey = g.info.KeyID, g.key != nil
			st.Issued = time.UnixMilli(g.vouched.Load().Issued).UTC()
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
		t.mu.Lock()
		g := t.current.Swap(nil)
		t.mu.Unlock()
		if g != nil {
			errs = append(errs, g.retire())
		}
	}
	return errors.Join(errs...)
}
