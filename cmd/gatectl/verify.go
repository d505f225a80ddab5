package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

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
	var (
		gates  []string
		prefix string
	)
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "check the chains and signatures of kept entries",
		Long: `Reads files of events as ingest keeps them and checks, for each gate, that no record is
missing, none was changed and, with the file of the gates' keys, that the gate signed
them. Files are read in the order given; "-" is standard input.

A replaced box has other keys than the one before it. Keep the file of gates from before,
and name both.

The chain alone shows a change by whoever does not hold the whole journal; only the
signatures show one by whoever does.`,
		Example: `  gatectl verify --gates gates.json entries.jsonl
  gatectl verify --gates gates.json,gates-before.json entries.jsonl
  ssh central cat entries.jsonl | gatectl verify --gates gates.json -`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			topics, err := wire.NewTopics(prefix)
			if err != nil {
				return fmt.Errorf("--prefix: %w", err)
			}
			var pins []*central.Pins
			for _, name := range gates {
				p, err := central.LoadPins(name, false)
				if err != nil {
					return hint.Wrap(err, "ingest keeps the file of gates that --gates names")
				}
				pins = append(pins, p)
			}
			return verify(cmd, args, topics, pins)
		},
	}
	cmd.Flags().StringSliceVar(&gates, "gates", nil, "file of the gates' keys, also older ones from before a box was replaced; without it signatures are not checked")
	cmd.Flags().StringVar(&prefix, "prefix", wire.DefaultPrefix, "prefix of the topics that the signatures name")
	return cmd
}

func verify(cmd *cobra.Command, files []string, topics wire.Topics, pins []*central.Pins) error {
	problems := 0
	c := chain.New(topics, func(o record.Origin) (keys []identity.Key) {
		for _, p := range pins {
			if id, ok := p.Get(o); ok && !slices.Contains(keys, id.Ed25519) {
				keys = append(keys, id.Ed25519)
			}
		}
		return keys
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
