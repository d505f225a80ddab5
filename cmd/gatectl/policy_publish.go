package main

import (
	"context"
	"encoding/json"
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

With --level the site is at that level from now on. Changes of level that the policy
announces for later stay announced, and those that lie behind are left out, as the level
replaces them; both are said.

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
			p, err := readPolicy(cmd, args, 0)
			if err != nil {
				return err
			}
			var past []policy.LevelChange
			if cmd.Flags().Changed("level") {
				if p, past, err = atLevel(p, level, time.Now()); err != nil {
					return err
				}
			}
			noteLists(cmd.ErrOrStderr(), p)
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
				reportLevels(cmd, p, past, now, fmt.Sprintf("version %d published on %s", next, topic))
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

// atLevel gives a policy that is at a level from now on, with the changes that
// it announces for later, and the changes that the level replaces.
func atLevel(p *policy.Policy, level int, now time.Time) (set *policy.Policy, past []policy.LevelChange, err error) {
	if level < policy.MinLevel || level > policy.MaxLevel {
		return nil, nil, fmt.Errorf("--level %d is not within %d to %d", level, policy.MinLevel, policy.MaxLevel)
	}
	doc, err := p.Marshal(policy.Header{})
	if err != nil {
		return nil, nil, err
	}
	whole, err := parsePart(doc)
	if err != nil {
		return nil, nil, err
	}
	whole["level"] = level
	var later []any
	for _, c := range p.LevelChanges() {
		if c.From.After(now) {
			later = append(later, map[string]any{"from": c.From.In(p.Zone()).Format(time.RFC3339), "level": c.Level})
			continue
		}
		past = append(past, c)
	}
	delete(whole, "levels")
	if len(later) > 0 {
		whole["levels"] = later
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, nil, fmt.Errorf("set the level: %w", err)
	}
	if set, err = policy.ParseDraft(text); err != nil {
		return nil, nil, fmt.Errorf("set the level: %w", err)
	}
	return set, past, nil
}

// reportLevels says what was published: the level that holds now, which an
// announced change may have made another than the policy begins with, and what
// is announced.
func reportLevels(cmd *cobra.Command, p *policy.Policy, past []policy.LevelChange, now time.Time, what string) {
	const form = "2006-01-02 15:04"
	level, _ := p.LevelAt(now)
	fmt.Fprintf(cmd.OutOrStdout(), "policy %s, level %d, %s\n", p.Ref().ID, level, what)
	for _, c := range p.LevelChanges() {
		if c.From.After(now) {
			fmt.Fprintf(cmd.OutOrStdout(), "announced: level %d from %s\n", c.Level, c.From.In(p.Zone()).Format(form))
		}
	}
	for _, c := range past {
		fmt.Fprintf(cmd.OutOrStdout(), "left out: level %d from %s, which --level replaces\n", c.Level, c.From.In(p.Zone()).Format(form))
	}
}
