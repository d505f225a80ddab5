package clock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateagent/agent/durable"
)

// maxFloorFile bounds the file: one line with one time.
const maxFloorFile = 64

// readFloor gives the saved floor; zero and no error when there is none yet.
func readFloor(path string) (time.Time, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read the floor of the clock: %w", err)
	}
	t, err := time.Parse(time.RFC3339, strings.TrimSpace(string(b[:min(len(b), maxFloorFile)])))
	if err != nil {
		return time.Time{}, fmt.Errorf("read the floor of the clock: %s is damaged", path)
	}
	return t.UTC(), nil
}

// writeFloor replaces the file so that a power cut leaves the old or the new
// floor, whole.
func writeFloor(path string, floor time.Time) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("save the floor of the clock: %w", err)
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return durable.WriteFile(path, []byte(floor.Format(time.RFC3339Nano)+"\n"), 0o600)
}
