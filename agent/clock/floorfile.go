package clock

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
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
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.new")
	if err != nil {
		return err
	}
	_, err = f.WriteString(floor.Format(time.RFC3339Nano) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // a leftover does no harm
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
