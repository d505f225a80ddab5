// Package symbology turns the modules of a QR code into its text, as ISO/IEC
// 18004 has it: format and version information, masks, codewords, blocks, error
// correction, modes and character sets.
//
// It knows nothing of pictures: driver/qr finds and samples the symbol. It owns
// the tables of the standard, which driver/qr also asks where a symbol of some
// size has which patterns. Error correction, of errors and erasures, calculates
// in gozxing's Galois field; a restored block is believed only when it is nearer
// to what was seen than chance brings it. Micro QR and Model 1, the form of before
// 1997, are not read.
package symbology

import "errors"

// Sizes of the standard.
const (
	MinVersion = 1
	MaxVersion = 40
	MaxSize    = 17 + 4*MaxVersion // modules a side
)

// Size is how many modules a symbol of a version has a side.
func Size(version int) int { return 17 + 4*version }

// Version is the version of a symbol of n modules a side, 0 if none has so many.
func Version(n int) int {
	if n < Size(MinVersion) || n > MaxSize || (n-17)%4 != 0 {
		return 0
	}
	return (n - 17) / 4
}

// Level is an error correction level.
type Level uint8

// The levels: about 7, 15, 25 and 30 % of the codewords can be restored.
const (
	L Level = iota
	M
	Q
	H
)

// Why a symbol has no text. Callers decide by them how much more to try.
var (
	// ErrSize says that no symbol has so many modules.
	ErrSize = errors.New("no QR code has this size")
	// ErrFormat says that the format information is beyond repair.
	ErrFormat = errors.New("format information not readable")
	// ErrCodewords says that more codewords are wrong than can be restored.
	ErrCodewords = errors.New("too many wrong codewords")
	// ErrData says that the codewords are whole and make no sense.
	ErrData = errors.New("data not understood")
)

// Grid is the modules of a symbol as seen, row by row from the top left one.
type Grid struct {
	N int // modules a side
	// Dark says how dark each module is: above 0 dark, below 0 light, the
	// further from 0 the surer. Only the signs and the order of the magnitudes
	// count.
	Dark []float32
}

// Symbol is what a grid says.
type Symbol struct {
	// Text is valid UTF-8, possibly empty. It is good for as long as the caller
	// wants.
	Text    []byte
	Version int
	Level   Level
	Mask    int
	// Mirrored is true when the grid was the symbol seen from behind: rows and
	// columns exchanged.
	Mirrored bool
	// Part and Parts number the symbols of a message spread over several
	// (structured append), Part from 1; both are 0 for a message of its own.
	// Parity is common to the symbols of one message.
	Part, Parts int
	Parity      byte
	// Corrected is how many codewords were wrong.
	Corrected int
}
