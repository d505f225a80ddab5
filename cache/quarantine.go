package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gateagent/agent/durable"
)

// keepQuarantined is how many damaged files are kept.
const keepQuarantined = 3

func (j *Journal) quarantineDir() string { return j.path("quarantine") }

// quarantine moves a file of the journal into quarantine.
func (j *Journal) quarantine(path string) (name string, err error) {
	return quarantineFile(j.quarantineDir(), path, j.opts.Now())
}

// quarantineFile moves a file into quarantine and gives its name there. Names
// begin with a running number, because the clock of the box may have been wrong.
func quarantineFile(dir, path string, now time.Time) (name string, err error) {
	have, err := listQuarantine(dir)
	if err != nil {
		return "", err
	}
	number := 1
	if len(have) > 0 {
		if _, err := fmt.Sscanf(have[len(have)-1], "%d-", &number); err != nil {
			return "", err
		}
		number++
	}
	name = fmt.Sprintf("%06d-%s.db", number, now.UTC().Format("20060102T150405Z"))
	if err := os.Rename(path, filepath.Join(dir, name)); err != nil {
		return "", err
	}
	var errs []error
	for len(have) >= keepQuarantined {
		errs = append(errs, os.Remove(filepath.Join(dir, have[0])))
		have = have[1:]
	}
	errs = append(errs, durable.SyncDir(dir), durable.SyncDir(filepath.Dir(path)))
	return name, errors.Join(errs...)
}

// listQuarantine gives the names of the files in quarantine, oldest first.
func listQuarantine(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		var number int
		if _, err := fmt.Sscanf(e.Name(), "%d-", &number); err == nil && strings.HasSuffix(e.Name(), ".db") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}
