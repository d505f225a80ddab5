package cache

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
)

// maxCheckErrors bounds how many faults of one file are listed.
const maxCheckErrors = 10

// CheckFile reads a database file from one end to the other and gives nil when
// it holds what was written into it: bbolt's own check, then ours (a data set:
// order, count and digest of its blocks; a journal: sequence, chain, digests of
// records, cursor). Of a file of a newer schema only the first part is judged.
//
// A damaged file can end the process, so this is for a child process. It takes
// a shared lock and writes nothing.
func CheckFile(path string) error {
	if _, err := readHeader(path); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	db, _, err := openBolt(path, bbolt.Options{ReadOnly: true, PreLoadFreelist: true})
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if err := checkPages(tx); err != nil {
				return err
			}
			return checkContent(tx)
		})
	})
	if cerr := guard(db.Close); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	return nil
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

func checkContent(tx *bbolt.Tx) error {
	kind, schema, err := kindOf(tx)
	switch {
	case err != nil:
		return err
	case kind == kindSet && schema <= setSchema:
		g, err := readGeneration(tx)
		if err != nil {
			return err
		}
		b := tx.Bucket(bucketBlocks)
		if b == nil {
			return fmt.Errorf("%w: no blocks", ErrDamaged)
		}
		return verifyBlocks(b, g)
	case kind == kindSet, kind == kindJournal && schema > journalSchema:
		return nil
	case kind == kindJournal:
		return verifyJournal(tx)
	}
	return fmt.Errorf("%w: unknown kind %q", ErrDamaged, kind)
}
