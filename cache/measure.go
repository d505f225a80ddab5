package cache

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// SetShape says how a set file, with its parts, lies on the disk.
type SetShape struct {
	Files  int
	Bytes  int64 // of all files
	Blocks BucketShape
	Extras BucketShape // zero when nobody has any
}

// BucketShape says how a bucket lies in its files.
type BucketShape struct {
	Keys     int
	Branches int // pages
	Leaves   int // pages
	// LeafOverflow is how many pages lie behind leaves because a value does
	// not fit one page: each costs whoever looks there a page more.
	LeafOverflow int
	Depth        int // pages from the root to a leaf, both counted
	LeafUsed     int64
	LeafBytes    int64
}

// MeasureSet reads all of the set file at path and gives its shape. The file may
// be in force.
func MeasureSet(path string) (shape SetShape, err error) {
	last, info, err := openPart(path)
	if err != nil {
		return SetShape{}, fmt.Errorf("measure: %w", err)
	}
	if err := last.close(); err != nil {
		return SetShape{}, fmt.Errorf("measure: %w", err)
	}
	g, err := openGeneration(path, info.Set, info.Version)
	if err != nil {
		return SetShape{}, fmt.Errorf("measure: %w", err)
	}
	shape = SetShape{Files: len(g.parts), Bytes: g.size}
	err = guard(func() error {
		for i := range g.parts {
			shape.Blocks.add(g.parts[i].blocks.Stats())
			if b := g.parts[i].extras; b != nil {
				shape.Extras.add(b.Stats())
			}
		}
		return nil
	})
	return shape, errors.Join(err, g.close())
}

func (s *BucketShape) add(b bbolt.BucketStats) {
	s.Keys += b.KeyN
	s.Branches += b.BranchPageN
	s.Leaves += b.LeafPageN
	s.LeafOverflow += b.LeafOverflowN
	s.Depth = max(s.Depth, b.Depth)
	s.LeafUsed += int64(b.LeafInuse)
	s.LeafBytes += int64(b.LeafAlloc)
}
