package serialscan

import (
	"bytes"
	"fmt"
)

// Framing says where one payload ends and the next begins.
type Framing uint8

// The framings. FramingAuto, the zero value, fits most engines as delivered.
const (
	FramingAuto    Framing = iota // CR, LF or silence, whichever comes first
	FramingCR                     // CR ends; an LF after it is ignored
	FramingLF                     // LF ends; a CR before it is ignored
	FramingCRLF                   // CR LF ends; either alone belongs to the payload
	FramingSTXETX                 // between STX and ETX; everything outside is noise
	FramingSilence                // silence ends, whatever the bytes are
)

var framingNames = [...]string{"auto", "cr", "lf", "crlf", "stx-etx", "silence"}

// Framings lists the names that [ParseFraming] knows.
func Framings() []string { return append([]string(nil), framingNames[:]...) }

func (f Framing) String() string {
	if int(f) < len(framingNames) {
		return framingNames[f]
	}
	return fmt.Sprintf("Framing(%d)", uint8(f))
}

// ParseFraming is the inverse of [Framing.String].
func ParseFraming(s string) (Framing, error) {
	for i, n := range framingNames {
		if n == s {
			return Framing(i), nil
		}
	}
	return 0, fmt.Errorf("unknown framing %q; known: %s", s, joinNames(framingNames[:]))
}

func joinNames(names []string) string {
	var b bytes.Buffer
	for i, n := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(n)
	}
	return b.String()
}

// endsBySilence says whether a pause of the configured length ends a payload.
// In the other framings a longer pause drops what was begun.
func (f Framing) endsBySilence() bool { return f == FramingAuto || f == FramingSilence }

const (
	stx = 0x02
	etx = 0x03
)

// framer cuts a stream of bytes into payloads, in memory bounded by max. It
// gives the same payloads however the stream is torn into pieces.
type framer struct {
	framing Framing
	max     int // bytes of one payload

	buf []byte
	// skipping: the payload under way is too long and is thrown away up to
	// its end.
	skipping bool
	// inside: STX was seen (FramingSTXETX).
	inside bool
	// afterCR: the last byte was a CR whose meaning the next byte decides.
	afterCR bool

	overlong uint64 // payloads longer than max
	partial  uint64 // payloads begun and never ended
	noise    uint64 // bytes outside STX..ETX
}

func newFramer(f Framing, maxLength int) *framer {
	return &framer{framing: f, max: maxLength, buf: make([]byte, 0, min(maxLength, 512))}
}

// push takes the next bytes and calls emit for each payload that they end.
// emit gets memory that is reused; empty payloads are not emitted.
func (f *framer) push(b []byte, emit func([]byte)) {
	for _, c := range b {
		f.one(c, emit)
	}
}

func (f *framer) one(c byte, emit func([]byte)) {
	switch f.framing {
	case FramingSilence:
		f.add(c)
	case FramingAuto:
		if c == '\r' || c == '\n' {
			f.end(emit)
			return
		}
		f.add(c)
	case FramingCR:
		if c == '\r' {
			f.end(emit)
			f.afterCR = true
			return
		}
		if c != '\n' || !f.afterCR {
			f.add(c)
		}
		f.afterCR = false
	case FramingLF:
		if c == '\n' {
			f.end(emit)
			return
		}
		f.resolveCR()
		if c == '\r' {
			f.afterCR = true
			return
		}
		f.add(c)
	case FramingCRLF:
		if c == '\n' && f.afterCR {
			f.end(emit)
			return
		}
		f.resolveCR()
		if c == '\r' {
			f.afterCR = true
			return
		}
		f.add(c)
	case FramingSTXETX:
		f.bracketed(c, emit)
	}
}

// resolveCR takes a CR that turned out to end nothing as part of the payload.
func (f *framer) resolveCR() {
	if f.afterCR {
		f.afterCR = false
		f.add('\r')
	}
}

func (f *framer) bracketed(c byte, emit func([]byte)) {
	switch {
	case c == stx:
		if f.inside {
			f.partial++
		}
		f.clear()
		f.inside = true
	case !f.inside:
		f.noise++
	case c == etx:
		f.end(emit)
	default:
		f.add(c)
	}
}

// add takes one byte of a payload; beyond the bound the whole payload counts
// as overlong and is skipped up to its end.
func (f *framer) add(c byte) {
	if f.skipping {
		return
	}
	if len(f.buf) == f.max {
		f.overlong++
		f.buf = f.buf[:0]
		f.skipping = true
		return
	}
	f.buf = append(f.buf, c)
}

// end finishes the payload under way.
func (f *framer) end(emit func([]byte)) {
	if len(f.buf) > 0 {
		emit(f.buf)
	}
	f.clear()
}

// quiet says that the line was silent for as long as the framing allows: it
// ends the payload, or drops what was begun.
func (f *framer) quiet(emit func([]byte)) {
	if !f.framing.endsBySilence() {
		f.drop()
		return
	}
	if f.framing == FramingSilence {
		// A suffix that the engine sends all the same is no part of the code.
		f.buf = bytes.TrimRight(f.buf, "\r\n")
	}
	f.end(emit)
}

// drop forgets a payload that will never be ended.
func (f *framer) drop() {
	if len(f.buf) > 0 || f.inside && !f.skipping {
		f.partial++
	}
	f.clear()
}

// pending says whether a payload is under way, so that silence means something.
func (f *framer) pending() bool {
	return len(f.buf) > 0 || f.skipping || f.inside || f.afterCR && f.framing != FramingCR
}

func (f *framer) clear() {
	clear(f.buf)
	f.buf = f.buf[:0]
	f.skipping, f.inside, f.afterCR = false, false, false
}
