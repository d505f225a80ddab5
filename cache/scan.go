package cache

import (
	"errors"
	"fmt"

	"gateagent/agent/gate"
	"gateagent/cache/overlay"
)

// ScanFile reads a set file, with its parts, as it lies on a box: what it says
// of itself, its size, and all its blocks whole and in ascending order; value
// and extras are only good until each returns. each may be nil. The file may be
// in use. Deltas that are not folded into it yet are not in it. An error of each
// ends it and comes back as it is.
func ScanFile(path string, each func(no uint64, value, extras []byte) error) (gate.Generation, int64, error) {
	first, info, err := openPart(path)
	if err != nil {
		return gate.Generation{}, 0, fmt.Errorf("read set file: %w", err)
	}
	if err := first.close(); err != nil {
		return gate.Generation{}, 0, fmt.Errorf("read set file: %w", err)
	}
	g, err := openGeneration(path, info.Set, info.Version)
	if err != nil {
		return gate.Generation{}, 0, fmt.Errorf("read set file: %w", err)
	}
	if each != nil {
		err = guard(func() error { return g.scan(each) })
	}
	return g.describe(), g.size, errors.Join(err, g.close())
}

func (g *generation) scan(each func(no uint64, value, extras []byte) error) error {
	in, folder := g.reader(), overlay.NewFolder(g.info.Width)
	for no := range g.info.Blocks {
		b, err := in.block(no)
		if err != nil {
			return err
		}
		if b = folder.Whole(b, nil); len(b.Value) == 0 {
			continue
		}
		if err := each(no, b.Value, b.Extras); err != nil {
			return err
		}
	}
	return nil
}
