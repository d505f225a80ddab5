package people

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Problem is one line of the list that cannot be used. It never quotes the
// line, which is about a citizen.
type Problem struct {
	Line int    // from 1
	What string // "dose 2: \"9/2\" is not …"
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.What) }

// Limits of a list.
const (
	maxLine  = 64 << 10  // bytes of one record
	maxItems = 64        // doses or tests of one person
	batch    = 256 << 10 // bytes that are read at a time
)

// Format is the form of a list.
type Format string

// The forms of PAYLOADS §6.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// Options say how a list is read.
type Options struct {
	// Format of the list; empty: JSON lines when it begins with a brace, else
	// CSV.
	Format Format
	// Cards reads what the card says as well: name, birth date and date of
	// issue. Without it they are passed over.
	Cards bool
}

// List is a list being read. One goroutine takes batches of lines from it with
// [List.Next], any number of them parse the batches, each with a [Parser] of
// its own.
type List struct {
	in   io.Reader
	opts Options
	head header // of a CSV list

	rest  []byte // read, not yet given
	line  int    // lines given so far
	ended bool
	skip  bool // within a line that is too long
	bytes int64
}

// Batch is a number of whole lines. The zero value is ready for [List.Next].
type Batch struct {
	lines []byte
	first int // number of the first line, from 1
}

// Open begins to read a list. A UTF-8 byte order mark is passed over.
func Open(r io.Reader, o Options) (*List, error) {
	l := &List{in: r, opts: o}
	if err := l.fill(); err != nil {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(l.rest, []byte("\xef\xbb\xbf")):
		l.rest = l.rest[3:]
	case bytes.HasPrefix(l.rest, []byte("\xff\xfe")), bytes.HasPrefix(l.rest, []byte("\xfe\xff")):
		return nil, errors.New("the list is UTF-16; save it as UTF-8")
	}
	if l.opts.Format == "" {
		l.opts.Format = CSV
		if bytes.HasPrefix(l.rest, []byte{'{'}) {
			l.opts.Format = JSONL
		}
	}
	switch l.opts.Format {
	case JSONL:
		return l, nil
	case CSV:
		return l, l.readHeader()
	}
	return nil, fmt.Errorf("unknown form of list %q; known: csv, jsonl", o.Format)
}

// Bytes says how much of the list has been read.
func (l *List) Bytes() int64 { return l.bytes }

// fill reads until a batch is full or the list ends.
func (l *List) fill() error {
	if cap(l.rest) < batch {
		l.rest = append(make([]byte, 0, batch), l.rest...)
	}
	for !l.ended && len(l.rest) < batch {
		n, err := l.in.Read(l.rest[len(l.rest):batch])
		l.rest = l.rest[:len(l.rest)+n]
		l.bytes += int64(n)
		switch {
		case errors.Is(err, io.EOF):
			l.ended = true
		case err != nil:
			return fmt.Errorf("read the list: %w", err)
		}
	}
	return nil
}

// Next gives the next lines; b is written over. The error is io.EOF at the end.
func (l *List) Next(b *Batch) error {
	for {
		if err := l.fill(); err != nil {
			return err
		}
		if !l.skip {
			break
		}
		end := bytes.IndexByte(l.rest, '\n')
		l.skip = end < 0 && !l.ended
		if end < 0 {
			end = len(l.rest) - 1
		}
		l.drop(end + 1)
	}
	if len(l.rest) == 0 {
		return io.EOF
	}
	end := bytes.LastIndexByte(l.rest, '\n') + 1
	if l.ended {
		end = len(l.rest)
	} else if end == 0 { // one line longer than a batch: its beginning says so
		end, l.skip = len(l.rest), true
	}
	b.lines = append(b.lines[:0], l.rest[:end]...)
	b.first = l.line + 1
	l.line += bytes.Count(b.lines, []byte{'\n'})
	if b.lines[end-1] != '\n' {
		l.line++
	}
	l.drop(end)
	return nil
}

func (l *List) drop(n int) {
	l.rest = append(l.rest[:0], l.rest[n:]...)
}

// readHeader takes the first line that is not empty.
func (l *List) readHeader() error {
	for {
		end := bytes.IndexByte(l.rest, '\n') + 1
		if end == 0 {
			end = len(l.rest)
		}
		if end == 0 {
			return errors.New("the list is empty: a CSV list begins with a header line")
		}
		line := bytes.TrimSpace(l.rest[:end])
		if len(line) > maxLine {
			return fmt.Errorf("header line: longer than %d bytes", maxLine)
		}
		var err error
		if len(line) > 0 {
			l.head, err = parseHeader(line, l.opts.Cards)
		}
		l.drop(end)
		l.line++
		if err != nil {
			return fmt.Errorf("header line: %w", err)
		}
		if len(line) > 0 {
			return nil
		}
		if err := l.fill(); err != nil {
			return err
		}
	}
}

// Parser reads the lines of one list. It is for one goroutine.
type Parser struct {
	fill func(p *Person, line []byte) error
}

// Parser makes a parser for batches of this list.
func (l *List) Parser() *Parser {
	if l.opts.Format == JSONL {
		return &Parser{func(p *Person, line []byte) error { return fillJSON(p, line, l.opts.Cards) }}
	}
	cells := make([][]byte, 0, len(columns))
	return &Parser{func(p *Person, line []byte) (err error) {
		cells, err = splitCells(cells[:0], line)
		if err != nil {
			return err
		}
		return l.head.fill(p, cells)
	}}
}

// People gives the people of a batch, and for each line that cannot be used
// what is wrong with it. The person is only good until the next step.
func (x *Parser) People(b *Batch) iter.Seq2[*Person, *Problem] {
	return func(yield func(*Person, *Problem) bool) {
		var p Person
		lines, no := b.lines, b.first
		for ; len(lines) > 0; no++ {
			line := lines
			if end := bytes.IndexByte(lines, '\n'); end >= 0 {
				line, lines = lines[:end], lines[end+1:]
			} else {
				lines = nil
			}
			if len(line) > maxLine {
				if !yield(nil, &Problem{no, fmt.Sprintf("longer than %d bytes", maxLine)}) {
					return
				}
				continue
			}
			if line = bytes.TrimSpace(line); len(line) == 0 {
				continue
			}
			p.reset()
			if err := x.fill(&p, line); err != nil {
				if !yield(nil, &Problem{no, err.Error()}) {
					return
				}
			} else if !yield(&p, nil) {
				return
			}
		}
	}
}
