package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"gateagent/agent/record"
)

// errStop ends a salvage early.
var errStop = errors.New("stop")

// salvage walks one bucket of a damaged database in key order for as far as it
// can be read. It uses plain reads and believes nothing: no mapping that could
// fault, no page twice, no length that leads out of its page (the format is
// bbolt's internal/common, types Page and InBucket). What it meets after a
// damaged page is left out.
func salvage(path string, bucket []byte, fn func(key, value []byte) error) error {
	s, root, err := openSalvager(path)
	if err != nil {
		return err
	}
	defer s.f.Close()
	var head []byte
	err = s.walk(root.root, func(k, v []byte) error {
		if bytes.Equal(k, bucket) {
			head = bytes.Clone(v)
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("%s: %w", path, err)
	}
	if head == nil {
		return fmt.Errorf("%s: %w: bucket %s is gone", path, ErrDamaged, bucket)
	}
	if err := s.bucket(head, fn); err != nil && !errors.Is(err, errStop) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

const (
	pageHead    = 16
	bucketHead  = 16
	elementSize = 16
	branchFlag  = 1
	leafFlag    = 2
	maxOverflow = 1 << 10 // pages; our values are far smaller
)

type salvager struct {
	f     *os.File
	pages uint64          // all are below it
	seen  map[uint64]bool // with those that a page overflows into
}

// roots is where a database begins, as its newest header says.
type roots struct {
	root, freelist uint64 // pages
	txid           uint64
}

// openSalvager opens a database for plain reads. Whoever calls it closes the file.
func openSalvager(path string) (*salvager, roots, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, roots{}, err
	}
	s := &salvager{f: f, seen: map[uint64]bool{}}
	best, err := s.roots()
	if err != nil {
		f.Close()
		return nil, roots{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, best, nil
}

func (s *salvager) roots() (best roots, err error) {
	found := false
	for page := range int64(2) {
		h, id, err := readMeta(s.f, page*pageSize)
		if err != nil {
			return roots{}, err
		}
		if h.pageSize != pageSize || found && id <= best.txid {
			continue
		}
		var b [24]byte
		if _, err := s.f.ReadAt(b[:], page*pageSize+metaOffset+16); err != nil {
			return roots{}, err
		}
		e := binary.NativeEndian
		best, found = roots{root: e.Uint64(b[:]), freelist: e.Uint64(b[16:]), txid: id}, true
		s.pages = uint64(h.pages)
	}
	if !found {
		return roots{}, fmt.Errorf("%w: no database header", ErrDamaged)
	}
	return best, nil
}

func (s *salvager) walk(id uint64, fn func(k, v []byte) error) error {
	page, err := s.page(id)
	if err != nil {
		return err
	}
	e := binary.NativeEndian
	switch e.Uint16(page[8:]) {
	case leafFlag:
		return s.leaf(page, fn)
	case branchFlag:
		for i := range int(e.Uint16(page[10:])) {
			at := pageHead + i*elementSize
			if at+elementSize > len(page) {
				return fmt.Errorf("%w: page %d", ErrDamaged, id)
			}
			if err := s.walk(e.Uint64(page[at+8:]), fn); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%w: page %d is no tree page", ErrDamaged, id)
}

// bucket walks a bucket, given its value in its parent.
func (s *salvager) bucket(head []byte, fn func(k, v []byte) error) error {
	if len(head) < bucketHead {
		return fmt.Errorf("%w: a bucket of %d bytes", ErrDamaged, len(head))
	}
	if top := binary.NativeEndian.Uint64(head); top != 0 {
		return s.walk(top, fn)
	}
	// A small one lies inside its parent.
	if page := head[bucketHead:]; len(page) < pageHead || binary.NativeEndian.Uint16(page[8:]) != leafFlag {
		return fmt.Errorf("%w: no page in a bucket", ErrDamaged)
	}
	return s.leaf(head[bucketHead:], fn)
}

func (s *salvager) leaf(page []byte, fn func(k, v []byte) error) error {
	if len(page) < pageHead {
		return fmt.Errorf("%w: short page", ErrDamaged)
	}
	e := binary.NativeEndian
	for i := range int(e.Uint16(page[10:])) {
		at := pageHead + i*elementSize
		if at+elementSize > len(page) {
			return fmt.Errorf("%w: short page", ErrDamaged)
		}
		pos := uint64(at) + uint64(e.Uint32(page[at+4:]))
		klen, vlen := uint64(e.Uint32(page[at+8:])), uint64(e.Uint32(page[at+12:]))
		if pos+klen+vlen > uint64(len(page)) {
			return fmt.Errorf("%w: an element leads out of its page", ErrDamaged)
		}
		if err := fn(page[pos:pos+klen], page[pos+klen:pos+klen+vlen]); err != nil {
			return err
		}
	}
	return nil
}

// page reads a page with its overflow, none of which was met before.
func (s *salvager) page(id uint64) ([]byte, error) {
	if err := s.meet(id); err != nil {
		return nil, err
	}
	page := make([]byte, pageSize)
	if _, err := s.f.ReadAt(page, int64(id)*pageSize); err != nil {
		return nil, fmt.Errorf("page %d: %w", id, err)
	}
	e := binary.NativeEndian
	if e.Uint64(page) != id {
		return nil, fmt.Errorf("%w: page %d calls itself %d", ErrDamaged, id, e.Uint64(page))
	}
	more := e.Uint32(page[12:])
	if more == 0 {
		return page, nil
	}
	if more > maxOverflow {
		return nil, fmt.Errorf("%w: page %d has %d more", ErrDamaged, id, more)
	}
	for i := range uint64(more) {
		if err := s.meet(id + 1 + i); err != nil {
			return nil, err
		}
	}
	page = make([]byte, (int(more)+1)*pageSize)
	_, err := s.f.ReadAt(page, int64(id)*pageSize)
	return page, err
}

func (s *salvager) meet(id uint64) error {
	if s.seen[id] || id < 2 || id >= s.pages {
		return fmt.Errorf("%w: page %d is met twice or out of range", ErrDamaged, id)
	}
	s.seen[id] = true
	return nil
}

// lastReadable gives the last position up to which the chain of a damaged
// journal can be read; the zero Position when nothing can.
func lastReadable(path string) record.Position {
	var pos, before record.Position
	_ = salvage(path, bucketRecords, func(k, v []byte) error { // what it cannot read is what we do not have
		l, err := parseLink(k, v)
		if err != nil || pos.Seq != 0 && (l.Seq != pos.Seq+1 || l.Prev != pos.Head) {
			return errStop
		}
		h, err := l.Record.Header()
		if err != nil || h.Seq != l.Seq || pos.Seq != 0 && h.Epoch != pos.Epoch {
			return errStop
		}
		before, pos = pos, record.Position{Epoch: h.Epoch, Seq: l.Seq, Head: l.Hash()}
		return nil
	})
	var seq, head []byte
	_ = salvage(path, bucketMeta, func(k, v []byte) error {
		switch string(k) {
		case "seq":
			seq = bytes.Clone(v)
		case "head":
			head = bytes.Clone(v)
		}
		return nil
	})
	if bytes.Equal(seq, be64(pos.Seq)) && len(head) == len(pos.Head) && !bytes.Equal(head, pos.Head[:]) {
		return before // the newest record is the one that was changed
	}
	return pos
}
