package cache

import (
	"errors"
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// maxCheckErrors bounds how many faults of one file are listed.
const maxCheckErrors = 10

// CheckFile reads a database file from one end to the other and gives nil when
// it holds what was written into it: bbolt's own check, then ours (a data set:
// order, count and digest of its blocks, in all its parts; a delta log: the digest
// of each delta; a journal: sequence, chain, digests of records, cursor). Of a file of a newer schema only the first
// part is judged.
//
// A damaged file can end the process, so this is for a child process. It takes
// shared locks and writes nothing.
func CheckFile(path string) error {
	kind, schema, err := checkOne(path)
	if err == nil && kind == kindSet && schema <= setSchema {
		err = checkSet(path)
	}
	if err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	return nil
}

// checkOne checks the pages of one file, and a journal whole.
func checkOne(path string) (kind string, schema uint32, err error) {
	if _, err := readHeader(path); err != nil {
		return "", 0, err
	}
	// A child that goes round for ever takes the memory of all.
	if err := checkTree(path); err != nil {
		return "", 0, err
	}
	db, _, err := openBolt(path, bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return "", 0, err
	}
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if err := checkPages(tx); err != nil {
				return err
			}
			if kind, schema, err = kindOf(tx); err != nil {
				return err
			}
			return checkContent(tx, kind, schema)
		})
	})
	if cerr := guard(db.Close); err == nil {
		err = cerr
	}
	return kind, schema, err
}

// checkSet checks the parts of a version and what they hold together.
func checkSet(path string) error {
	parts, err := listParts(path)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, _, err := checkOne(p); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(p), err)
		}
	}
	last, info, err := openPart(path)
	if err != nil {
		return err
	}
	if err := last.close(); err != nil {
		return err
	}
	if info.part != 0 {
		return fmt.Errorf("%w: it is part %d of a version", ErrDamaged, info.part)
	}
	g, err := openGeneration(path, info.Set, info.Version)
	if err != nil {
		return err
	}
	return errors.Join(g.verify(), g.close())
}

func checkPages(tx *bbolt.Tx) error {
	var faults []error
	for err := range tx.Check() { // to the end: the goroutine behind it waits for us
		if len(faults) < maxCheckErrors {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %w", ErrDamaged, errors.Join(faults...))
	}
	return nil
}

func checkContent(tx *bbolt.Tx, kind string, schema uint32) error {
	switch {
	case kind == kindSet, kind == kindJournal && schema > journalSchema, kind == kindDeltas && schema > deltasSchema,
		kind == kindSpent && schema > spentSchema:
		return nil
	case kind == kindDeltas:
		return verifyLog(tx)
	case kind == kindJournal:
		return verifyJournal(tx)
	case kind == kindSpent:
		_, _, _, err := readSpent(tx)
		return err
	}
	return fmt.Errorf("%w: unknown kind %q", ErrDamaged, kind)
}
