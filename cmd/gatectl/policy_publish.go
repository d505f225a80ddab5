package main

import (
	"context"
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

func policyPublishCommand() *cobra.Command {
	var (
		site      string
		level     int
		version   uint64
		validDays int
		save      string
		signer    signerFlags
		broker    brokerFlags
	)
	cmd := &cobra.Command{
		Use:   "publish [FILE]",
		Short: "sign a policy and publish it for a site",
		Long: `Signs a policy and publishes it for a site. Without a file it is the built-in one,
whose level --level sets.

--save keeps the signed document in a file too: with it "gatectl policy replay --recorded"
can check later what was decided by it.`,
		Example: `  gatectl policy publish --site hn01 --level 3 --broker mqtt://broker:1883
  gatectl policy publish hn01-policy.json --site hn01 --save hn01-policy.jws --broker mqtt://broker:1883`,
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
				if save != "" {
					if err := os.WriteFile(save, []byte(compact+"\n"), 0o600); err != nil {
						return fmt.Errorf("save the policy: %w", err)
					}
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
	f.StringVar(&save, "save", "", "keep the signed document in this file too")
	signer.add(cmd, signed.RolePolicy)
	broker.add(cmd)
	return cmd
}
