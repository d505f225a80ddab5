package main_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the commands as a technician would; the scripts are their
// manual.
func TestScripts(t *testing.T) {
	t.Parallel()
	program := theProgram(t)
	pictures, err := filepath.Abs("../../driver/qr/decodefile/testdata")
	if err != nil {
		t.Fatal(err)
	}
	explained := t.TempDir()
	writeExplained(t, explained)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv("PICTURES", pictures)
			e.Setenv("EXPLAINED", explained)
			e.Setenv("TZ", "UTC")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits CODE ARG... runs gateagent, which must end with CODE.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE ARG...")
				}
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				got := 0
				if exit, ok := errors.AsType[*exec.ExitError](ts.Exec("gateagent", args[1:]...)); ok {
					got = exit.ExitCode()
				}
				if got != want {
					ts.Fatalf("gateagent ended with %d, want %d", got, want)
				}
			},
		},
	})
}
