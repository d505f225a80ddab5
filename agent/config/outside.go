package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret bounds a key or password file.
const maxSecret = 64 << 10

// credentials stands in front of the name of a file that systemd hands over
// (LoadCredential= in the unit): it is there only while the service runs.
const credentials = "$CREDENTIALS_DIRECTORY/"

// secretPath reads the name of a key or password file and makes it absolute.
func (r *reader) secretPath(t *table, name string) string {
	p := r.text(t, name, "", "", func(s string) (what, hint string) {
		id, ok := strings.CutPrefix(s, credentials)
		switch {
		case ok && (id == "" || id == "." || id == ".." || strings.Contains(id, "/")):
			return "names no credential: what follows " + credentials + " is the name alone", fmt.Sprintf("write %s = %q", name, credentials+"vn.key")
		case !ok && strings.HasPrefix(s, "$"):
			return "begins with a variable; the only one that is known is " + strings.TrimSuffix(credentials, "/"), "write the whole path"
		}
		return "", ""
	})
	if id, ok := strings.CutPrefix(p, credentials); ok {
		if dir := os.Getenv(credentials[1 : len(credentials)-1]); dir != "" {
			return filepath.Join(dir, id)
		}
		return p
	}
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(r.dir, p)
}

// written gives a path the way the file has it, for messages.
func (r *reader) written(path string) string {
	if rel, err := filepath.Rel(r.dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// secretFile judges a key or password file that a key names: it must be there
// and be a file; others being able to read it is a warning.
func (r *reader) secretFile(key, path, what string) {
	if path == "" || r.bad[key] {
		return
	}
	at, shown := r.at[key], r.written(path)
	if id, ok := strings.CutPrefix(path, credentials); ok {
		r.warn(at, key, fmt.Sprintf("%s comes from systemd and is not there now: %s", what, path),
			fmt.Sprintf("nothing to do if the unit has LoadCredential=%s:FILE", id))
		return
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.outside(at, key, fmt.Sprintf("%s is not there: %s", what, shown), "copy the file to this place, or correct the path")
		return
	case errors.Is(err, fs.ErrPermission):
		r.warn(at, key, fmt.Sprintf("%s cannot be looked at by this user: %s", what, shown), "run the check with sudo")
		return
	case err != nil:
		r.outside(at, key, fmt.Sprintf("%s cannot be looked at: %s", what, shown), "correct the path")
		return
	case !info.Mode().IsRegular():
		r.outside(at, key, fmt.Sprintf("%s is not a file: %s", what, shown), "name the file itself")
		return
	case info.Size() == 0:
		r.outside(at, key, fmt.Sprintf("%s is empty: %s", what, shown), "copy the file again")
		return
	case info.Size() > maxSecret:
		r.outside(at, key, fmt.Sprintf("%s is larger than %d KiB: %s", what, maxSecret>>10, shown), "this is not the file meant")
		return
	}
	if mode := info.Mode().Perm(); mode&0o027 != 0 {
		r.warn(at, key, fmt.Sprintf("%s can be read or changed by others (mode %04o): %s", what, mode, shown), "chmod 600 "+shown)
	}
}

// pictures judges the source of a replayed camera.
func (r *reader) pictures(key, path string) {
	if path == "" || path == "-" || r.bad[key] {
		return
	}
	at, shown := r.at[key], r.written(path)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		r.outside(at, key, "the pictures are not there: "+shown, "correct the path: a folder of pictures or an MJPEG file")
	case err != nil:
		r.outside(at, key, "the pictures cannot be looked at: "+shown, "correct the path or the rights of its folders")
	}
}
