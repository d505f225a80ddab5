package configs_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gateagent/agent/health"
	"gateagent/configs"
)

var update = flag.Bool("update", false, "write the table of fault codes anew")

const (
	begin = "<!-- faults: written by go test ./configs -update -->\n"
	end   = "<!-- /faults -->\n"
)

// TestHandbookListsEveryFault holds the handbook's table to the catalogue.
func TestHandbookListsEveryFault(t *testing.T) {
	var table strings.Builder
	table.WriteString("| code | what is the matter | what to do |\n|---|---|---|\n")
	for _, code := range health.Codes() {
		f := health.NewFault(code, "")
		fmt.Fprintf(&table, "| `%s` | %s<br>%s | %s<br>%s |\n", code, f.Cause.VI, f.Cause.EN, f.NextStep.VI, f.NextStep.EN)
	}
	book, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(book), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the marks around the table are gone")
	}
	if *update {
		if err := os.WriteFile("README.md", []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != table.String() {
		t.Error("the table differs from the catalogue; run go test ./configs -update")
	}
}

// TestHandbookListsEveryMetric looks the names up in the code that writes them.
func TestHandbookListsEveryMetric(t *testing.T) {
	code, err := os.ReadFile("../agent/statuspage/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	book, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`gate_[a-z_]+`)
	for _, n := range names.FindAll(code, -1) {
		if !bytes.Contains(book, append(append([]byte("`"), n...), '`')) {
			t.Errorf("%s is not in the handbook", n)
		}
	}
	for _, n := range names.FindAll(book, -1) {
		if !bytes.Contains(code, n) {
			t.Errorf("%s is in the handbook and not in the code", n)
		}
	}
}

// TestInstalledPathsAgree: unit, sample and handbook speak of the same places.
func TestInstalledPathsAgree(t *testing.T) {
	book, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/etc/gateagent/gateagent.toml", "/usr/local/bin/gateagent"} {
		if !bytes.Contains(configs.Unit, []byte(want)) || !bytes.Contains(book, []byte(want)) {
			t.Errorf("%s is not in unit and handbook", want)
		}
	}
	// The folders that systemd makes are those of the sample.
	for unit, sample := range map[string]string{
		"StateDirectory=gateagent\n":   `dir = "/var/lib/gateagent"`,
		"RuntimeDirectory=gateagent\n": `socket = "/run/gateagent/agent.sock"`,
	} {
		if !bytes.Contains(configs.Unit, []byte(unit)) || !bytes.Contains(configs.Sample, []byte(sample)) {
			t.Errorf("%q and %q do not agree", unit, sample)
		}
	}
	if len(configs.UdevRules) == 0 || len(configs.MosquittoConf) == 0 {
		t.Error("a file is not embedded")
	}
}

// TestACLCoversTheTopics: every topic of the contract (DESIGN §4.3) that a box
// uses has a line.
func TestACLCoversTheTopics(t *testing.T) {
	lines := strings.Split(string(configs.MosquittoACL), "\n")
	for _, want := range []string{
		"pattern readwrite gate/v1/%u/state", "pattern write gate/v1/%u/entry", "pattern read gate/v1/%u/entry/ack",
		"pattern write gate/v1/%u/hello", "pattern read gate/v1/%u/hello/reply", "pattern read gate/v1/%u/command",
		"pattern write gate/v1/%u/command/result", "pattern write gate/v1/%u/data/want", "pattern read gate/v1/%u/data/chunk/+",
		"pattern read gate/v1/+/policy", "pattern read gate/v1/+/trust", "pattern read gate/v1/+/revoked",
		"pattern read gate/v1/data/+/manifest", "pattern read gate/v1/data/+/chunk/+", "pattern read gate/v1/data/+/delta/+",
		"pattern read gate/v1/central/state",
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q", want)
		}
	}
}
