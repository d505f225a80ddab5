package cache

import "errors"

// Errors that a caller decides on. They come wrapped with operation and file.
var (
	// ErrDamaged: a file does not hold what was written into it.
	ErrDamaged = errors.New("the file is damaged")
	// ErrNewerSchema: a later version of the agent wrote the file. It was not
	// touched; install that version, or move the file away to begin anew.
	ErrNewerSchema = errors.New("a newer version of the agent wrote this file")
	// ErrInUse: another process holds the file's lock.
	ErrInUse = errors.New("another agent is running on this data directory")
	// ErrNotChecked is for Check functions: the check could not be run at
	// all, which says nothing about the file. It is left where it is.
	ErrNotChecked = errors.New("the file could not be checked")
	// ErrFull: the record was not taken because the disk or the journal is
	// full of records that central has not acknowledged. The lane's on_fault
	// decides. The next record is tried again.
	ErrFull = errors.New("no room for records")
	// ErrBusy: too many records already wait for the disk.
	ErrBusy = errors.New("too many records wait for the disk")
	// ErrClosed: the journal or the sets were closed.
	ErrClosed = errors.New("closed")
	// ErrAckMismatch: an acknowledgement does not fit this journal: another
	// epoch, a sequence number not reached yet, or another hash there.
	ErrAckMismatch = errors.New("the acknowledgement does not fit this journal")
	// ErrStaging: another generation of the set is being written.
	ErrStaging = errors.New("another generation of this set is being written")
	// ErrNotNewer: the set already has this version or a later one.
	ErrNotNewer = errors.New("the set already has this version or a newer one")
	// ErrOtherBase: a delta refers to another base than the one that the
	// version in force has grown from.
	ErrOtherBase = errors.New("the change is one of another base")
	// ErrGap: deltas between the version in force and this one are missing.
	ErrGap = errors.New("changes before it are missing")
	// ErrTooMany: the changes do not fit into memory; a whole version is needed.
	ErrTooMany = errors.New("too many changes")
	// ErrUnknownSet: the set is not among the configured ones.
	ErrUnknownSet = errors.New("no such data set is configured")
)
