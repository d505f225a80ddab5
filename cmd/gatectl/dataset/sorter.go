package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"gateagent/agent/gate"
)

// record is one line of a list on its way into a set: 24 bytes, since a nation
// passes here.
type record struct {
	person gate.Pseudonym
	// tag tells the same person twice from two people who share a pseudonym.
	tag   uint64
	word  gate.Word
	check uint16
	body  uint32 // where the body of the extras lies in the slab, behind its length; 0: none
}

func compareRecords(a, b record) int {
	if c := cmp.Compare(a.person, b.person); c != 0 {
		return c
	}
	return cmp.Compare(a.tag, b.tag)
}

const (
	// maxSlab and minSlab bound the records of a slab.
	maxSlab, minSlab = 32 << 10, 1 << 10
	// recordBytes is what a record takes in memory, with its share of extras:
	// a slab that has more of these counts as full.
	recordBytes = 24 + bodyBytes
	bodyBytes   = 8
	// mergeFan is how many runs are merged at a time.
	mergeFan = 128
)

// slab is a piece of memory full of records: so small that it is sorted within
// the processor's cache.
type slab struct {
	records []record
	bodies  []byte
}

func (s *slab) full() bool {
	return len(s.records) == cap(s.records) || len(s.bodies) >= cap(s.records)*bodyBytes
}

func (s *slab) reset() { s.records, s.bodies = s.records[:0], append(s.bodies[:0], 0) }

func (s *slab) body(r record) []byte {
	if r.body == 0 {
		return nil
	}
	n := int(s.bodies[r.body])
	return s.bodies[int(r.body)+1 : int(r.body)+1+n]
}

// sorter sorts more records than memory holds. Records go into runs; a run
// whose memory is full is sorted into a file. In the end all files and what is
// still in memory are merged.
type sorter struct {
	temp    string
	records int // of a slab
	slabs   int // that one run may fill

	mu    sync.Mutex
	dir   *tempDir // guarded by mu; nil until the first file
	files []*os.File
	runs  []*run
	// create makes a file; tests make others.
	create func(d *tempDir) (*os.File, error)
}

func newSorter(temp string, memory int64, workers int) *sorter {
	// A quarter is for lines under way, merging and what the collector has not
	// yet taken.
	fit := memory * 3 / 4 / int64(workers) / recordBytes
	s := &sorter{temp: temp, create: (*tempDir).create}
	s.records = int(min(max(fit, minSlab), maxSlab))
	s.slabs = max(int(fit/int64(s.records)), 1)
	return s
}

// run makes a run, for one goroutine.
func (s *sorter) run() *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &run{sorter: s}
	s.runs = append(s.runs, r)
	return r
}

// run collects records.
type run struct {
	sorter *sorter
	full   []*slab // sorted
	open   *slab   // nil: none
	spare  []*slab
}

// add takes a record and the body of its extras, which may be empty.
func (r *run) add(rec record, body []byte) error {
	if r.open == nil {
		if n := len(r.spare); n > 0 {
			r.open, r.spare = r.spare[n-1], r.spare[:n-1]
		} else {
			r.open = &slab{records: make([]record, 0, r.sorter.records)}
		}
		r.open.reset()
	}
	if len(body) > 0 {
		rec.body = uint32(len(r.open.bodies))
		r.open.bodies = append(append(r.open.bodies, byte(len(body))), body...)
	}
	r.open.records = append(r.open.records, rec)
	if !r.open.full() {
		return nil
	}
	r.end()
	if len(r.full) < r.sorter.slabs || r.sorter.temp == "" {
		return nil
	}
	return r.spill()
}

// end sorts the slab that is being filled.
func (r *run) end() {
	if r.open == nil {
		return
	}
	slices.SortFunc(r.open.records, compareRecords)
	r.full, r.open = append(r.full, r.open), nil
}

// spill writes what the run holds to a file.
func (r *run) spill() error {
	var sources []source
	for _, s := range r.full {
		sources = append(sources, &slabSource{slab: s})
	}
	f, err := r.sorter.write(sources)
	if err != nil {
		return err
	}
	r.spare, r.full = append(r.spare, r.full...), r.full[:0]
	r.sorter.mu.Lock()
	defer r.sorter.mu.Unlock()
	r.sorter.files = append(r.sorter.files, f)
	return nil
}

// write merges sources into a new file.
func (s *sorter) write(sources []source) (*os.File, error) {
	f, err := s.newFile()
	if err != nil {
		return nil, err
	}
	err = func() error {
		m, err := newMerge(sources)
		if err != nil {
			return err
		}
		w := newRunWriter(f)
		for {
			it, ok, err := m.next()
			if err != nil {
				return err
			}
			if !ok {
				return w.flush()
			}
			if err := w.add(it); err != nil {
				return err
			}
		}
	}()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sort on the disk: %w", err), f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

func (s *sorter) newFile() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == nil {
		dir, err := newTempDir(s.temp)
		if err != nil {
			return nil, err
		}
		s.dir = dir
	}
	return s.create(s.dir)
}

// sources gives all records, sorted in parts. The runs take no more.
func (s *sorter) sources() ([]source, error) {
	for len(s.files) > mergeFan {
		var part []source
		for _, f := range s.files[:mergeFan] {
			part = append(part, &fileSource{file: f, size: runBuffer})
		}
		f, err := s.write(part)
		if err != nil {
			return nil, err
		}
		for _, old := range s.files[:mergeFan] {
			if err := errors.Join(old.Close(), os.Remove(old.Name())); err != nil {
				return nil, fmt.Errorf("sort on the disk: %w", err)
			}
		}
		s.files = append(s.files[mergeFan:], f)
	}
	var all []source
	for _, f := range s.files {
		all = append(all, &fileSource{file: f, size: runBuffer})
	}
	for _, r := range s.runs {
		r.end()
		r.spare = nil
		for _, slab := range r.full {
			all = append(all, &slabSource{slab: slab})
		}
	}
	return all, nil
}

// close removes the files.
func (s *sorter) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	s.files, s.runs = nil, nil
	if s.dir != nil {
		errs = append(errs, s.dir.remove())
		s.dir = nil
	}
	return errors.Join(errs...)
}
