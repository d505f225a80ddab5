package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"gateagent/agent/gate"
)

// EncodeChanges writes changes, in the order of [CompareChanges], as messages
// of at most [MaxChunk] bytes. width is that of the records: 7, with check
// bits 9.
func EncodeChanges(changes []gate.Change, width int) ([][]byte, error) {
	var out [][]byte
	for len(changes) > 0 {
		n := min(len(changes), 10_000)
		var plain []byte
		for _, c := range changes[:n] {
			plain = binary.AppendUvarint(plain, c.Block)
			plain = binary.AppendVarint(plain, int64(c.Place))
			plain = binary.AppendUvarint(plain, c.Rem)
			gone := byte(0)
			if c.Gone {
				gone = 1
			}
			plain = append(plain, gone)
			plain = binary.AppendUvarint(plain, uint64(c.Word)<<16|uint64(c.Check))
			plain = binary.AppendUvarint(plain, uint64(len(c.Extras)))
			plain = append(plain, c.Extras...)
		}
		body, err := pack(plain)
		if err != nil {
			return nil, fmt.Errorf("encode changes: %w", err)
		}
		out, changes = append(out, body), changes[n:]
	}
	return out, nil
}

// DecodeChanges reads one of the messages that [EncodeChanges] gave.
func DecodeChanges(body []byte, each func(gate.Change) error) error {
	plain, err := unpack(body, MaxInflated)
	if err != nil {
		return fmt.Errorf("decode changes: %w", err)
	}
	bad := false
	next := func() uint64 {
		v, n := binary.Uvarint(plain)
		if n <= 0 {
			bad = true
			return 0
		}
		plain = plain[n:]
		return v
	}
	for len(plain) > 0 {
		c := gate.Change{Block: next()}
		place := next()
		c.Place = int(int64(place>>1) ^ -int64(place&1))
		c.Rem = next()
		c.Gone = next() == 1
		v := next()
		c.Word, c.Check = gate.Word(v>>16), uint16(v)
		n := next()
		if bad || n > uint64(len(plain)) {
			return errors.New("decode changes: cut short")
		}
		c.Extras, plain = plain[:n:n], plain[n:]
		if len(c.Extras) == 0 {
			c.Extras = nil
		}
		if err := each(c); err != nil {
			return err
		}
	}
	return nil
}
