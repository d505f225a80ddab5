// Package drivertest holds what every scanner and every relay must keep, as
// suites that drivers and fakes alike are put through, and the fakes
// themselves: so a lane that is tested against a fake is tested against what
// the hardware does.
//
// It owns a pseudo terminal that plays a serial engine, a scanner and an
// output that a test works by hand, and the recording of a scanner's session,
// to be played again. It is for tests only and is never linked into a program
// that ships.
package drivertest

import (
	"context"

	"gateagent/agent/gate"
)

// Scanner is the contract that [TestScanner] holds a driver to.
//
// Scan waits for the next code. One waits at most; while nobody asks, a newer
// different code replaces it. When the device is gone, Scan gives an error and
// goes on giving it; there is no way back but a new Scanner. Close may be
// called at any time, more than once, and ends a waiting Scan.
type Scanner interface {
	Scan(ctx context.Context) (gate.Scan, error)
	Close() error
}

// Relay is the contract that [TestRelay] holds a driver to.
//
// Pulse returns when the line is active; the line falls by itself. Hold and
// Release take no lock and return although another call hangs. Close leaves
// the line held (open) or released (closed, guard).
type Relay interface {
	Pulse(ctx context.Context) error
	Hold() error
	Release()
	Close(onFault gate.OnFault) error
}
