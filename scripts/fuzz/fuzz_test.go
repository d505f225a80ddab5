package main

import (
	"fmt"
	"testing"
)

func TestOnlyLate(t *testing.T) {
	const progress = "fuzz: elapsed: 20s, execs: 4711 (235/sec), new interesting: 12 (total: 40)\n"
	for name, c := range map[string]struct {
		out  string
		late bool
	}{
		"late":      {progress + "--- FAIL: FuzzX (20.10s)\n    context deadline exceeded\nFAIL\n", true},
		"passed":    {progress + "PASS\n", false},
		"crash":     {progress + "--- FAIL: FuzzX (3.10s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:12: another\n    \n    Failing input written to testdata/fuzz/FuzzX/0123456789abcdef\nFAIL\n", false},
		"late also": {progress + "--- FAIL: FuzzX (20.10s)\n    context deadline exceeded\n    Failing input written to testdata/fuzz/FuzzX/0123456789abcdef\nFAIL\n", false},
		"own words": {progress + "--- FAIL: FuzzX (3.10s)\n    --- FAIL: FuzzX (0.00s)\n        x_test.go:12: context deadline exceeded\n", false},
		"hang":      {progress + "--- FAIL: FuzzX (20.10s)\n    fuzzing process hung or terminated unexpectedly: exit status 2\n", false},
		"seed":      {"failure while testing seed corpus entry: FuzzX/seed#3\n--- FAIL: FuzzX (0.01s)\n    context deadline exceeded\n", false},
		"nothing":   {"", false},
	} {
		if got := onlyLate([]byte(c.out)); got != c.late {
			t.Errorf("%s: %v", name, got)
		}
	}
	if execs, found := figures([]byte("fuzz: elapsed: 3s, execs: 7 (2/sec)\n" + progress)); execs != 4711 || found != 12 {
		t.Errorf("%d executions, %d new", execs, found)
	}
	if execs, found := figures([]byte("fuzz: elapsed: 0s, gathering baseline coverage: 0/4 completed\n")); execs != 0 || found != 0 {
		t.Errorf("%d executions, %d new", execs, found)
	}
}

func TestStands(t *testing.T) {
	line := func(execs int) string {
		return fmt.Sprintf("fuzz: elapsed: 9s, execs: %d (0/sec), new interesting: 12 (total: 40)\n", execs)
	}
	baseline := "fuzz: elapsed: 0s, gathering baseline coverage: 0/4 completed\n"
	for name, c := range map[string]struct {
		out    string
		stands bool
	}{
		"moves":     {line(1) + line(2) + line(3) + line(4) + line(5), false},
		"stands":    {line(1) + line(7) + line(7) + line(7) + line(7) + "PASS\n", true},
		"slow":      {line(6) + line(7) + line(7) + line(7), false},
		"went on":   {line(7) + line(7) + line(7) + line(7) + line(8), false},
		"beginning": {baseline + baseline + baseline + baseline + line(3), false},
	} {
		if got := stands([]byte(c.out)); got != c.stands {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestStages(t *testing.T) {
	for _, c := range []struct {
		pkg, name string
		stage     bool
	}{
		{"gateagent/driver/qr", "FuzzRead", false},
		{"gateagent/driver/qr", "FuzzTriples", true},
		{"gateagent/driver/qr/symbology", "FuzzBits", false},
		{"gateagent/driver/qr/symbology", "FuzzBlocks", true},
		{"gateagent/agent/pass", "FuzzVerify", false},
	} {
		if got := (target{pkg: c.pkg, name: c.name}).stage(); got != c.stage {
			t.Errorf("%s.%s: %v", c.pkg, c.name, got)
		}
	}
}
