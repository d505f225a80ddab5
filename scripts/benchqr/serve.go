package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/driver/frame"
	"gateagent/driver/qr"
)

// A question to a reader is five numbers of 32 bits, low byte first, and the
// pixels: width, height, how often to read, how many codes are asked for, and
// whether to forget what earlier frames showed before each reading. Width 0 ends
// the talk. The answer is a line: nanoseconds of CPU a reading, allocations a
// reading (-1 where they are not counted), and each text in hex.
type question struct {
	g            *frame.Gray
	repeat, most int
	cold         bool
}

type answer struct {
	nanos, allocs int64
	texts         []string
}

// send writes q.
func (q question) send(w io.Writer) error {
	head := [5]uint32{uint32(q.g.Width), uint32(q.g.Height), uint32(q.repeat), uint32(q.most)}
	if q.cold {
		head[4] = 1
	}
	if err := binary.Write(w, binary.LittleEndian, head); err != nil {
		return err
	}
	for y := range q.g.Height {
		if _, err := w.Write(q.g.Row(y)); err != nil {
			return err
		}
	}
	return nil
}

// receive reads the next question into q, reusing its frame. io.EOF is the end.
func (q *question) receive(r io.Reader) error {
	var head [5]uint32
	if err := binary.Read(r, binary.LittleEndian, &head); err != nil {
		return err
	}
	if head[0] == 0 {
		return io.EOF
	}
	if err := frame.CheckSize(int(head[0]), int(head[1])); err != nil {
		return err
	}
	q.g.Reset(int(head[0]), int(head[1]))
	q.repeat, q.most, q.cold = int(head[2]), int(head[3]), head[4] != 0
	_, err := io.ReadFull(r, q.g.Pix)
	return err
}

func (a answer) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %d", a.nanos, a.allocs)
	for _, text := range a.texts {
		b.WriteByte(' ')
		b.WriteString(hex.EncodeToString([]byte(text)))
	}
	return b.String()
}

func parseAnswer(line string) (a answer, err error) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return a, fmt.Errorf("answer %q is too short", line)
	}
	if a.nanos, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return a, fmt.Errorf("CPU time in an answer: %w", err)
	}
	if a.allocs, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
		return a, fmt.Errorf("allocations in an answer: %w", err)
	}
	for _, f := range fields[2:] {
		text, err := hex.DecodeString(f)
		if err != nil {
			return a, fmt.Errorf("text in an answer: %w", err)
		}
		a.texts = append(a.texts, string(text))
	}
	return a, nil
}

// subject is a reader written in Go.
type subject interface {
	// read is what is measured. A frame without a code is no error.
	read(g *frame.Gray) error
	// texts are those of the last reading.
	texts() []string
	// forget drops what earlier frames showed.
	forget()
}

// serve answers until the questions end. A reader that fails has read nothing.
func serve(in io.Reader, out io.Writer, s subject) error {
	r, w := bufio.NewReaderSize(in, 1<<20), bufio.NewWriter(out)
	q := question{g: &frame.Gray{}}
	for {
		if err := q.receive(r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("question: %w", err)
		}
		var a answer
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var took time.Duration
		var failed error
		for range q.repeat {
			if q.cold {
				s.forget()
			}
			start := cpuTime()
			failed = s.read(q.g)
			took += cpuTime() - start
		}
		runtime.ReadMemStats(&after)
		if failed == nil {
			a.texts = s.texts()
		}
		n := int64(max(q.repeat, 1))
		a.nanos, a.allocs = int64(took)/n, int64(after.Mallocs-before.Mallocs)/n
		if _, err := fmt.Fprintln(w, a); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
}

// cpuTime is what the process, all its threads, has used so far.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// own is this project's reader.
type own struct {
	reader qr.Reader
	codes  []qr.Code
	black  *frame.Gray
}

func newOwn() *own { return &own{reader: qr.NewReader(), black: frame.New(64, 64)} }

func (o *own) read(g *frame.Gray) (err error) {
	o.codes, err = o.reader.Read(g)
	return err
}

func (o *own) texts() []string {
	var texts []string
	for i := range o.codes {
		if o.codes[i].Readable() {
			texts = append(texts, string(o.codes[i].Text))
		}
	}
	return texts
}

// forget shows the reader a small black picture: where a code was in one of
// another size is of no use to it.
func (o *own) forget() {
	if _, err := o.reader.Read(o.black); err != nil {
		o.reader = qr.NewReader()
	}
}
