package clock

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// lookEvery is how often the kernel is asked and the system clock watched.
	lookEvery = time.Second
	// saveRise is how far the floor rises before it is written again: an old
	// floor is still true, and a card wears out.
	saveRise = time.Hour
	// saveRetry is the pause after a floor that could not be written.
	saveRetry = time.Minute
)

// Run watches the system clock and keeps the floor on disk until ctx ends; it
// returns nil. Without it the floor is not saved and steps of the system clock
// go unnoticed.
func (c *Clock) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var retry time.Time // zero: nothing to try again
	for {
		select {
		case <-ctx.Done():
			c.save(0)
			return nil
		case <-tick.C:
			c.mu.Lock()
			c.look()
			step := c.jumped(false)
			c.mu.Unlock()
			c.report(step)
			if retry.IsZero() || time.Now().Before(retry) {
				continue
			}
		case <-c.wake:
		}
		if retry = (time.Time{}); !c.save(saveRise) {
			retry = time.Now().Add(saveRetry)
		}
	}
}

// look asks the kernel how it came by its time. c.mu is held, or c is not yet
// shared.
func (c *Clock) look() {
	synced, err := c.o.Synchronised()
	c.synced = synced && err == nil
	if c.rtc == "" { // its driver may be loaded late
		c.rtc = hardwareClock(c.o.RTCPath)
	}
}

// hardwareClock names the clock from which the kernel set its own at boot.
func hardwareClock(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name(), "hctosys"))
		if err == nil && strings.TrimSpace(string(b)) == "1" {
			return e.Name()
		}
	}
	return ""
}

// save writes the floor when it has risen by at least rise since it was
// written last, or has been set lower; false when that failed.
func (c *Clock) save(rise time.Duration) bool {
	if c.o.FloorFile == "" {
		return true
	}
	c.mu.Lock()
	floor, saved := c.floor.time, c.saved
	c.mu.Unlock()
	if floor.Equal(saved) || !floor.Before(saved) && floor.Sub(saved) < rise {
		return true
	}
	err := writeFloor(c.o.FloorFile, floor)
	if err != nil {
		c.log.Error("the floor of the clock was not saved", "err", err)
	} else {
		saved = floor
	}
	c.mu.Lock()
	c.saved, c.floorProblem = saved, err
	c.mu.Unlock()
	return err == nil
}
