// Package cache owns the database files of the box: the generations of the
// data sets ([Sets]) and the journal ([Journal]). They are separate bbolt files,
// so that a big data set never delays an entry and a damaged set never takes
// the journal with it; each carries a schema version and one owner.
//
//	sets/<set>/<version>.db     an immutable generation, opened read-only
//	sets/<set>/<version>.1.db … its other parts, where it is larger than a file
//	                            may be
//	sets/<set>/<version>.vouch  the newest manifest that vouches for it, if
//	                            that is not the one inside the file
//	sets/<set>/delta.db         the changes since that file was built
//	sets/<set>/delta.open       there while a process has them open
//	sets/<set>/staging/         the next generation, while it is written
//	sets/<set>/quarantine/      the last generation found damaged
//	journal/journal.db          the gap-free, hash-chained records of an epoch
//	journal/open                there while a process has the journal open
//	journal/last.json           the last position, for the epoch after a loss
//	journal/quarantine/         the newest three files found damaged
//
// It does not know the network, signatures or policies: sync/* hands it verified
// data and takes records from it through small interfaces of its own.
//
// Errors that a caller decides on are sentinels; all others name the operation
// and the file.
//
// Files can be damaged under a running process: a memory card that fails turns
// a read of the mapped file into a fault that would end the process. Reads here
// turn such faults into [ErrDamaged]. What bbolt does in goroutines of its own
// cannot be guarded like that, so a file that may be damaged is first read by a
// child process (the Check of the options, which runs [CheckFile]).
package cache
