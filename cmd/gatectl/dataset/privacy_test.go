package dataset

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gateagent/agent/gate"
	"gateagent/cmd/gatectl/people"
)

// TestNothingInTheClear greps every byte that building leaves or passes on the
// disk for a number, a name or the secret.
func TestNothingInTheClear(t *testing.T) {
	n := 40_000
	if testing.Short() {
		n = 8_000
	}
	dir, temp := t.TempDir(), t.TempDir()
	f := NewFolder(dir)
	secret := gate.Key{}
	for i := range secret {
		secret[i] = byte(17*i + 5)
	}
	o := options(func(o *Options) { o.Key, o.CheckBits, o.Memory, o.Temp, o.Workers = secret, true, 1, temp, 2 })
	list := fictional(upTo(n), 1)
	b := read(t, o, list)
	m, _, err := f.WriteBase(t.Context(), b, head(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, m)
	o.Lists = m.Base.Lists
	other := read(t, o, fictional(upTo(n), 2))
	next, changed, err := f.WriteDelta(t.Context(), other, head(0), m, signDelta)
	if err != nil || changed.Changes() < n/10 {
		t.Fatal(err, changed.Changes())
	}
	put(t, f, next)

	var all [][]byte
	seen := 0
	for _, root := range []string{dir, temp} { // the builders are not closed: their files are there
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if root == temp {
				seen++
			}
			all = append(all, []byte(path), text)
			// What is signed is in base64.
			for part := range strings.SplitSeq(string(text), ".") {
				if plain, err := base64.RawURLEncoding.DecodeString(strings.TrimSpace(part)); err == nil {
					all = append(all, plain)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 4 {
		t.Errorf("only %d files of sorting were seen", seen)
	}
	needles := map[string][]byte{
		"the secret": secret[:], "the secret in hexadecimal": []byte(hex.EncodeToString(secret[:])),
		"the secret in base64": []byte(base64.RawURLEncoding.EncodeToString(secret[:])),
		"a name":               []byte("Nguyễn"), "another name": []byte("Mẫu"), "a birth date": []byte("1990-05-17"),
	}
	// A digit more makes chance finds of text unlikely; binary forms are looked
	// for where they stand as numbers of 8 bytes.
	prefix := []byte("00109000")
	needles["the beginning of a number"] = prefix
	src, err := people.Open(strings.NewReader(list), people.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for batch, parser, i := new(people.Batch), src.Parser(), 0; src.Next(batch) == nil; {
		for p := range parser.People(batch) {
			if i++; i%(n/10+1) == 0 {
				v, err := strconv.ParseUint(string(p.Number), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				needles["number "+strconv.Itoa(i)] = []byte(p.Number)
				needles["number "+strconv.Itoa(i)+" as a little-endian integer"] = binary.LittleEndian.AppendUint64(nil, v)[:6]
				needles["number "+strconv.Itoa(i)+" as a big-endian integer"] = binary.BigEndian.AppendUint64(nil, v)[2:]
			}
		}
	}
	for what, needle := range needles {
		for _, text := range all {
			if bytes.Contains(text, needle) {
				t.Errorf("%s is on the disk", what)
			}
		}
	}
	if err := errors.Join(b.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v, %d left of sorting", err, len(left))
	}
}
