package passport

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// MaxPlain bounds what a passport unpacks to, in bytes; real ones have a few
// hundred. A code holds at most 2 KiB of packed data, which zlib could blow up
// to 2 MiB.
const MaxPlain = 64 << 10

// Inflate unpacks zlib (RFC 1950) within [MaxPlain]. What is not packed, is cut
// off, has a wrong checksum or is followed by anything is refused.
func Inflate(packed []byte) ([]byte, error) {
	from := bytes.NewReader(packed)
	z, err := zlib.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	defer z.Close()
	var plain bytes.Buffer
	if _, err := plain.ReadFrom(io.LimitReader(z, MaxPlain+1)); err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	if plain.Len() > MaxPlain {
		return nil, fmt.Errorf("unpack: more than %d bytes", MaxPlain)
	}
	if from.Len() > 0 {
		return nil, errors.New("unpack: something follows the packed data")
	}
	return plain.Bytes(), nil
}
