package mjpeg

import (
	"bufio"
	"errors"
	"io"
	"slices"
)

// Splitter cuts a stream into JPEG pictures. Between pictures anything may
// stand: nothing, padding, the headers of a multipart/x-mixed-replace answer.
// It is not safe for concurrent use.
type Splitter struct {
	r     *bufio.Reader
	buf   []byte
	begun bool // a start of image was already taken from r
	half  bool // the 0xFF of the next marker was already taken from r
	torn  uint64
}

// NewSplitter reads from r.
func NewSplitter(r io.Reader) *Splitter {
	return &Splitter{r: bufio.NewReaderSize(r, 64<<10)}
}

// Torn counts the pictures given up so far: broken off, larger than
// [MaxFrame], or without the structure of a JPEG file.
func (s *Splitter) Torn() uint64 { return s.torn }

// Next gives the next whole picture, from its start to its end marker. The
// bytes are good until the next call. At the end of the stream the error is
// io.EOF, also when the last picture was broken off.
func (s *Splitter) Next() ([]byte, error) {
	for {
		if !s.begun {
			if err := s.seek(); err != nil {
				return nil, err
			}
		}
		s.begun, s.half = false, false
		s.buf = append(s.buf[:0], 0xFF, markerSOI)
		err := s.picture()
		if err == nil {
			return s.buf, nil
		}
		s.torn++
		if !errors.Is(err, errTorn) {
			return nil, err
		}
	}
}

// errTorn says that the picture at hand is to be given up.
var errTorn = errors.New("torn picture")

// seek reads up to and including a start of image that a marker follows.
func (s *Splitter) seek() error {
	for {
		if _, err := s.r.ReadSlice(0xFF); errors.Is(err, bufio.ErrBufferFull) {
			continue
		} else if err != nil {
			return err
		}
		next, err := s.r.Peek(2)
		if err != nil && len(next) < 2 {
			if errors.Is(err, io.EOF) {
				return io.EOF
			}
			return err
		}
		if next[0] == markerSOI && next[1] == 0xFF {
			_, err := s.r.Discard(1)
			return err
		}
	}
}

// picture reads the segments and scans behind a start of image into buf.
func (s *Splitter) picture() error {
	for {
		marker, err := s.marker()
		if err != nil {
			return err
		}
		switch {
		case marker == markerEOI:
			return nil
		case marker == markerSOI:
			s.begun = true
			return errTorn
		case marker == 0 || bare(marker):
			return errTorn
		}
		if err := s.segment(); err != nil {
			return err
		}
		if marker == markerSOS {
			if err := s.scan(); err != nil {
				return err
			}
		}
	}
}

// marker reads 0xFF and the marker behind it, over fill bytes, into buf.
func (s *Splitter) marker() (byte, error) {
	if !s.half {
		if b, err := s.r.ReadByte(); err != nil {
			return 0, err
		} else if b != 0xFF {
			return 0, errTorn
		}
	}
	s.half = false
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return 0, err
		}
		if b != 0xFF {
			s.buf = append(s.buf, 0xFF, b)
			return b, nil
		}
	}
}

// segment reads the length and the body of a marker segment into buf.
func (s *Splitter) segment() error {
	head := len(s.buf)
	s.buf = append(s.buf, 0, 0)
	if _, err := io.ReadFull(s.r, s.buf[head:]); err != nil {
		return ended(err)
	}
	n := int(s.buf[head])<<8 | int(s.buf[head+1])
	if n < 2 || head+n > MaxFrame {
		return errTorn
	}
	s.buf = slices.Grow(s.buf, n-2)[:head+n]
	_, err := io.ReadFull(s.r, s.buf[head+2:])
	return ended(err)
}

// scan reads entropy-coded data into buf, up to and without the marker that
// ends it; of that marker the 0xFF is taken.
func (s *Splitter) scan() error {
	for {
		chunk, err := s.r.ReadSlice(0xFF)
		if len(s.buf)+len(chunk) >= MaxFrame {
			return errTorn
		}
		s.buf = append(s.buf, chunk...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		} else if err != nil {
			return err
		}
		b, err := s.r.ReadByte()
		for err == nil && b == 0xFF { // fill bytes
			b, err = s.r.ReadByte()
		}
		if err != nil {
			return err
		}
		if b == 0 || markerRST0 <= b && b <= markerRST7 {
			s.buf = append(s.buf, b)
			continue
		}
		s.buf = s.buf[:len(s.buf)-1]
		s.half = true
		return s.r.UnreadByte()
	}
}

// ended makes a stream that ends inside a picture end like any other.
func ended(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
