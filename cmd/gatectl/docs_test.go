package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/sync/brokertest"
)

// fenced is a fenced block of a page.
type fenced struct {
	line       int
	lang, name string
	text       string
}

// blocks reads the fenced blocks of a page.
func blocks(t *testing.T, page string) (all []fenced) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var open *fenced
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		info, fence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case fence && open == nil:
			open = &fenced{line: n + 1}
			open.lang, open.name, _ = strings.Cut(info, " ")
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: a block without an end", page, open.line)
	}
	return all
}

// TestPolicyPage follows docs/policy.md word for word: its files are written,
// its commands run one after the other in a shell, and what it shows of their
// output has to be there. Only the address of the broker is another. In the
// end the policy's truth table is that of testdata/museum/truth.txt.
func TestPolicyPage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds gateagent and runs a page of commands")
	}
	const page = "../../docs/policy.md"
	broker := brokertest.Start(t)
	dir, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "gatectl")); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-tags", "nethttpomithttp2", "-o", bin, "gateagent/cmd/gateagent").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	writeEntries(t, filepath.Join(dir, "entries.jsonl"))

	env := append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PATH=") }),
		"PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "TZ=UTC", "BROKER="+broker.URL())
	var said string // by the commands since the last block of output
	commands := 0
	for _, b := range blocks(t, page) {
		switch b.lang {
		case "json", "csv", "txt":
			if b.name == "" {
				t.Errorf("%s:%d: which file is that?", page, b.line)
			}
			if err := os.WriteFile(filepath.Join(dir, b.name), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case "text":
			for line := range strings.Lines(b.text) {
				if want := strings.TrimRight(line, "\n"); !strings.Contains(said, want) {
					t.Errorf("%s:%d: the commands before do not say\n%s\nbut\n%s", page, b.line, want, said)
				}
			}
		case "sh":
			if strings.HasPrefix(b.text, "BROKER=") {
				continue
			}
			commands += strings.Count(b.text, "\n")
			cmd := exec.CommandContext(t.Context(), "sh", "-e", "-u", "-c", b.text)
			cmd.Dir, cmd.Env = dir, env
			out, err := cmd.CombinedOutput()
			if said = string(out); err != nil {
				t.Fatalf("%s:%d: %v\n%s\n%s", page, b.line, err, b.text, said)
			}
		default:
			t.Errorf("%s:%d: a block of %q", page, b.line, b.lang)
		}
	}
	if commands < 15 {
		t.Errorf("only %d commands", commands)
	}
	if body := broker.Retained("gate/v1/hn01/policy"); len(body) == 0 {
		t.Error("no policy is published")
	}
	if info, err := os.Stat(filepath.Join(dir, "pass.png")); err != nil || info.Size() == 0 {
		t.Errorf("no pass: %v", err)
	}

	truth := readTruth(t)
	table, err := os.ReadFile(filepath.Join(dir, "table.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(truth.table, rowsOf(t, table)); diff != "" {
		t.Errorf("the printed table is not the one written by hand: %s", diff)
	}
	doc, err := os.ReadFile(filepath.Join(dir, "hn01-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	museum, err := policy.ParseDraft(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range truth.moments {
		in := m.inputs(t)
		if got := shortVerdict(museum.Decide(in).Verdict.String()); got != m.verdict {
			t.Errorf("%s, %s, %s: %s, want %s", m.at, m.who, m.way, got, m.verdict)
		}
	}
	if len(truth.table) < 80 || len(truth.moments) < 25 {
		t.Errorf("the truth has %d rows and %d moments", len(truth.table), len(truth.moments))
	}
}

// truth is what was written by hand.
type truth struct {
	table   []string // "table | situation | class | verdicts | reasons"
	moments []comer
}

// comer is somebody who comes at a moment.
type comer struct{ at, who, way, verdict string }

func readTruth(t *testing.T) (tr truth) {
	t.Helper()
	b, err := os.ReadFile("testdata/museum/truth.txt")
	if err != nil {
		t.Fatal(err)
	}
	var title string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			title = strings.Trim(line, "[]")
		case title == "moments":
			cells := strings.Split(line, " | ")
			if len(cells) != 4 {
				t.Fatalf("%q has not four cells", line)
			}
			tr.moments = append(tr.moments, comer{cells[0], cells[1], cells[2], cells[3]})
		default:
			tr.table = append(tr.table, title+" | "+line)
		}
	}
	return tr
}

func shortVerdict(name string) string {
	for long, short := range map[string]string{"ALLOW_NOTICE": "NOTICE", "MANUAL_CHECK": "MANUAL", "DENY_ALERT": "ALERT"} {
		if name == long {
			return short
		}
	}
	return name
}

// rowsOf brings the printed table into the form of the truth.
func rowsOf(t *testing.T, table []byte) (rows []string) {
	t.Helper()
	records, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records[1:] {
		verdicts := make([]string, 0, 4)
		for _, v := range r[3:7] {
			verdicts = append(verdicts, shortVerdict(v))
		}
		rows = append(rows, fmt.Sprintf("%s | %s | %s | %s | %s", r[0], r[1], r[2], strings.Join(verdicts, " "), r[7]))
	}
	return rows
}

// inputs gives what a gate would know of the comer.
func (c comer) inputs(t *testing.T) gate.Inputs {
	t.Helper()
	zone := time.FixedZone("ICT", 7*3600)
	at, err := time.ParseInLocation("Mon 2006-01-02 15:04", c.at, zone)
	if err != nil {
		t.Fatal(err)
	}
	if day, _, _ := strings.Cut(c.at, " "); at.Weekday().String()[:3] != day {
		t.Fatalf("%s is a %v", c.at, at.Weekday())
	}
	in := gate.Inputs{Now: at.UnixMilli(), Credential: gate.KindCCCD, Clock: gate.ClockCentral, DataAge: 60}
	if c.way == "out" {
		in.Direction = gate.DirectionOut
	}
	if c.who == "pass" {
		in.Credential, in.DataAge = gate.KindPass, -1
		minute := gate.MinuteOf(at)
		in.Pass = gate.Pass{Proof: gate.ProofGood, Kind: gate.PassVisitor, From: minute - 60, To: minute + 60}
		return in
	}
	who, red := strings.CutSuffix(c.who, " RED")
	in.Facts = gate.Facts{Found: true, Word: gate.Word(gate.FactCompleted) << 12, Base: gate.DayOf(at) - 100}
	if red {
		in.Facts.Word = 0
	}
	if who == "staff" {
		in.Facts.Word |= 1 << 15
		in.Facts.HasExtras = true
		in.Facts.Extras.AddList(gate.Membership{List: "staff"})
	}
	return in
}
