package lane

import (
	"context"
	"errors"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/supervise"
)

const (
	reopenFirst = 250 * time.Millisecond
	reopenLast  = 5 * time.Second
	// steadyScanner is how long a scanner has to stay open for the next pause
	// to be short again.
	steadyScanner = 10 * time.Second
)

// read keeps a scanner open and lays what it sees into the slot, until ctx
// ends or the source has.
func (l *Lane) read(ctx context.Context) {
	pause := supervise.Backoff{Min: reopenFirst, Max: reopenLast}
	for {
		opened := time.Now()
		err := l.readOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, gate.ErrNoMoreScans):
			l.stats.scanner(ScannerEnded, nil)
			l.log.Info("the scanner has come to its end")
			return
		}
		if l.stats.scanner(ScannerGone, err) {
			l.log.Warn("the scanner is gone", "err", err)
		}
		if time.Since(opened) >= steadyScanner {
			pause.Reset()
		}
		again := time.NewTimer(pause.Next())
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
	}
}

// readOnce opens the scanner and reads until it fails.
func (l *Lane) readOnce(ctx context.Context) (err error) {
	scanner, err := l.o.Open(ctx)
	if err != nil {
		return err
	}
	// Also when it panics: the next one could not open the device.
	defer func() {
		if cerr := scanner.Close(); cerr != nil && ctx.Err() == nil {
			err = errors.Join(err, cerr)
		}
	}()
	l.stats.scanner(ScannerOpen, nil)
	l.log.Info("the scanner is open")
	for {
		scan, err := scanner.Scan(ctx)
		if err != nil {
			return err
		}
		if scan.Seen.IsZero() {
			scan.Seen = time.Now()
		}
		l.offer(scan)
	}
}

// offer lays a scan into the slot unless its code is being held in view.
func (l *Lane) offer(scan gate.Scan) {
	switch l.slot.put(scan) {
	case putRepeat:
		l.stats.count(func(s *Stats) { s.Repeats++ })
	case putReplaced:
		l.stats.count(func(s *Stats) { s.Replaced++ })
	}
}
