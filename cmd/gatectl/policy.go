package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/agent/policy"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func policyCommand() *cobra.Command {
	return group("policy", "the rules by which gates decide", `A policy is a JSON document: which facts count for how long, and what each class of
people may do at each level of a site. The one built into every gate is
`+policy.DefaultID+` at level 4.`, policyCheckCommand(), policyPublishCommand())
}

func policyCheckCommand() *cobra.Command {
	var level int
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "check a policy and print what it does",
		Long: `Reads a policy, reports all that is wrong with it, and prints as a table what a gate
does by it in every situation, worked out by the very code that gates run. Without a
file it prints the built-in policy.`,
		Example: `  gatectl policy check
  gatectl policy check hn01-policy.json`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := readPolicy(cmd, args, level)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), p.Table())
			return err
		},
	}
	cmd.Flags().IntVar(&level, "level", 0, "level of the site, 1 to 4 (default: as the policy says)")
	return cmd
}

func policyPublishCommand() *cobra.Command {
	var (
		site      string
		level     int
		version   uint64
		validDays int
		signer    signerFlags
		broker    brokerFlags
	)
	cmd := &cobra.Command{
		Use:   "publish [FILE]",
		Short: "sign a policy and publish it for a site",
		Long: `Signs a policy and publishes it for a site. Without a file it is the built-in one,
whose level --level sets.`,
		Example: `  gatectl policy publish --site hn01 --level 3 --broker mqtt://broker:1883
  gatectl policy publish hn01-policy.json --site hn01 --broker mqtt://broker:1883`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !wire.ValidSite(site) {
				return hint.New("--site hn01, for example", "--site: %q is no name of a site", site)
			}
			if err := checkDays("valid-days", validDays); err != nil {
				return err
			}
			p, err := readPolicy(cmd, args, level)
			if err != nil {
				return err
			}
			key, err := signer.open(cmd)
			if err != nil {
				return err
			}
			return siteSession(cmd, &broker, "policy", site, func(ctx context.Context, s *publish.Session, gates *publish.InForce) error {
				topic := s.Topics.Policy(site)
				next, err := nextVersion(ctx, cmd, s, topic, version, gates.Policy)
				if err != nil {
					return err
				}
				now := time.Now()
				compact, err := publish.SignPolicy(key, p, policy.Header{
					Audience: site, Version: next, Issued: now, Expires: now.AddDate(0, 0, validDays),
				})
				if err != nil {
					return err
				}
				if err := retain(ctx, s, topic, compact); err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "policy %s, level %d, version %d published on %s\n", p.Ref().ID, p.Level(), next, topic)
				return nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&site, "site", "", "the site (required)")
	f.IntVar(&level, "level", 0, "level of the site, 1 to 4 (default: as the policy says)")
	f.Uint64Var(&version, "version", 0, "version of the document (default: one above what is published)")
	f.IntVar(&validDays, "valid-days", 30, "days within which a gate may take the policy into force")
	signer.add(cmd, signed.RolePolicy)
	broker.add(cmd)
	return cmd
}

// maxPolicyFile bounds what is read of a file before the policy's own bound.
const maxPolicyFile = 1 << 20

// readPolicy reads a policy file, or takes the built-in policy.
func readPolicy(cmd *cobra.Command, args []string, level int) (*policy.Policy, error) {
	p := policy.Default()
	if len(args) > 0 {
		info, err := os.Stat(args[0])
		if err != nil {
			return nil, fmt.Errorf("read the policy: %w", err)
		}
		if info.Size() > maxPolicyFile {
			return nil, fmt.Errorf("%s is too large for a policy", args[0])
		}
		b, err := os.ReadFile(args[0])
		if err != nil {
			return nil, fmt.Errorf("read the policy: %w", err)
		}
		p, err = policy.ParseDraft(b)
		if problems, ok := errors.AsType[policy.Problems](err); ok {
			for _, problem := range problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", args[0], problem)
			}
			return nil, hint.New("gatectl policy check, without a file, shows the built-in policy", "the policy is not usable: %s", count(len(problems), "problem"))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", args[0], err)
		}
	}
	if level != 0 {
		if level < policy.MinLevel || level > policy.MaxLevel {
			return nil, fmt.Errorf("--level %d is not within %d to %d", level, policy.MinLevel, policy.MaxLevel)
		}
		p = p.AtLevel(level)
	}
	return p, nil
}
