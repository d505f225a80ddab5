package people

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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
	maxLine  = 64 << 10 // bytes of one record
	maxItems = 64       // doses, tests or lists of one person
)

// Source reads a list record by record.
type Source interface {
	// Next gives the next person. p is reused: it holds until the next call.
	// The error is a *LineError for a record that cannot be used, after which
	// reading goes on, io.EOF at the end, and anything else ends it.
	Next(p *Person) error
	// Line is the line of the record given last, from 1.
	Line() int
}

// LineError is the error of one record.
type LineError struct{ Problem }

func (e *LineError) Error() string { return e.String() }

// Format is the form of a list.
type Format string

// The forms of PAYLOADS §6.
const (
	CSV   Format = "csv"
	JSONL Format = "jsonl"
)

// Open reads a list of the given form; with an empty form it looks at the
// first character, which is a brace in JSON lines. A UTF-8 byte order mark is
// passed over.
func Open(r io.Reader, form Format) (Source, error) {
	in := bufio.NewReaderSize(r, maxLine)
	if mark, err := in.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3) // it was just peeked
	} else if len(mark) >= 2 && (string(mark[:2]) == "\xff\xfe" || string(mark[:2]) == "\xfe\xff") {
		return nil, errors.New("the list is UTF-16; save it as UTF-8")
	}
	if form == "" {
		form = CSV
		if first, err := in.Peek(1); err == nil && first[0] == '{' {
			form = JSONL
		}
	}
	switch form {
	case CSV:
		return newCSV(in)
	case JSONL:
		return &jsonlSource{in: lineReader{in: in}}, nil
	}
	return nil, fmt.Errorf("unknown form of list %q; known: csv, jsonl", form)
}

// badLine makes the error of a record.
func badLine(line int, format string, args ...any) error {
	return &LineError{Problem{line, fmt.Sprintf(format, args...)}}
}

// lineReader gives the lines of a list that are not empty, each at most
// maxLine long. The line belongs to the reader.
type lineReader struct {
	in   *bufio.Reader // of size maxLine
	line int           // of the line given last, from 1
}

// next gives the next line. The error is a *LineError for one that is too
// long, which is passed over, and io.EOF at the end.
func (r *lineReader) next() ([]byte, error) {
	for {
		line, err := r.in.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return nil, io.EOF
		}
		r.line++
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, r.skip()
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read the list: %w", err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return line, nil
		}
	}
}

// skip passes over the rest of a line that is too long.
func (r *lineReader) skip() error {
	for {
		_, err := r.in.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return badLine(r.line, "longer than %d bytes", maxLine)
		case !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("read the list: %w", err)
		}
	}
}
