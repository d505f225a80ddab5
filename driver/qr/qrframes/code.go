package qrframes

import (
	"fmt"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// code is the modules of a symbol, without quiet zone.
type code struct {
	size int
	dark []bool // row by row
	// data says which modules may wear off: all but the finder, format and
	// timing patterns, which show that a code is in view.
	data []bool
}

var levels = [...]decoder.ErrorCorrectionLevel{
	L: decoder.ErrorCorrectionLevel_L, M: decoder.ErrorCorrectionLevel_M,
	Q: decoder.ErrorCorrectionLevel_Q, H: decoder.ErrorCorrectionLevel_H,
}

// encode makes the symbol of a text: UTF-8 bytes without an ECI, as the cards
// have it (digits alone and upper case go into their own modes).
func encode(payload string, version int, ecc ECC) (*code, error) {
	if int(ecc) >= len(levels) {
		return nil, fmt.Errorf("error correction level %d does not exist", ecc)
	}
	hints := map[gozxing.EncodeHintType]any{}
	if version != 0 {
		hints[gozxing.EncodeHintType_QR_VERSION] = version
	}
	q, err := encoder.Encoder_encode(payload, levels[ecc], hints)
	if err != nil {
		return nil, fmt.Errorf("encode %d bytes as a QR code: %w", len(payload), err)
	}
	m := q.GetMatrix()
	n := m.GetWidth()
	c := &code{size: n, dark: make([]bool, n*n), data: make([]bool, n*n)}
	for y := range n {
		for x := range n {
			c.dark[y*n+x] = m.Get(x, y) == 1
			corner := x < 9 && (y < 9 || y >= n-8) || y < 9 && x >= n-8
			c.data[y*n+x] = !corner && x != 6 && y != 6
		}
	}
	return c, nil
}

// at says what the symbol shows at a place in modules from its upper left
// corner: dark or not, and whether that may wear off. Outside is light.
func (c *code) at(u, v float64) (dark, data bool) {
	if u < 0 || v < 0 {
		return false, false
	}
	x, y := int(u), int(v)
	if x >= c.size || y >= c.size {
		return false, false
	}
	i := y*c.size + x
	return c.dark[i], c.data[i]
}
