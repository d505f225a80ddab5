package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/agent/policy"
	"gateagent/cmd/gatectl/publish"
)

func policyCommand() *cobra.Command {
	return group("policy", "the rules by which gates decide", `A policy is a JSON document: which facts count for how long, and what each class of
people may do at each level of a site. The one built into every gate is
`+policy.DefaultID+` at level 4.

Write one by putting parts into it with merge; see with check what it does, with diff
what it changes, with replay what it would have changed for the people who came; then
publish it. docs/policy.md goes the whole way once.`, policyCheckCommand(), policyMergeCommand(), policyDiffCommand(), policyReplayCommand(), policyPublishCommand())
}

// builtIn names the built-in policy where a file could be named.
const builtIn = "built-in"

// maxPolicyFile bounds what is read of a file before the policy's own bound.
const maxPolicyFile = 1 << 20

// readPolicy reads the policy that is named as the only argument, or takes the
// built-in one.
func readPolicy(cmd *cobra.Command, args []string, level int) (*policy.Policy, error) {
	name := builtIn
	if len(args) > 0 {
		name = args[0]
	}
	return loadPolicy(cmd, name, level)
}

// loadPolicy reads a policy file: a document that is being written, or one as
// it was signed (the signature is not judged). A level other than 0 replaces
// the policy's own and all changes of it.
func loadPolicy(cmd *cobra.Command, name string, level int) (*policy.Policy, error) {
	p, err := parsePolicy(cmd, name)
	if err != nil {
		return nil, err
	}
	if level != 0 {
		if level < policy.MinLevel || level > policy.MaxLevel {
			return nil, fmt.Errorf("--level %d is not within %d to %d", level, policy.MinLevel, policy.MaxLevel)
		}
		p = p.AtLevel(level)
	}
	return p, nil
}

func parsePolicy(cmd *cobra.Command, name string) (*policy.Policy, error) {
	if name == builtIn {
		return policy.Default(), nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("read the policy: %w", err), "gatectl policy merge "+builtIn+" PART --out "+name+" begins one")
	}
	if info.Size() > maxPolicyFile {
		return nil, fmt.Errorf("%s is too large for a policy", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	if text := bytes.TrimSpace(b); bytes.HasPrefix(text, []byte("eyJ")) { // {" in base64url: a signed document
		if b, err = publish.PolicyPayload(text); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return draft(cmd, name, b)
}

// draft reads a policy document and says all that is wrong with it.
func draft(cmd *cobra.Command, name string, b []byte) (*policy.Policy, error) {
	p, err := policy.ParseDraft(b)
	if problems, ok := errors.AsType[policy.Problems](err); ok {
		for _, problem := range problems {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", name, problem)
		}
		return nil, hint.New("gatectl policy check, without a file, shows the built-in policy", "the policy is not usable: %s", count(len(problems), "problem"))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}
