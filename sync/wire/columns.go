package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

func encodeColumns(width int, blocks []Block) ([]byte, error) {
	var plain []byte
	for _, b := range blocks {
		plain = binary.AppendUvarint(plain, b.No)
		plain = binary.AppendUvarint(plain, uint64(len(b.Value)/width))
		plain = binary.AppendUvarint(plain, uint64(len(b.Extras)))
		plain = append(append(plain, b.Value...), b.Extras...)
	}
	return pack(plain)
}

func decodeColumns(width int, body []byte, each func(no uint64, value, extras []byte) error) error {
	plain, err := unpack(body, MaxInflated)
	if err != nil {
		return fmt.Errorf("decode chunk: %w", err)
	}
	for len(plain) > 0 {
		var head [3]uint64
		for i := range head {
			v, n := binary.Uvarint(plain)
			if n <= 0 {
				return errors.New("decode chunk: cut short")
			}
			head[i], plain = v, plain[n:]
		}
		if head[1] > maxPerBlock || head[2] > MaxInflated || int(head[1])*width+int(head[2]) > len(plain) {
			return errors.New("decode chunk: cut short")
		}
		value := plain[:int(head[1])*width]
		extras := plain[len(value):][:head[2]]
		plain = plain[len(value)+len(extras):]
		if err := each(head[0], value, extras); err != nil {
			return err
		}
	}
	return nil
}
