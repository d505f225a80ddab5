package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"gateagent/sync/brokertest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"gatectl": main})
}

// TestScripts runs the command as an operator would; the scripts are its
// manual. They share one broker, each under a prefix of its own.
func TestScripts(t *testing.T) {
	broker := brokertest.Start(t)
	entries := filepath.Join(t.TempDir(), "entries.jsonl")
	writeEntries(t, entries)
	var n atomic.Int64
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			prefix := fmt.Sprintf("gate/t%d", n.Add(1))
			e.Setenv("BROKER", broker.URL())
			e.Setenv("PREFIX", prefix)
			e.Setenv("ENTRIES", entries)
			e.Setenv("TZ", "UTC")
			e.Values["prefix"] = prefix
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// retained TOPIC says that the broker keeps something there.
			"retained": func(ts *testscript.TestScript, neg bool, args []string) {
				if len(args) != 1 {
					ts.Fatalf("usage: retained TOPIC")
				}
				body := broker.Retained(ts.Getenv("PREFIX") + "/" + args[0])
				if (len(body) > 0) == neg {
					ts.Fatalf("retained on %s: %d bytes", args[0], len(body))
				}
			},
			// chunks SET N says how many of the files in SET/chunks are
			// retained on the broker.
			"chunks": func(ts *testscript.TestScript, _ bool, args []string) {
				files, err := os.ReadDir(ts.MkAbs(args[0] + "/chunks"))
				ts.Check(err)
				kept := 0
				for _, f := range files {
					if len(broker.Retained(ts.Getenv("PREFIX")+"/data/vn/chunk/"+f.Name())) > 0 {
						kept++
					}
				}
				if got := fmt.Sprintf("%d of %d", kept, len(files)); got != strings.Join(args[1:], " ") {
					ts.Fatalf("%s chunks are published, want %s", got, strings.Join(args[1:], " "))
				}
			},
		},
	})
}

// TestEveryCommandExplainsItself: each command has a long help and an example
// that begins with its own name.
func TestEveryCommandExplainsItself(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Long == "" || c.Example == "" {
			t.Errorf("%s lacks a short help, a long help or an example", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if line = strings.TrimSpace(line); !strings.Contains(line, "gatectl ") {
				t.Errorf("%s: example %q does not call gatectl", c.CommandPath(), line)
			}
		}
		if c.HasSubCommands() {
			for _, sub := range c.Commands() {
				walk(sub)
			}
			return
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: no example calls it", c.CommandPath())
		}
	}
	walk(newRoot())
}
