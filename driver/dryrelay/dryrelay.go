// Package dryrelay is a relay without a relay: it says in the log what it
// would have opened, and counts. For demonstrations, for the bench, and for a
// gate that only watches.
//
// It owns nothing but its counters; the timing is driver/pulse's, so that a
// dry run keeps the very times of a real one.
package dryrelay

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"gateagent/driver/pulse"
)

// Options describe one relay.
type Options struct {
	Pulse time.Duration // length of an opening
}

// Source makes dry relays. It is safe for concurrent use.
type Source struct {
	o   Options
	log *slog.Logger
}

// NewSource checks the options.
func NewSource(o Options, log *slog.Logger) (*Source, error) {
	if err := pulse.CheckLength(o.Pulse); err != nil {
		return nil, fmt.Errorf("dry relay: %w", err)
	}
	return &Source{o: o, log: log}, nil
}

// Relay is a dry relay; its methods are those of [pulse.Relay].
type Relay struct {
	*pulse.Relay
	out *output
}

// Open makes a relay at rest.
func (s *Source) Open() (*Relay, error) {
	out := &output{log: s.log}
	timing, err := pulse.New(out, s.o.Pulse, s.log)
	if err != nil {
		return nil, fmt.Errorf("dry relay: %w", err)
	}
	return &Relay{Relay: timing, out: out}, nil
}

// Active says whether the gate would be open now.
func (r *Relay) Active() bool { return r.out.active.Load() }

// Openings counts how often the gate would have opened.
func (r *Relay) Openings() uint64 { return r.out.openings.Load() }

// output takes the place of a line.
type output struct {
	log      *slog.Logger
	active   atomic.Bool
	openings atomic.Uint64
}

func (o *output) Set(active bool) error {
	if o.active.Swap(active) == active {
		return nil
	}
	if active {
		o.log.Info("dry relay: would open the gate", "openings", o.openings.Add(1))
	} else {
		o.log.Info("dry relay: would let the gate shut")
	}
	return nil
}
