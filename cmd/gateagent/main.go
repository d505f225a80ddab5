// Command gateagent is the program on the box of a QR gate reader: it reads
// codes from a camera or scanner, decides on the box, opens the gate, records
// what it did and keeps in step with central over MQTT.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gateagent/agent/hint"
	"gateagent/agent/zones"

	"github.com/spf13/cobra"
)

func main() {
	// A box has no zone files: without this, TZ would mean nothing there.
	if zone, err := zones.Load(os.Getenv("TZ")); err == nil && os.Getenv("TZ") != "" {
		time.Local = zone
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitCode ends a command with a code of its own; what there was to say has
// been said.
type exitCode int

func (exitCode) Error() string { return "" }

// run is the whole program: it gives the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	if err != nil {
		hint.Print(stderr, err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gateagent",
		Short: "the software inside a QR gate reader",
		Long: `gateagent reads QR codes from a camera or a scanner, looks the person up in the
data on the box, decides by the policy in force, opens the gate and sends what it
did to central. It needs no network to decide.`,
		Example: `  gateagent check --config /etc/gateagent/gateagent.toml
  gateagent run --config /etc/gateagent/gateagent.toml
  gateagent status`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hint.Wrap(err, cmd.CommandPath()+" --help shows the flags")
	})
	root.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.AddCommand(
		runCommand(), checkCommand(), decodeCommand(), statusCommand(), entriesCommand(), explainCommand(),
		versionCommand(), checkdbCommand(),
	)
	return root
}

// unknownCommand refuses a first word that is no command, with the one meant.
func unknownCommand(root *cobra.Command, name string) error {
	root.SuggestionsMinimumDistance = 2
	advice := "gateagent --help lists the commands"
	if near := root.SuggestionsFor(name); len(near) > 0 {
		advice = "did you mean " + root.CommandPath() + " " + near[0] + "?"
	}
	return hint.New(advice, "there is no command %q", name)
}

// noArguments refuses what a command would pass over.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return hint.New(cmd.CommandPath()+" --help shows what it takes", "%s takes no argument, but was given %q", cmd.CommandPath(), args[0])
}

const defaultConfig = "/etc/gateagent/gateagent.toml"
