package cache

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	"gateagent/agent/durable"
	"gateagent/cache/overlay"
)

// replay reads the delta log after the set file was opened and brings the newest
// version that they make together into force. A log that cannot be read is set
// aside and the version of the file is in force: deltas of central build on it
// again. A log of which nothing is needed is removed.
//
// Some damage, such as a page that refers to itself, ends the process that lets
// bbolt meet it. So the log's pages are looked at first, and after a run that
// did not end well all of it is checked by a child process.
func (s *Sets) replay(t *set, g *generation) error {
	path := filepath.Join(t.dir, logName)
	if err := removeIfThere(newLogPath(t.dir)); err != nil {
		s.log.Warn("cannot clean up beside the delta log", "set", t.name, "err", err)
	}
	if there, err := exists(path); err != nil || !there {
		return errors.Join(err, removeIfThere(t.logMark()))
	}
	if err := s.checkLog(t, path); errors.Is(err, ErrDamaged) {
		return errors.Join(err, s.setAside(t, path, err))
	} else if err != nil {
		s.log.Error("the delta log cannot be read", "set", t.name, "err", err)
		return err
	}
	s.markLog(t)
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

// logMark is a file that is there while a process may be reading or writing the
// log.
func (t *set) logMark() string { return filepath.Join(t.dir, "delta.open") }

func (s *Sets) markLog(t *set) {
	if t.logMarked {
		return
	}
	if err := durable.WriteFile(t.logMark(), nil, fileMode); err != nil { // no reason to go without deltas
		s.log.Warn("cannot mark the delta log as open", "set", t.name, "err", err)
		return
	}
	t.logMarked = true
}

// checkLog says whether the log can be opened.
func (s *Sets) checkLog(t *set, path string) error {
	if _, err := readHeader(path); err != nil {
		return err
	}
	if marked, err := exists(t.logMark()); err != nil {
		return err
	} else if !marked {
		return checkTree(path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.CheckWait)
	defer cancel()
	err := s.opts.Check(ctx, path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotChecked):
		return fmt.Errorf("check %s: %w", path, err)
	}
	return fmt.Errorf("check %s: %w: %w", path, ErrDamaged, err)
}
