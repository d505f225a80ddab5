package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"gateagent/sync/wire"
)

// Publication is a version that was published.
type Publication struct {
	Version uint64   `json:"version"`
	Digests []string `json:"chunks"`
	Deltas  []uint64 `json:"deltas,omitempty"`
}

// keepPublished is how many versions stay on the broker: a box may be in the
// middle of reading the one before.
const keepPublished = 2

// KeepBases is of how many bases, the newest included, all is kept in the
// folder: the set can go back to them.
const KeepBases = 3

// Published gives the versions that are on the broker, newest first.
func (f Folder) Published() ([]Publication, error) {
	b, err := os.ReadFile(f.published())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	var all []Publication
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("read what was published: %s: %w", f.published(), err)
	}
	return all, nil
}

// Note writes down that m is on the broker. It gives the digests of chunks
// that neither m nor the version before names any more and that can be
// cleared; the note keeps them until [Folder.Cleared]. Deltas are cleared by
// the numbers that [Folder.StaleDeltas] gives.
func (f Folder) Note(m wire.Manifest) (stale []string, err error) {
	all, err := f.Published()
	if err != nil {
		return nil, err
	}
	now := Publication{Version: m.Ver}
	if now.Digests, err = f.Digests(m); err != nil {
		return nil, err
	}
	for _, ref := range m.Deltas {
		now.Deltas = append(now.Deltas, ref.N)
	}
	if len(all) > 0 && all[0].Version == m.Ver {
		// Published again, or as another base: what it no longer names has to
		// go some time.
		now, all = now.with(all[0]), all[1:]
	}
	all = append([]Publication{now}, all...)
	if err := f.writeNote(all); err != nil {
		return nil, err
	}
	return staleOf(all, func(p Publication) []string { return p.Digests }), nil
}

// with adds what an earlier publication of the same version names.
func (p Publication) with(o Publication) Publication {
	for _, d := range o.Digests {
		if !slices.Contains(p.Digests, d) {
			p.Digests = append(p.Digests, d)
		}
	}
	for _, n := range o.Deltas {
		if !slices.Contains(p.Deltas, n) {
			p.Deltas = append(p.Deltas, n)
		}
	}
	return p
}

// StaleDeltas gives the numbers of deltas that are on the broker and that the
// last two versions no longer name.
func (f Folder) StaleDeltas() ([]uint64, error) {
	all, err := f.Published()
	if err != nil {
		return nil, err
	}
	return staleOf(all, func(p Publication) []uint64 { return p.Deltas }), nil
}

// staleOf gives what only older publications name, each once.
func staleOf[T comparable](all []Publication, of func(Publication) []T) (stale []T) {
	named := map[T]bool{}
	for i, p := range all {
		for _, d := range of(p) {
			switch {
			case i < keepPublished:
				named[d] = true
			case !named[d]:
				named[d] = true
				stale = append(stale, d)
			}
		}
	}
	return stale
}

// Cleared says that what Note and StaleDeltas called stale is off the broker.
// It removes the files that nothing needs any more.
func (f Folder) Cleared(m wire.Manifest) error {
	all, err := f.Published()
	if err != nil {
		return err
	}
	if err := f.writeNote(all[:min(len(all), keepPublished)]); err != nil {
		return err
	}
	return f.pruneBut(m)
}

func (f Folder) writeNote(all []Publication) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("note what was published: %w", err)
	}
	return writeFile(f.published(), append(b, '\n'))
}

// Bases gives the manifests that the set can go back to, the newest base
// first.
func (f Folder) Bases() ([]wire.Manifest, error) {
	numbers, err := numbered(f.manifests())
	if err != nil {
		return nil, err
	}
	var all []wire.Manifest
	for _, v := range numbers {
		compact, err := readDocument(document(f.manifests(), v))
		if err != nil {
			return nil, err
		}
		m, err := readManifest(compact)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", document(f.manifests(), v), err)
		}
		all = append(all, m)
	}
	return all, nil
}

// numbered gives the numbers that documents in a directory are named by,
// highest first.
func numbered(dir string) ([]uint64, error) {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look through the folder: %w", err)
	}
	var all []uint64
	for _, file := range files {
		name, ok := strings.CutSuffix(file.Name(), ".jws")
		if n, err := strconv.ParseUint(name, 10, 64); ok && err == nil {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, func(a, b uint64) int {
		if a > b {
			return -1
		}
		return 1
	})
	return all, nil
}

// prune removes what neither the last bases nor what is on the broker needs.
func (f Folder) prune() error {
	m, err := f.Newest()
	if err != nil {
		return err
	}
	return f.pruneBut(m)
}

func (f Folder) pruneBut(m wire.Manifest) error {
	kept, err := f.Bases()
	if err != nil {
		return err
	}
	for _, old := range kept[min(len(kept), KeepBases):] {
		if err := os.Remove(document(f.manifests(), old.Base.Version)); err != nil {
			return fmt.Errorf("remove an old manifest: %w", err)
		}
	}
	chunks, deltas := map[string]bool{}, map[uint64]bool{}
	for _, m := range append(kept[:min(len(kept), KeepBases)], m) {
		digests, err := f.Digests(m)
		if errors.Is(err, fs.ErrNotExist) && m.Ver != m.Base.Version {
			continue // an old lineage of which a part is gone is of no use
		}
		if err != nil {
			return err
		}
		for _, d := range digests {
			chunks[d] = true
		}
		for _, ref := range m.Deltas {
			deltas[ref.N] = true
		}
	}
	published, err := f.Published()
	if err != nil {
		return err
	}
	for _, p := range published {
		for _, d := range p.Digests {
			chunks[d] = true
		}
		for _, n := range p.Deltas {
			deltas[n] = true
		}
	}
	files, err := os.ReadDir(f.chunks())
	if err != nil {
		return fmt.Errorf("look through the chunks: %w", err)
	}
	for _, file := range files {
		if chunks[file.Name()] || !wire.ValidDigest(file.Name()) {
			continue
		}
		if err := os.Remove(f.chunk(file.Name())); err != nil {
			return fmt.Errorf("remove a chunk: %w", err)
		}
	}
	numbers, err := numbered(f.deltas())
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if deltas[n] {
			continue
		}
		if err := os.Remove(document(f.deltas(), n)); err != nil {
			return fmt.Errorf("remove a delta: %w", err)
		}
	}
	return nil
}

// Back gives the manifest by which the set goes back to an older version, to be
// signed with new dates. The version must be one of a base that is kept, or
// have come from it by deltas.
func (f Folder) Back(to uint64) (wire.Manifest, error) {
	newest, err := f.Newest()
	if err != nil {
		return wire.Manifest{}, err
	}
	if to >= newest.Ver {
		return wire.Manifest{}, fmt.Errorf("version %d is not below version %d, which is in %s", to, newest.Ver, f.dir)
	}
	bases, err := f.Bases()
	if err != nil {
		return wire.Manifest{}, err
	}
	var can []string
	for _, m := range bases {
		if m.Base.Version <= to && to <= m.Ver {
			m.Ver = to
			m.Deltas = slices.DeleteFunc(slices.Clone(m.Deltas), func(r wire.DeltaRef) bool { return r.N > to || r.N <= m.Base.Version })
			m.BackFrom = max(newest.Ver, newest.BackFrom)
			for _, c := range m.Chunks {
				if !exists(f.chunk(c.Digest)) {
					return wire.Manifest{}, fmt.Errorf("version %d: chunk %s is no longer there", to, c.Digest)
				}
			}
			if _, err := f.Digests(m); err != nil {
				return wire.Manifest{}, err
			}
			return m, m.Check()
		}
		if m.Base.Version < newest.Ver {
			can = append(can, fmt.Sprintf("%d to %d", m.Base.Version, min(m.Ver, newest.Ver-1)))
		}
	}
	return wire.Manifest{}, fmt.Errorf("version %d is not kept in %s; the set can go back to %s", to, f.dir, strings.Join(can, ", "))
}
