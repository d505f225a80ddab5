// Package zones holds the time zones of the world for boxes that have no zone
// files: a compressed copy of what Go's own distribution carries, in an eighth
// of the room that time/tzdata takes in the program. It owns the copy and its
// form, and no opinion about which zone anybody is in.
package zones

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// packed is deflated. Each record in it is a line with the names of zones that
// are one, separated by spaces, then the length of their zone file as two
// bytes, big-endian, and the file (RFC 8536).
//
//go:generate go run ../../scripts/zones -o zones.deflate
//go:embed zones.deflate
var packed []byte

// ErrUnknown is what names give that are no zones.
var ErrUnknown = errors.New("no such time zone")

// Load gives a zone by its name, such as "Europe/Paris". It reads the copy
// from its beginning, a few milliseconds, so that callers keep what they got.
func Load(name string) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	found := fmt.Errorf("%q: %w", name, ErrUnknown)
	var zone *time.Location
	err := each(func(names string, file []byte) bool {
		for n := range strings.SplitSeq(names, " ") {
			if n == name {
				zone, found = time.LoadLocationFromTZData(name, file)
				return false
			}
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("built-in time zones: %w", err)
	}
	return zone, found
}

// each calls f with each record until it gives false. What f is given is good
// until it returns.
func each(f func(names string, file []byte) bool) error {
	r := flate.NewReader(bytes.NewReader(packed))
	all, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	for len(all) > 0 {
		names, rest, ok := bytes.Cut(all, []byte("\n"))
		if !ok || len(rest) < 2 {
			return io.ErrUnexpectedEOF
		}
		size := 2 + int(binary.BigEndian.Uint16(rest))
		if len(rest) < size {
			return io.ErrUnexpectedEOF
		}
		if !f(string(names), rest[2:size]) {
			return nil
		}
		all = rest[size:]
	}
	return nil
}
