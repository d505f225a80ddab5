package central

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"gateagent/agent/durable"
	"gateagent/agent/record"
	"gateagent/agent/record/strict"
)

// JSONL is a [Sink] that appends events to a file, one a line, as they came.
// What the file says is the truth; a small file beside it (`.state`) only
// spares reading it all at the next start. Both may be older copies: the box
// then sends again what the copy lacks.
type JSONL struct {
	path string
	f    *os.File
	log  *slog.Logger
	size int64 // of what is durable
	held []Held
	at   map[epochKey]int // place of each epoch in held
	last []byte           // the last line that is durable, its end included
	// torn is set when a failed Store may have left something behind size.
	torn bool
	// since counts the bytes that the state file does not know of.
	since int64
}

// Errors of a sink that does not open.
var (
	ErrSinkInUse  = errors.New("another program writes it")
	ErrSinkBroken = errors.New("it is not what was kept")
	// ErrSinkEmpty is a file without events beside a state that knows of some:
	// with it every gate would send everything again, and where a gate no longer
	// keeps its first records, its epoch could never be continued.
	ErrSinkEmpty = errors.New("it is empty, and its state file says that it was not")
)

// stateEvery is how many bytes may be read again at a start.
const stateEvery = 4 << 20

// maxLine bounds one line: an event with its signature.
const maxLine = record.MaxEvent + 1<<10

// jsonlState is the form of the state file.
type jsonlState struct {
	Size int64       `json:"size"` // bytes of the file that it covers
	Last record.Hash `json:"last"` // SHA-256 of the last line within Size
	Tail int64       `json:"tail"` // length of that line, end included
	Held []jsonlHeld `json:"held"`
}

type jsonlHeld struct {
	Site  string       `json:"site"`
	Gate  string       `json:"gate"`
	Epoch record.Epoch `json:"epoch"`
	Seq   uint64       `json:"seq"`
	Head  record.Hash  `json:"head"`
}

// OpenJSONL opens or makes the file. An end that was torn by a crash is cut
// off: it was never acknowledged. Anything else that cannot be read, and a
// break in a gate's chain, is an error that names the line's offset.
func OpenJSONL(path string, log *slog.Logger) (*JSONL, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open sink: %w", err)
	}
	s := &JSONL{path: path, f: f, log: log}
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open sink %s: %w", path, err), f.Close())
	}
	return s, nil
}

func (s *JSONL) recover() error {
	if err := lock(s.f); err != nil {
		return err
	}
	if err := syncDirOf(s.path); err != nil { // the file itself is there after a crash
		return err
	}
	if err := s.loadState(); err != nil {
		return err
	}
	from := s.size
	end, err := s.read(s.f, from)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSinkBroken, err)
	}
	info, err := s.f.Stat()
	if err != nil {
		return err
	}
	if err := s.cut(end, info.Size()); err != nil {
		return err
	}
	if err := s.f.Sync(); err != nil {
		return err
	}
	s.size, s.since = end, end-from
	return nil
}

// cut takes off what lies behind the last good line. A crash leaves there what
// was never acknowledged; but a damaged disk can make acknowledged lines look
// the same, so whole lines are not thrown away but set aside.
func (s *JSONL) cut(end, size int64) error {
	if size <= end {
		return nil
	}
	in := bufio.NewReader(io.NewSectionReader(s.f, end, size-end))
	_, err := in.ReadSlice('\n')
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = in.ReadSlice('\n')
	}
	if err != nil { // no line ends there
		s.log.Warn("the last line of the sink was torn and is cut off", "file", s.path, "bytes", size-end)
		return s.f.Truncate(end)
	}
	aside, err := s.setAside(io.NewSectionReader(s.f, end, size-end))
	if err != nil {
		return fmt.Errorf("set aside what is torn: %w", err)
	}
	s.log.Error("the end of the sink is damaged and was set aside; gates send again what they still keep",
		"file", s.path, "bytes", size-end, "aside", aside)
	return s.f.Truncate(end)
}

// setAside copies to a new file beside the sink.
func (s *JSONL) setAside(from io.Reader) (path string, err error) {
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".damaged.*")
	if err != nil {
		return "", err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	return f.Name(), errors.Join(err, f.Close(), syncDirOf(s.path))
}

// loadState begins where the state file says, if that fits the file.
func (s *JSONL) loadState() error {
	st, ok := s.readState()
	if !ok {
		return nil
	}
	if info, err := s.f.Stat(); err != nil || info.Size() == 0 {
		return errors.Join(err, ErrSinkEmpty)
	}
	line := s.lineAt(st.Size-st.Tail, st.Tail)
	if line == nil || record.Hash(sha256.Sum256(line)) != st.Last {
		s.log.Warn("the sink is another than its state was written for; it is read whole")
		return nil
	}
	for _, h := range st.Held {
		s.held = append(s.held, Held{record.Origin{Site: h.Site, Gate: h.Gate}, record.Position{Epoch: h.Epoch, Seq: h.Seq, Head: h.Head}})
	}
	s.size, s.last = st.Size, line
	return nil
}

// lineAt gives a line with its end; nil where there is none.
func (s *JSONL) lineAt(from, length int64) []byte {
	line := make([]byte, length)
	if _, err := s.f.ReadAt(line, from); err != nil || line[length-1] != '\n' {
		return nil
	}
	return line
}

// readState gives what the state file says; false where it says nothing.
func (s *JSONL) readState() (st jsonlState, ok bool) {
	b, err := os.ReadFile(s.path + ".state")
	if errors.Is(err, fs.ErrNotExist) {
		return st, false
	}
	if err == nil {
		err = strict.Unmarshal(b, &st, strict.Limits{Size: 64 << 20, Depth: 4})
	}
	if err != nil || st.Tail <= 0 || st.Tail > maxLine || st.Size < st.Tail {
		s.log.Warn("the sink's state cannot be read; the whole sink is", "error", err)
		return st, false
	}
	return st, true
}

// read takes the lines from an offset on into held and gives the offset behind
// the last good one. A line that cannot be read is torn if none follows it.
func (s *JSONL) read(f io.ReaderAt, from int64) (end int64, err error) {
	s.index()
	in := bufio.NewReaderSize(io.NewSectionReader(f, from, 1<<62-from), 1<<16)
	end = from
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) || bytes.IndexByte(line, 0) >= 0 {
			// Without an end, or with a hole where a crash kept back a page:
			// torn. No event holds a NUL.
			return end, nil
		}
		if err != nil {
			return end, fmt.Errorf("at byte %d: %w", end, err)
		}
		ev, err := record.ParseEvent(bytes.TrimSuffix(line, []byte{'\n'}))
		if err != nil {
			if _, more := readLine(in); errors.Is(more, io.EOF) {
				return end, nil
			}
			return end, fmt.Errorf("at byte %d: %w", end, err)
		}
		if err := s.follow(ev); err != nil {
			return end, fmt.Errorf("at byte %d: %w", end, err)
		}
		end += int64(len(line))
		s.last = line
	}
}

// readLine gives a line with its end; io.EOF when none ends any more.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return append(line, part...), fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		line = append(line, part...)
		if err == nil || !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

type epochKey struct {
	origin record.Origin
	epoch  record.Epoch
}

// index finds the place of each epoch in held.
func (s *JSONL) index() {
	s.at = make(map[epochKey]int, len(s.held))
	for i, h := range s.held {
		s.at[epochKey{h.Origin, h.Position.Epoch}] = i
	}
}

// follow moves held forward by an event that must follow it.
func (s *JSONL) follow(ev record.Event) error {
	key := epochKey{ev.Origin(), ev.Epoch()}
	i, known := s.at[key]
	if !known {
		i = len(s.held)
		s.at[key] = i
		s.held = append(s.held, Held{key.origin, record.Position{Epoch: key.epoch}})
	}
	l, p := ev.Link(), s.held[i].Position
	if l.Seq != p.Seq+1 || l.Prev != p.Head {
		return fmt.Errorf("record %d of %s does not follow record %d", l.Seq, key.origin.Source(), p.Seq)
	}
	s.held[i].Position = ev.Position()
	return nil
}

// Held gives what the file has.
func (s *JSONL) Held() []Held { return append([]Held(nil), s.held...) }

// Store appends the batches and syncs once. After an error, nothing of them is
// kept.
func (s *JSONL) Store(_ context.Context, batches []Batch) error {
	before := append([]Held(nil), s.held...)
	if err := s.store(batches); err != nil {
		s.held = before
		s.index()
		return fmt.Errorf("store: %w", err)
	}
	if s.since >= stateEvery {
		if err := s.writeState(); err != nil {
			s.log.Warn("the sink's state is not written; the next start reads more", "error", err)
		}
	}
	return nil
}

func (s *JSONL) store(batches []Batch) error {
	var out bytes.Buffer
	last := s.last
	for _, b := range batches {
		for _, ev := range b.Events {
			line, err := json.Marshal(ev)
			if err != nil {
				return err
			}
			if err := s.follow(ev); err != nil {
				return err
			}
			last = append(line, '\n')
			out.Write(last)
		}
	}
	if err := s.stillOurs(); err != nil {
		return err
	}
	if s.torn {
		if err := s.f.Truncate(s.size); err != nil {
			return err
		}
	}
	s.torn = true
	if _, err := s.f.WriteAt(out.Bytes(), s.size); err != nil {
		return errors.Join(err, s.f.Truncate(s.size))
	}
	if err := s.f.Sync(); err != nil {
		return errors.Join(err, s.f.Truncate(s.size))
	}
	s.torn = false
	s.size += int64(out.Len())
	s.since += int64(out.Len())
	s.last = last
	return nil
}

// stillOurs refuses to write where nobody would find it: somebody has moved the
// file, put another in its place or written over it while it was open.
func (s *JSONL) stillOurs() error {
	own, err := s.f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(s.path)
	switch {
	case err != nil:
		return fmt.Errorf("the file was moved away; stop, put it back and start again: %w", err)
	case !os.SameFile(own, there):
		return fmt.Errorf("another file was put in the place of %s; stop and start again", s.path)
	case own.Size() != s.size && !s.torn:
		return fmt.Errorf("another program wrote to %s; stop, put back a copy and start again", s.path)
	}
	return nil
}

func (s *JSONL) writeState() error {
	s.since = 0
	if len(s.last) == 0 {
		return nil
	}
	st := jsonlState{Size: s.size, Last: record.Hash(sha256.Sum256(s.last)), Tail: int64(len(s.last)), Held: []jsonlHeld{}}
	for _, h := range s.held {
		st.Held = append(st.Held, jsonlHeld{h.Origin.Site, h.Origin.Gate, h.Position.Epoch, h.Position.Seq, h.Position.Head})
	}
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return durable.WriteFile(s.path+".state", append(b, '\n'), 0o600)
}

// Close writes the state and closes the file.
func (s *JSONL) Close() error {
	return errors.Join(s.writeState(), s.f.Close())
}
