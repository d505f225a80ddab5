package main

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeIsTrue holds every command line of the README to the program:
// the command exists, takes these flags and this many arguments.
func TestReadmeIsTrue(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(b)) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), "gatectl ")
		if !ok {
			continue
		}
		n++
		cmd, rest, err := newRoot().Find(strings.Fields(args))
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		if err := cmd.ValidateFlagGroups(); err != nil {
			t.Errorf("%s: %v", args, err)
		}
	}
	if n < 10 {
		t.Errorf("only %d commands found", n)
	}
}
