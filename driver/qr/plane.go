package qr

import (
	"errors"

	"github.com/makiuchi-d/gozxing"

	"gateagent/driver/frame"
)

// plane is a grey picture as the library wants it: without padding, and
// positive or negative. Its memory is reused from picture to picture.
type plane struct {
	gozxing.LuminanceSourceBase
	pix []byte
	own []byte // memory for copies
}

// set shows the picture itself where it has no padding, else a copy.
func (p *plane) set(g *frame.Gray) {
	p.Width, p.Height = g.Width, g.Height
	if g.Stride == g.Width {
		p.pix = g.Pix[:g.Width*g.Height]
		return
	}
	p.grow()
	for y := range g.Height {
		copy(p.pix[y*g.Width:], g.Row(y))
	}
}

// setNegative shows the negative of q.
func (p *plane) setNegative(q *plane) {
	p.Width, p.Height = q.Width, q.Height
	p.grow()
	for i, v := range q.pix {
		p.pix[i] = ^v
	}
}

func (p *plane) grow() {
	n := p.Width * p.Height
	if cap(p.own) < n {
		p.own = make([]byte, n)
	}
	p.pix = p.own[:n]
}

// GetRow copies row y, into row where that is long enough: the library's
// global threshold writes nothing to it, but its contract allows that.
func (p *plane) GetRow(y int, row []byte) ([]byte, error) {
	if y < 0 || y >= p.Height {
		return nil, errors.New("row outside the picture")
	}
	if len(row) < p.Width {
		row = make([]byte, p.Width)
	}
	copy(row, p.pix[y*p.Width:(y+1)*p.Width])
	return row, nil
}

func (p *plane) GetMatrix() []byte { return p.pix }

func (p *plane) Invert() gozxing.LuminanceSource {
	n := &plane{}
	n.setNegative(p)
	return n
}

func (p *plane) String() string { return gozxing.LuminanceSourceString(p) }
