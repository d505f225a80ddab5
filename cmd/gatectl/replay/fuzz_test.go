package replay_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/record"
	"gateagent/cmd/gatectl/replay"
)

// FuzzParseEntry: the quick reading of a line finds nothing else in it than the
// strict one of the record, where that takes it.
func FuzzParseEntry(f *testing.F) {
	for _, line := range vectors(f) {
		f.Add(line)
		f.Add(line[:len(line)-2])
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok, err := replay.ParseEntry(line)
		ev, strictErr := record.ParseEvent(line)
		if strictErr != nil {
			return
		}
		want, notRead := ev.Link().Record.Entry()
		switch {
		case errors.Is(notRead, record.ErrWrongType):
			if ok || err != nil {
				t.Fatalf("%s is no entry: %v, %v", line, ok, err)
			}
			return
		case notRead != nil: // its inputs, which central keeps as they come
			if err == nil {
				t.Fatalf("%s was read, though %v", line, notRead)
			}
			return
		}
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v", line, ok, err)
		}
		if e.Verdict != want.Verdict || e.Class != want.Class || e.Policy != want.Policy || !cmp.Equal(e.Reasons, want.Reasons) || !e.Erased && !cmp.Equal(e.Inputs, want.Inputs) {
			t.Fatalf("%s is read as %+v, it is %+v", line, e, want)
		}
	})
}

// vectors gives the events of the record's golden vectors, each as a line.
func vectors(t testing.TB) (lines [][]byte) {
	t.Helper()
	b, err := os.ReadFile("../../../agent/record/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		Event json.RawMessage `json:"event"`
	}
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		var line bytes.Buffer
		if err := json.Compact(&line, v.Event); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line.Bytes())
	}
	return lines
}
