package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/agent/policy"
	"gateagent/agent/record/strict"
)

func policyMergeCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "merge BASE PART...",
		Short: "put parts into a policy",
		Long: `Puts parts into a policy and prints the whole: each PART is a file that holds only what is
to be otherwise, in the place where it stands in a policy. What a part gives replaces what
was there; members of an object that it does not name stay; null takes a member out
(RFC 7396). The whole is checked, and all that is wrong with it is reported.

BASE is a file or "` + builtIn + `".`,
		Example: `  gatectl policy merge built-in museum.json --out hn01-policy.json
  gatectl policy merge hn01-policy.json holidays-2023.json --out hn01-policy.json`,
		Args: takes(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := mergePolicies(cmd, args[0], args[1:])
			if err != nil {
				return err
			}
			doc, err := p.Marshal(policy.Header{})
			if err != nil {
				return err
			}
			if out == "" {
				_, err = cmd.OutOrStdout().Write(doc)
				return err
			}
			if err := os.WriteFile(out, doc, 0o644); err != nil {
				return fmt.Errorf("write the policy: %w", err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", out, headOf(p))
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write it to this file; it may be BASE")
	return cmd
}

func mergePolicies(cmd *cobra.Command, base string, parts []string) (*policy.Policy, error) {
	p, err := loadPolicy(cmd, base, 0)
	if err != nil {
		return nil, err
	}
	doc, err := p.Marshal(policy.Header{})
	if err != nil {
		return nil, err
	}
	whole, err := parsePart(doc)
	if err != nil {
		return nil, err
	}
	for _, name := range parts {
		b, err := readPart(cmd, name)
		if err != nil {
			return nil, err
		}
		part, err := parsePart(b)
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("%s: %w", name, err), `{"level": 2}, for example, is a whole part`)
		}
		merge(whole, part)
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("merge: %w", err)
	}
	return draft(cmd, parts[len(parts)-1], text)
}

func readPart(cmd *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxPolicyFile))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read a part: %w", err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPolicyFile))
}

// parsePart reads a JSON object; names that stand twice are refused.
func parsePart(b []byte) (map[string]any, error) {
	v, err := strict.Parse(bytes.TrimSpace(b), strict.Limits{Size: maxPolicyFile, Depth: 16})
	if err != nil {
		return nil, err
	}
	part, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("a part is a JSON object")
	}
	return part, nil
}

// merge is a JSON merge patch (RFC 7396).
func merge(into, part map[string]any) {
	for key, v := range part {
		inner, isObject := v.(map[string]any)
		switch {
		case v == nil:
			delete(into, key)
		case !isObject:
			into[key] = v
		default:
			had, ok := into[key].(map[string]any)
			if !ok {
				had = map[string]any{}
			}
			merge(had, inner)
			into[key] = had
		}
	}
}
