// Package gate holds the words every other package speaks: what was scanned,
// what it claims, what is known about the person, what was decided and what
// followed.
//
// It owns no file, no device and no goroutine, and imports only the standard
// library, so that every package may import it. Values carry no storage or
// wire tags: each edge (agent/record, sync/wire, agent/localapi) has its own
// form, so that a rename here never changes a byte on disk or on the wire.
//
// Units: instants are time.Time in UTC, calendar days are [Day], durations are
// time.Duration, ages are seconds.
package gate
