package central

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/agent/record"
)

func openSink(t testing.TB, path string) *JSONL {
	t.Helper()
	s, err := OpenJSONL(path, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.f.Close() })
	return s
}

// crash leaves the file as it is, without the state that Close would write.
func (s *JSONL) crash() { _ = s.f.Close() }

// checkFile demands that the file holds each box's chain whole: every record
// once, in order.
func checkFile(t testing.TB, path string, boxes ...*box) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next := map[record.Origin]uint64{}
	heads := map[record.Origin]record.Hash{}
	for i, line := range bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
		ev, err := record.ParseEvent(line)
		if err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		l, o := ev.Link(), ev.Origin()
		if l.Seq != next[o]+1 || l.Prev != heads[o] {
			t.Fatalf("line %d: record %d of %s after record %d", i+1, l.Seq, o.Gate, next[o])
		}
		next[o], heads[o] = l.Seq, l.Hash()
	}
	for _, x := range boxes {
		if next[x.o] != uint64(len(x.links)) || heads[x.o] != x.last().Head {
			t.Errorf("%s: %d records of %d", x.o.Gate, next[x.o], len(x.links))
		}
	}
}

func TestJSONLContinuesWhereItStands(t *testing.T) {
	for name, end := range map[string]func(*JSONL){
		"closed":  func(s *JSONL) { _ = s.Close() },
		"crashed": (*JSONL).crash,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.jsonl")
			s := openSink(t, path)
			b := newBench(t, s, learning(t))
			x, y := b.box(home), b.box(record.Origin{Site: "hn02", Gate: "g1"})
			x.scan(20)
			y.scan(3)
			b.feed(x.hello(), y.hello(), x.send(1, 10), y.send(1, 4))
			end(s)
			s = openSink(t, path)
			b.restart(s)
			b.answers(home)
			b.feed(x.hello())
			if _, replies := b.answers(home); len(replies) != 1 || replies[0].Ack.Record() != x.position(10) {
				t.Errorf("%+v", replies)
			}
			b.feed(x.send(5, 21))
			b.wantAck(home, x.last())
			end(s)
			s = openSink(t, path)
			if got := s.Held(); len(got) != 2 || got[0] != (Held{x.o, x.last()}) || got[1] != (Held{y.o, y.last()}) {
				t.Errorf("%+v", got)
			}
			checkFile(t, path, x, y)
		})
	}
}

// A central restored from an older copy answers with its own, older
// acknowledgement; the box sends again, and nothing is lost or doubled.
func TestJSONLFromAnOlderCopy(t *testing.T) {
	for name, withState := range map[string]bool{"state of the copy": true, "state of the newer file": false} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.jsonl")
			s := openSink(t, path)
			b := newBench(t, s, learning(t))
			x := b.box(home)
			x.scan(30)
			b.feed(x.hello(), x.send(1, 10))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			read := func(p string) []byte {
				out, err := os.ReadFile(p)
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			file, state := read(path), read(path+".state")
			s = openSink(t, path)
			b.restart(s)
			b.feed(x.send(11, 31))
			b.wantAck(home, x.last())
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if withState {
				if err := os.WriteFile(path+".state", state, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			b.restart(openSink(t, path))
			b.feed(x.hello())
			_, replies := b.answers(home)
			if len(replies) != 1 || replies[0].Ack == nil || replies[0].Ack.Record() != x.position(10) {
				t.Fatalf("%+v", replies)
			}
			b.feed(x.send(11, 31))
			b.wantAck(home, x.last())
			checkFile(t, path, x)
		})
	}
}

func TestJSONLTornTail(t *testing.T) {
	build := func(t *testing.T) (path string, b *bench, x *box, whole []byte) {
		path = filepath.Join(t.TempDir(), "events.jsonl")
		s := openSink(t, path)
		b = newBench(t, s, learning(t))
		x = b.box(home)
		x.scan(5)
		b.feed(x.hello(), x.send(1, 4))
		s.crash()
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return path, b, x, whole
	}
	for name, tear := range map[string]func([]byte) []byte{
		"half a line":         func(b []byte) []byte { return b[:len(b)-100] },
		"no end of line":      func(b []byte) []byte { return b[:len(b)-1] },
		"a broken last line":  func(b []byte) []byte { return append(b[:len(b)-5:len(b)-5], "xxx}\n"...) },
		"zeros behind":        func(b []byte) []byte { return append(b, make([]byte, 5000)...) },
		"many zeros behind":   func(b []byte) []byte { return append(b, make([]byte, 3*maxLine)...) },
		"a hole, then a line": func(b []byte) []byte { return append(append(b, make([]byte, 4096)...), "}\n{\"x\":1}\n"...) },
		"junk behind":         func(b []byte) []byte { return append(b, `{"specversion":`...) },
		"nothing at all":      func([]byte) []byte { return nil },
		"whole":               func(b []byte) []byte { return b },
	} {
		t.Run(name, func(t *testing.T) {
			path, b, x, whole := build(t)
			if err := os.WriteFile(path, tear(bytes.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			b.restart(openSink(t, path))
			b.feed(x.send(1, 6))
			b.wantAck(home, x.last())
			checkFile(t, path, x)
		})
	}
	t.Run("a hole in what was acknowledged", func(t *testing.T) {
		path, b, x, whole := build(t)
		hole := bytes.IndexByte(whole, '\n') + 1
		spoilt := bytes.Clone(whole)
		clear(spoilt[hole : hole+100])
		if err := os.WriteFile(path, spoilt, 0o600); err != nil {
			t.Fatal(err)
		}
		b.restart(openSink(t, path))
		aside, err := filepath.Glob(path + ".damaged.*")
		if err != nil || len(aside) != 1 {
			t.Fatalf("set aside: %v, %v", aside, err)
		}
		if got, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(got, spoilt[hole:]) {
			t.Errorf("set aside are %d bytes of %d, %v", len(got), len(spoilt)-hole, err)
		}
		b.feed(x.send(1, 6))
		b.wantAck(home, x.last())
		checkFile(t, path, x)
	})
	for name, spoil := range map[string]func([]byte) []byte{
		"a broken line inside": func(b []byte) []byte { b[50] ^= 1; return b },
		"a line twice": func(b []byte) []byte {
			i := bytes.IndexByte(b, '\n') + 1
			return append(append(bytes.Clone(b[:i]), b[:i]...), b[i:]...)
		},
		"a line gone": func(b []byte) []byte { return b[bytes.IndexByte(b, '\n')+1:] },
		"a long line": func(b []byte) []byte { return append([]byte(strings.Repeat("x", 2*maxLine)+"\n"), b...) },
	} {
		t.Run(name, func(t *testing.T) {
			path, _, _, whole := build(t)
			bad := spoil(bytes.Clone(whole))
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenJSONL(path, quiet); err == nil || !strings.Contains(err.Error(), "at byte") {
				t.Errorf("opened: %v", err)
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(bad, after) {
				t.Error("a file that is not understood was changed")
			}
		})
	}
}

func TestJSONLState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	s := openSink(t, path)
	b := newBench(t, s, learning(t))
	x := b.box(home)
	x.scan(9)
	b.feed(x.hello(), x.send(1, 5))
	if _, err := OpenJSONL(path, quiet); err == nil {
		t.Error("two centrals write one file")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func([]byte) []byte{
		"empty":      func([]byte) []byte { return nil },
		"cut":        func(b []byte) []byte { return b[:len(b)/2] },
		"other hash": func(b []byte) []byte { return bytes.Replace(b, []byte(`"last":"`), []byte(`"last":"0`), 1) },
		"far":        func(b []byte) []byte { return bytes.Replace(b, []byte(`"size":`), []byte(`"size":9`), 1) },
		"no tail":    func(b []byte) []byte { return bytes.Replace(b, []byte(`"tail":`), []byte(`"tail":-`), 1) },
		"as it was":  func(b []byte) []byte { return b },
	} {
		t.Run(name, func(t *testing.T) {
			st, err := os.ReadFile(path + ".state")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path+".state", spoil(bytes.Clone(st)), 0o600); err != nil {
				t.Fatal(err)
			}
			s := openSink(t, path)
			if got := s.Held(); len(got) != 1 || got[0].Position != x.position(5) {
				t.Errorf("%+v", got)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A file that somebody moved away is no new beginning.
func TestJSONLMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	s := openSink(t, path)
	b := newBench(t, s, learning(t))
	x := b.box(home)
	x.scan(9)
	b.feed(x.hello(), x.send(1, 5))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // also when the first attempt has left an empty file
		if _, err := OpenJSONL(path, quiet); !errors.Is(err, ErrSinkEmpty) {
			t.Fatalf("opened: %v", err)
		}
	}
	if err := os.Rename(path+".1", path); err != nil {
		t.Fatal(err)
	}
	s = openSink(t, path)
	if got := s.Held(); len(got) != 1 || got[0].Position != x.position(5) {
		t.Errorf("%+v", got)
	}
	s.crash()
	for _, p := range []string{path, path + ".state"} {
		if err := os.Remove(p); err != nil {
			t.Fatal(err)
		}
	}
	if s := openSink(t, path); len(s.Held()) != 0 {
		t.Error("without both it is a new beginning")
	}
}

// A file that is moved, replaced or written over while it is open takes
// nothing more: what went there would be acknowledged and lost.
func TestJSONLChangedWhileOpen(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"moved":        func(p string) error { return os.Rename(p, p+".1") },
		"deleted":      os.Remove,
		"written over": func(p string) error { return os.WriteFile(p, []byte("older\n"), 0o600) },
		"replaced": func(p string) error {
			if err := os.WriteFile(p+".old", []byte("older\n"), 0o600); err != nil {
				return err
			}
			return os.Rename(p+".old", p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "events.jsonl")
			s := openSink(t, path)
			b := newBench(t, s, learning(t))
			x := b.box(home)
			x.scan(9)
			b.feed(x.hello(), x.send(1, 5))
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			more, err := x.links[5].Event()
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Store(t.Context(), []Batch{{home, []record.Event{more}}}); err == nil || !strings.Contains(err.Error(), "start again") {
				t.Errorf("it took something: %v", err)
			}
			if p := s.Held()[0].Position; p != x.position(5) {
				t.Errorf("it holds %v", p)
			}
		})
	}
}

func TestJSONLRefusesWhatDoesNotFollow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "events.jsonl")
	s := openSink(t, path)
	b := newBench(t, s, learning(t))
	x := b.box(home)
	x.scan(3)
	ev, err := x.links[2].Event()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Store(t.Context(), []Batch{{home, []record.Event{ev}}}); err == nil {
		t.Error("record 3 was stored first")
	}
	if len(s.Held()) != 0 || s.size != 0 {
		t.Errorf("%+v", s.Held())
	}
	b.feed(x.hello(), x.send(1, 4))
	s.crash()
	b.feed(x.hello())
	if err := s.Store(t.Context(), []Batch{{home, nil}}); err == nil {
		t.Error("a closed file took something")
	}
	if p := s.Held()[0].Position; p != x.last() {
		t.Errorf("%+v", p)
	}
}

// Loss, repeats, disorder, restarts and older copies at random: in the end
// each box's chain is whole and nothing is there twice.
func TestJSONLUnderRandomTrouble(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			path := filepath.Join(t.TempDir(), "events.jsonl")
			s := openSink(t, path)
			b := newBench(t, s, learning(t))
			boxes := []*box{b.box(home), b.box(record.Origin{Site: "hn01", Gate: "g2"})}
			b.feed(boxes[0].state(0), boxes[1].state(0))
			var acked [2]int // what each box believes
			copyOf, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			settle := func(i int, x *box) {
				ack, replies := b.answers(x.o)
				if ack != nil && ack.Seq > uint64(acked[i]) {
					if *ack != x.position(int(ack.Seq)) {
						t.Fatalf("acknowledged what is not there: %+v", ack)
					}
					acked[i] = int(ack.Seq)
				}
				for _, h := range replies {
					acked[i] = 0 // a reply may move it back
					if h.Ack != nil {
						acked[i] = int(h.Ack.Seq)
					}
				}
			}
			for range 150 {
				i := r.IntN(len(boxes))
				x := boxes[i]
				switch r.IntN(10) {
				case 0, 1, 2:
					x.scan(r.IntN(4))
				case 3:
					b.feed(x.hello())
				case 4: // restart of central
					s.crash()
					s = openSink(t, path)
					b.restart(s)
				case 5: // an older copy of central
					if r.IntN(3) > 0 {
						continue
					}
					s.crash()
					if err := os.WriteFile(path, copyOf, 0o600); err != nil {
						t.Fatal(err)
					}
					s = openSink(t, path)
					b.restart(s)
				case 6:
					if copyOf, err = os.ReadFile(path); err != nil {
						t.Fatal(err)
					}
				default:
					from := max(1, acked[i]+1-r.IntN(3))
					var some []message
					for from <= len(x.links) {
						to := min(len(x.links), from+r.IntN(4))
						if r.IntN(5) > 0 { // else lost
							some = append(some, x.send(from, to))
						}
						from = to + 1
					}
					if r.IntN(3) == 0 {
						r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
					}
					b.feed(some...)
				}
				settle(i, x)
			}
			for i, x := range boxes {
				b.feed(x.hello())
				settle(i, x)
				for from := acked[i] + 1; from <= len(x.links); from += 20 {
					b.feed(x.send(from, min(len(x.links), from+19)))
				}
			}
			checkFile(t, path, boxes...)
			for _, rep := range b.reports {
				if rep.Kind != ReportGap && rep.Kind != ReportEpoch && rep.Kind != ReportPinned {
					t.Errorf("%+v", rep)
				}
			}
		})
	}
}

func BenchmarkIngest(b *testing.B) {
	s := openSink(b, filepath.Join(b.TempDir(), "events.jsonl"))
	be := newBench(b, s, learning(b))
	x := be.box(home)
	be.feed(x.hello())
	sent := 0
	for b.Loop() {
		b.StopTimer()
		x.scan(40)
		m := x.send(len(x.links)-40+1, len(x.links))
		if sent == 0 {
			be.feed(x.send(1, 1))
		}
		b.StartTimer()
		be.feed(m)
		sent += 40
	}
	if st := be.c.Stats(); st.Stored != uint64(sent+1) {
		b.Fatalf("%+v", st)
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "events/s")
}
