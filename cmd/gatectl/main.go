// Command gatectl is central's program: it makes keys, signs and publishes
// what gates go by (trust lists, data sets, policies), watches them, and takes
// in what they recorded. It never runs on a box.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // a server image may have no zone files

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// errSaid ends a command with exit code 1 when what is wrong has been said.
var errSaid = errors.New("")

// run is the whole program: it gives the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && strings.HasPrefix(err.Error(), "unknown command ") && hint.Of(err) == "" {
		err = hint.Wrap(err, "gatectl --help lists the commands")
	}
	if errors.Is(err, errSaid) {
		return 1
	}
	if err != nil {
		hint.Print(stderr, err)
		return 1
	}
	return 0
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatectl",
		Short: "central's side of QR gates: keys, data, policies, entries",
		Long: `gatectl runs at central. It makes the keys, signs and publishes the trust list, the
data sets and the policy that gates go by, shows what gates are doing, takes in the
entries that they send, and checks what was taken in.

A first set-up, in order: keygen, trust publish, snapshot build, snapshot publish,
policy publish, ingest.`,
		Example: `  gatectl keygen --dir keys --site hn01 --set vn
  gatectl trust publish --keys keys --site hn01 --broker mqtt://broker:1883
  gatectl snapshot build people.csv --set vn --out vn --keys keys
  gatectl snapshot publish vn --broker mqtt://broker:1883`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hint.Wrap(err, cmd.CommandPath()+" --help shows the flags")
	})
	root.AddCommand(
		keygenCommand(), trustCommand(), snapshotCommand(), policyCommand(), passCommand(),
		watchCommand(), ingestCommand(), verifyCommand(), demoCommand(), versionCommand(),
	)
	return root
}

// takes wants at least least and at most most arguments; most < 0 for any
// number. Its advice is the first example.
func takes(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		n := len(args)
		if n >= least && (most < 0 || n <= most) {
			return nil
		}
		example, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
		advice := "for example: " + example
		switch {
		case most == 0:
			return hint.New(advice, "%s takes only flags, and %q is none", cmd.CommandPath(), args[0])
		case n < least:
			_, what, _ := strings.Cut(cmd.Use, " ")
			return hint.New(advice, "%s needs %s", cmd.CommandPath(), what)
		}
		return hint.New(advice, "%s takes %s, and %q is one too many", cmd.CommandPath(), count(most, "argument"), args[most])
	}
}

// group makes a command that only holds others.
func group(use, short, long string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: subs[0].Example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return hint.New(cmd.CommandPath()+" --help lists the commands", "unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subs...)
	return cmd
}
