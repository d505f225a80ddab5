package cache

import (
	"errors"
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	"gateagent/cache/overlay"
)

// replay reads the delta log after the set file was opened and brings the newest
// version that they make together into force. A log that cannot be read is set
// aside and the version of the file is in force: deltas of central build on it
// again. A log of which nothing is needed is removed.
func (s *Sets) replay(t *set, g *generation) error {
	path := filepath.Join(t.dir, logName)
	if err := removeIfThere(newLogPath(t.dir)); err != nil {
		s.log.Warn("cannot clean up beside the delta log", "set", t.name, "err", err)
	}
	if there, err := exists(path); err != nil || !there {
		return err
	}
	now := *g.grown.Load()
	var runs overlay.Stack
	want := func(n uint64, h logHead) bool { return h.base == g.lineage() && n > g.info.Version }
	take := func(n uint64, h logHead, run *overlay.Overlay) error {
		switch {
		case h.from != now.version || n <= h.from:
			return fmt.Errorf("%w: delta %d is the next after %d, version %d is reached", ErrDamaged, n, h.from, now.version)
		case h.width != g.info.Width:
			return fmt.Errorf("%w: delta %d has records of %d bytes", ErrDamaged, n, h.width)
		case len(h.lists) > 0 && !extends(h.lists, now.lists):
			return fmt.Errorf("%w: delta %d has other lists", ErrDamaged, n)
		}
		now.version, now.people, now.extras, now.issued = n, h.people, h.extras, h.issued
		if len(h.lists) > 0 {
			now.lists = h.lists
		}
		runs.Push(run)
		return nil
	}
	err := viewLog(path, t.name, func(tx *bbolt.Tx) error { return readLog(tx, want, take) })
	switch {
	case errors.Is(err, ErrDamaged):
		return errors.Join(err, s.setAside(t, path, err))
	case err != nil:
		s.log.Error("the delta log cannot be read", "set", t.name, "err", err)
		return err
	case now.version == g.info.Version:
		if err := removeLog(t.dir); err != nil {
			s.log.Warn("cannot remove a delta log of no use", "set", t.name, "err", err)
		}
		return nil
	}
	now.overlay = runs.Overlay()
	g.grown.Store(&now)
	return nil
}
