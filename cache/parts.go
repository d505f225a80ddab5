package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gateagent/agent/durable"
)

// A version is the file <version>.db, part 0, and where it is larger than one
// file may be, <version>.1.db, <version>.2.db, … beside it. The one without a
// number counts: it gets its name last and loses it first.

// partPath gives the path of a part of the version whose part 0 is at path.
func partPath(path string, number int) string {
	if number == 0 {
		return path
	}
	return fmt.Sprintf("%s.%d.db", strings.TrimSuffix(path, ".db"), number)
}

// foldedParts is added to the numbers of the parts of a file into which deltas
// were folded, so that the whole version of the same number can be put in place
// beside it.
const foldedParts = 1000

// partName gives the number in the name of part number.
func (i *setInfo) partName(number int) int {
	if number > 0 && i.folded() {
		return foldedParts + number
	}
	return number
}

// parsePart reads the name of a set file or of a part.
func parsePart(name string) (version uint64, number int, ok bool) {
	name, ok = strings.CutSuffix(name, ".db")
	if !ok {
		return 0, 0, false
	}
	name, suffix, parted := strings.Cut(name, ".")
	version, err := strconv.ParseUint(name, 10, 64)
	if err != nil || strconv.FormatUint(version, 10) != name {
		return 0, 0, false
	}
	if !parted {
		return version, 0, true
	}
	number, err = strconv.Atoi(suffix)
	return version, number, err == nil && number > 0 && strconv.Itoa(number) == suffix
}

// listVersions gives the versions with a file in dir, newest first, and the
// paths of parts that belong to none.
func listVersions(dir string) (versions []uint64, orphans []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, nil, err
	}
	parts := map[string]uint64{}
	for _, e := range entries {
		switch version, number, ok := parsePart(e.Name()); {
		case !ok:
		case number == 0:
			versions = append(versions, version)
		default:
			parts[e.Name()] = version
		}
	}
	for name, version := range parts {
		if !slices.Contains(versions, version) {
			orphans = append(orphans, filepath.Join(dir, name))
		}
	}
	slices.Sort(versions)
	slices.Reverse(versions)
	return versions, orphans, nil
}

// listParts gives the paths of the parts 1, 2, … that lie beside part 0.
func listParts(path string) ([]string, error) {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	want, _, _ := parsePart(filepath.Base(path))
	var out []string
	for _, e := range entries {
		if version, number, ok := parsePart(e.Name()); ok && version == want && number > 0 {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}

// removeGeneration removes a set file, its parts and what lies beside it: first
// the one that counts, so that no version without a part is ever found.
func removeGeneration(path string) error {
	if err := removeIfThere(path); err != nil {
		return err
	}
	return removeRest(path)
}

// removeRest removes what lies beside a set file that is gone.
func removeRest(path string) error {
	parts, err := listParts(path)
	errs := []error{err, removeIfThere(vouchPath(path)), removeIfThere(suspectPath(path))}
	if len(parts) > 0 {
		errs = append(errs, durable.SyncDir(filepath.Dir(path)))
	}
	for _, p := range parts {
		errs = append(errs, removeIfThere(p))
	}
	return errors.Join(errs...)
}
