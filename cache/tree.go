package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	freelistFlag = 0x10
	noFreelist   = math.MaxUint64 // as a header has it
	manyFree     = math.MaxUint16 // more than that: their number stands in front of them
)

// checkTree reads the pages of a database from end to end, with plain reads, and
// gives ErrDamaged for what could end the process once bbolt follows it: a page
// that refers to one above it, which bbolt goes round for ever, or a list of
// free pages that is longer than its page. What only makes bbolt panic is left
// to guard, and what is wrong with the values to whoever reads them.
//
// It is for files in which buckets hold no buckets, and reads all of the file.
func checkTree(path string) error {
	s, from, err := openSalvager(path)
	if err != nil {
		return err
	}
	defer s.f.Close()
	err = s.walk(from.root, func(_, v []byte) error {
		return s.bucket(v, func(_, _ []byte) error { return nil })
	})
	if err == nil && from.freelist != noFreelist {
		err = s.freelist(from.freelist)
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// freelist checks that what is said to be free was not met on the way.
func (s *salvager) freelist(id uint64) error {
	page, err := s.page(id)
	if err != nil {
		return err
	}
	e := binary.NativeEndian
	n, list := uint64(e.Uint16(page[10:])), page[pageHead:]
	if n == manyFree {
		n, list = e.Uint64(list), list[8:]
	}
	if e.Uint16(page[8:]) != freelistFlag || n > uint64(len(list)/8) {
		return fmt.Errorf("%w: page %d is no list of free pages", ErrDamaged, id)
	}
	for i := range n {
		if err := s.meet(e.Uint64(list[8*i:])); err != nil {
			return err
		}
	}
	return nil
}
