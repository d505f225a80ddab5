package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gateagent/agent/policy"
)

func policyCheckCommand() *cobra.Command {
	var (
		level  int
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "check a policy and print what it does",
		Long: `Reads a policy, reports all that is wrong with it, and prints as a table what a gate
does by it in every situation, worked out by the very code that gates run. Without a
file it is the built-in policy. --json prints the document itself: with it a new policy
begins.`,
		Example: `  gatectl policy check
  gatectl policy check hn01-policy.json
  gatectl policy check --json > hn01-policy.json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := readPolicy(cmd, args, level)
			if err != nil {
				return err
			}
			if asJSON {
				doc, err := p.Marshal(policy.Header{Version: p.Ref().Version})
				if err != nil {
					return err
				}
				_, err = cmd.OutOrStdout().Write(doc)
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), p.Table())
			return err
		},
	}
	cmd.Flags().IntVar(&level, "level", 0, "level of the site, 1 to 4 (default: as the policy says)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the document")
	return cmd
}
