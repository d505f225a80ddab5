package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/chain"
	"gateagent/sync/central"
	"gateagent/sync/identity"
	"gateagent/sync/wire"
)

// maxShown bounds how many problems are printed.
const maxShown = 50

func verifyCommand() *cobra.Command {
	var gates, prefix string
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "check the chains and signatures of kept entries",
		Long: `Reads files of events as ingest keeps them and checks, for each gate, that no record is
missing, none was changed and, with the file of the gates' keys, that the gate signed
them. Files are read in the order given; "-" is standard input.

The chain alone shows a change by whoever does not hold the whole journal; only the
signatures show one by whoever does.`,
		Example: `  gatectl verify --gates gates.json entries.jsonl
  cat 2026-11-*.jsonl | gatectl verify --gates gates.json -`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			topics, err := wire.NewTopics(prefix)
			if err != nil {
				return fmt.Errorf("--prefix: %w", err)
			}
			pins, err := central.LoadPins(gates, false)
			if err != nil {
				return hint.Wrap(err, "ingest keeps the file of gates that --gates names")
			}
			return verify(cmd, args, topics, pins)
		},
	}
	cmd.Flags().StringVar(&gates, "gates", "", "file of the gates' keys; without it signatures are not checked")
	cmd.Flags().StringVar(&prefix, "prefix", wire.DefaultPrefix, "prefix of the topics that the signatures name")
	return cmd
}

func verify(cmd *cobra.Command, files []string, topics wire.Topics, pins *central.Pins) error {
	problems := 0
	c := chain.New(topics, func(o record.Origin) (identity.Key, bool) {
		id, ok := pins.Get(o)
		return id.Ed25519, ok
	}, func(p chain.Problem) {
		if problems++; problems <= maxShown {
			fmt.Fprintln(cmd.ErrOrStderr(), p)
		}
	})
	for _, name := range files {
		if err := verifyFile(cmd, c, name); err != nil {
			return err
		}
	}
	unchecked := uint64(0)
	epochs := c.End()
	for _, e := range epochs {
		fmt.Fprintf(cmd.OutOrStdout(), "%s/%s  epoch %s  records %d to %d (%d), %d signatures hold",
			e.Origin.Site, e.Origin.Gate, e.Epoch, e.First, e.Last.Seq, e.Records, e.Signatures)
		for _, extra := range []struct {
			n    uint64
			what string
		}{{e.Unchecked, "signatures not checked"}, {e.Repeated, "repeated"}, {e.Erased, "erased"}} {
			if extra.n > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), ", %d %s", extra.n, extra.what)
			}
		}
		fmt.Fprintln(cmd.OutOrStdout())
		unchecked += e.Unchecked
	}
	if rest := problems - maxShown; rest > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "and %d more\n", rest)
	}
	switch {
	case problems > 0:
		return errors.New(count(problems, "problem"))
	case len(epochs) == 0:
		return errors.New("no events there")
	case unchecked > 0:
		fmt.Fprintln(cmd.OutOrStdout(), "chains whole; signatures of gates without a known key were not checked")
		return nil
	}
	fmt.Fprintln(cmd.OutOrStdout(), "chains whole, signatures hold")
	return nil
}

func verifyFile(cmd *cobra.Command, c *chain.Checker, name string) error {
	if name == "-" {
		return c.Read("standard input", cmd.InOrStdin())
	}
	f, err := os.Open(name)
	if err != nil {
		return hint.Wrap(fmt.Errorf("read events: %w", err), "the file that ingest --sink jsonl:FILE names")
	}
	defer f.Close()
	return c.Read(name, f)
}
