package imagefile

import (
	"errors"
	"fmt"
	"io"

	"gateagent/driver/frame"
)

// decodePGM reads a portable graymap, binary (P5, one or two bytes a pixel)
// or plain (P2). Values are scaled to 0..255.
func decodePGM(data []byte, dst *frame.Gray) error {
	p := pgm{rest: data[2:]}
	width, height, top := p.number(), p.number(), p.number()
	if p.err != nil {
		return fmt.Errorf("decode PGM header: %w", p.err)
	}
	if err := frame.CheckSize(width, height); err != nil {
		return fmt.Errorf("decode PGM: %w", err)
	}
	if top < 1 || top > 65535 {
		return fmt.Errorf("decode PGM: largest value %d is not within 1 and 65535", top)
	}
	n := width * height
	if data[1] == '2' {
		if len(p.rest) < 2*n-1 { // a digit and a space each
			return fmt.Errorf("decode PGM: %w", io.ErrUnexpectedEOF)
		}
		dst.Reset(width, height)
		for i := range dst.Pix {
			dst.Pix[i] = scale(p.number(), top)
		}
		if p.err != nil {
			return fmt.Errorf("decode PGM: %w", p.err)
		}
		return nil
	}
	if len(p.rest) == 0 {
		return fmt.Errorf("decode PGM: %w", io.ErrUnexpectedEOF)
	}
	raster := p.rest[1:] // one white space ends the header
	size := 1
	if top > 255 {
		size = 2
	}
	if len(raster) < n*size {
		return fmt.Errorf("decode PGM: %w", io.ErrUnexpectedEOF)
	}
	dst.Reset(width, height)
	switch {
	case top == 255:
		copy(dst.Pix, raster)
	case size == 1:
		for i := range dst.Pix {
			dst.Pix[i] = scale(int(raster[i]), top)
		}
	default:
		for i := range dst.Pix {
			dst.Pix[i] = scale(int(raster[2*i])<<8|int(raster[2*i+1]), top)
		}
	}
	return nil
}

func scale(v, top int) byte { return byte((min(v, top)*255 + top/2) / top) }

// pgm reads the numbers of a header; the first fault stays in err.
type pgm struct {
	rest []byte
	err  error
}

// number reads white space, comments and a decimal number below 2^24.
func (p *pgm) number() int {
	if p.err != nil {
		return 0
	}
	i, comment := 0, false
	for ; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case comment:
			comment = c != '\n' && c != '\r'
			continue
		case c == '#':
			comment = true
			continue
		case c == ' ' || c >= '\t' && c <= '\r':
			continue
		}
		break
	}
	start, n := i, 0
	for ; i < len(p.rest) && '0' <= p.rest[i] && p.rest[i] <= '9'; i++ {
		if n = n*10 + int(p.rest[i]-'0'); n >= 1<<24 {
			p.err = errors.New("number too large")
			return 0
		}
	}
	if i == start {
		p.err = errors.New("number expected")
		if i == len(p.rest) {
			p.err = io.ErrUnexpectedEOF
		}
	}
	p.rest = p.rest[i:]
	return n
}
