// Package decodefile reads picture files as the camera path would, and times
// it: the work of `gateagent decode`.
//
// It owns the form of the answer (DESIGN §4.1) and what is timed: the reading
// of an already loaded grey plane, nothing else.
package decodefile

import (
	"cmp"
	"slices"
	"time"

	"gateagent/driver/frame"
	"gateagent/driver/frame/imagefile"
	"gateagent/driver/qr"
)

// MaxRepeat bounds how often one picture is read.
const MaxRepeat = 100_000

// Line is one code, or one picture without any. Its JSON is the command's
// output.
type Line struct {
	File string `json:"file"`
	// Payload is the text of the code; empty when none was read.
	Payload string `json:"payload"`
	Found   bool   `json:"found"`
	// Micros is the median time of reading the picture, in microseconds.
	Micros int64 `json:"micros"`
	// Unreadable is true when a code is in view and could not be read.
	Unreadable bool `json:"-"`
}

// Reader is what reads the loaded pictures.
type Reader interface {
	Read(g *frame.Gray) ([]qr.Code, error)
}

// Decoder reads files one after the other, keeping its buffers.
type Decoder struct {
	reader Reader
	repeat int
	plane  frame.Gray
	took   []time.Duration
	now    func() time.Time
}

// New makes a Decoder that reads each picture repeat times (1 to [MaxRepeat],
// what lies outside is moved to it).
func New(reader Reader, repeat int) *Decoder {
	return &Decoder{reader: reader, repeat: min(max(repeat, 1), MaxRepeat), now: time.Now}
}

// File reads one file: a line for each code read, or one that says that none
// was. The error tells why the file could not be loaded or the reader failed;
// then there are no lines.
func (d *Decoder) File(path string) ([]Line, error) {
	if err := imagefile.Load(path, &d.plane); err != nil {
		return nil, err
	}
	var codes []qr.Code
	d.took = d.took[:0]
	for range d.repeat {
		start := d.now()
		var err error
		if codes, err = d.reader.Read(&d.plane); err != nil {
			return nil, err
		}
		d.took = append(d.took, d.now().Sub(start))
	}
	micros := median(d.took).Microseconds()
	var lines []Line
	unreadable := false
	for _, c := range codes {
		if !c.Readable() {
			unreadable = true
			continue
		}
		lines = append(lines, Line{File: path, Payload: string(c.Text), Found: true, Micros: micros})
	}
	if len(lines) == 0 {
		lines = append(lines, Line{File: path, Micros: micros, Unreadable: unreadable})
	}
	return lines, nil
}

// median of at least one duration; of an even number the mean of the two in
// the middle. It sorts d.
func median(d []time.Duration) time.Duration {
	slices.SortFunc(d, cmp.Compare[time.Duration])
	mid := len(d) / 2
	if len(d)%2 == 0 {
		return (d[mid-1] + d[mid]) / 2
	}
	return d[mid]
}
