package central

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"gateagent/agent/record"
)

// FuzzSink: whatever a crash or a disk made of the file of kept events, what is
// read of it is whole lines from its beginning, and the chains in them go on.
func FuzzSink(f *testing.F) {
	b := newBench(f, &memory{}, learning(f))
	var file bytes.Buffer
	for _, name := range []string{"g1", "g2"} {
		x := b.box(record.Origin{Site: "hn01", Gate: name})
		x.begin(record.Position{}, "first start")
		x.scan(3)
		for _, l := range x.links {
			ev, err := l.Event()
			if err != nil {
				f.Fatal(err)
			}
			line, err := json.Marshal(ev)
			if err != nil {
				f.Fatal(err)
			}
			file.Write(append(line, '\n'))
		}
	}
	whole := file.Bytes()
	f.Add(whole)
	f.Add(whole[:len(whole)-7])
	f.Add(append(bytes.Clone(whole), make([]byte, 64)...))
	f.Add(bytes.Replace(whole, []byte(`"seq":2`), []byte(`"seq":9`), 1))
	f.Add([]byte("\n"))
	f.Add([]byte("{}\n{}\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s := &JSONL{log: slog.New(slog.DiscardHandler)}
		end, err := s.read(bytes.NewReader(file), 0)
		if end < 0 || end > int64(len(file)) || end > 0 && file[end-1] != '\n' {
			t.Fatalf("read to %d of %d bytes: %v", end, len(file), err)
		}
		total := uint64(0)
		for _, h := range s.held {
			total += h.Position.Seq
		}
		if lines := bytes.Count(file[:end], []byte("\n")); err == nil && total < uint64(lines) {
			t.Fatalf("%d records of %d lines", total, lines)
		}
		if end > 0 && !bytes.HasSuffix(file[:end], s.last) {
			t.Fatal("the last line is another")
		}
	})
}
