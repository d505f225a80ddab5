package chain

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/wire"
)

// FuzzRead: a file of events, whatever became of it, is read to its end or said
// to be broken; nothing is counted twice and no signature holds that nobody made.
func FuzzRead(f *testing.F) {
	b, err := os.ReadFile("../../../agent/record/testdata/vectors.json")
	if err != nil {
		f.Fatal(err)
	}
	var vectors []struct {
		Event json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(b, &vectors); err != nil {
		f.Fatal(err)
	}
	var all bytes.Buffer
	for _, v := range vectors {
		if err := json.Compact(&all, v.Event); err != nil {
			f.Fatal(err)
		}
		all.WriteByte('\n')
		if all.Len() < 4<<10 {
			f.Add(bytes.Clone(all.Bytes()))
		}
	}
	f.Add(bytes.ReplaceAll(all.Bytes()[:3000], []byte("\n"), []byte("\n\n\x00\n")))
	f.Add([]byte("{}\n[]\nnull\n"))
	topics, err := wire.NewTopics(wire.DefaultPrefix)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		problems := 0
		c := New(topics, func(record.Origin) []identity.Key { return []identity.Key{{}} }, func(p Problem) {
			if p.What == "" || p.File != "x.jsonl" && p.File != "" {
				t.Errorf("a problem without words or place: %+v", p)
			}
			problems++
		})
		if err := c.Read("x.jsonl", bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		for _, s := range c.epochs {
			if s.Records == 0 || s.Records+s.Repeated > uint64(bytes.Count(file, []byte("\n"))+1) || s.Signatures > 0 {
				t.Errorf("%+v of %d bytes", s.Epoch, len(file))
			}
		}
	})
}
