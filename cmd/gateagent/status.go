package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"gateagent/agent/config"
	"gateagent/agent/health"
	"gateagent/agent/hint"
	"gateagent/agent/localapi"

	"github.com/spf13/cobra"
)

// asking is how a command finds the running agent.
type asking struct{ config, socket string }

func (a *asking) flags(cmd *cobra.Command) {
	configFlag(cmd, &a.config)
	cmd.Flags().StringVar(&a.socket, "socket", "", "the agent's socket (default: local.socket of the config)")
}

func (a *asking) client() *localapi.Client {
	if a.socket == "" {
		report := config.Check(a.config)
		if c := report.Config(); c != nil {
			a.socket = c.Local.Socket
		} else {
			a.socket = report.Salvage().Socket
		}
	}
	return localapi.NewClient(a.socket)
}

// unreachable turns a failed question into what the caller is told: exit code
// 2 when no agent runs.
func (a *asking) unreachable(stderr io.Writer, err error) error {
	switch {
	case errors.Is(err, localapi.ErrNotRunning):
		hint.Print(stderr, hint.Wrap(fmt.Errorf("%w (socket %s)", localapi.ErrNotRunning, a.socket),
			"systemctl status gateagent, or: gateagent run --config "+a.config))
		return exitCode(2)
	case errors.Is(err, localapi.ErrForbidden):
		return hint.Wrap(fmt.Errorf("the socket %s is not for this user", a.socket), "use sudo, or join the agent's group")
	}
	return err
}

func statusCommand() *cobra.Command {
	var a asking
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "ask the running agent how it is",
		Long: `status asks the running agent whether its gate can decide, and what is the matter
where something is. It ends with 0 when all is well or the gate decides with
limits, with 1 when the gate cannot decide, with 2 when no agent runs.`,
		Example: "  gateagent status\n  gateagent status --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.client().Status(cmd.Context())
			if err != nil {
				return a.unreachable(cmd.ErrOrStderr(), err)
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			} else {
				err = printStatus(cmd.OutOrStdout(), s)
			}
			if err != nil {
				return err
			}
			if !s.CanDecide {
				return exitCode(1)
			}
			return nil
		},
	}
	a.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, s localapi.Status) error {
	answer := "YES"
	if !s.CanDecide {
		answer = "NO"
	}
	fmt.Fprintf(w, "this gate can decide: %s\n  %s\n  %s\n\n", answer, s.Why.VI, s.Why.EN)
	for _, c := range s.Components {
		if c.Fault == nil {
			continue
		}
		fmt.Fprintf(w, "%s: %s (%s, since %s)\n  %s\n  %s\n", c.Level, c.Title.EN, c.Fault.Code, local(c.Since), c.Fault.Cause.VI, c.Fault.Cause.EN)
		if c.Fault.Detail != "" {
			fmt.Fprintf(w, "  %s\n", c.Fault.Detail)
		}
		fmt.Fprintf(w, "  hint: %s\n        %s\n", c.Fault.NextStep.VI, c.Fault.NextStep.EN)
	}
	if s.Site == "" { // without a configuration there is no more to say
		fmt.Fprintf(w, "\n%-10s %s, boot %s, since %s\n", "gate", s.Version, s.Boot, local(s.Started))
		return nil
	}
	fmt.Fprintf(w, "\n%-10s %s/%s, %s, boot %s, since %s\n", "gate", s.Site, s.Gate, s.Version, s.Boot, local(s.Started))
	if s.Identity != "" {
		fmt.Fprintf(w, "%-10s %s\n", "identity", s.Identity)
	}
	fmt.Fprintf(w, "%-10s %s, %s\n", "clock", local(s.Now), s.Clock)
	builtIn := ""
	if s.Policy.BuiltIn {
		builtIn = ", built in"
	}
	fmt.Fprintf(w, "%-10s %s version %d, level %d%s\n", "policy", s.Policy.ID, s.Policy.Version, s.Policy.Level, builtIn)
	if s.Policy.ShadowID != "" {
		fmt.Fprintf(w, "%-10s %s version %d, tried, not acted on\n", "", s.Policy.ShadowID, s.Policy.ShadowVersion)
	}
	if p := s.Proofs; p.PassportKeys+p.PassKeys > 0 {
		fmt.Fprintf(w, "%-10s %d keys for passports, %d for passes, %d passes used here; revoked: version %d\n",
			"signed", p.PassportKeys, p.PassKeys, p.SpentPasses, p.Revoked.Version)
	}
	for _, d := range s.Sets {
		switch {
		case d.Version == 0:
			fmt.Fprintf(w, "%-10s %s: none yet\n", "data", d.Set)
		default:
			fmt.Fprintf(w, "%-10s %s version %d, %d people, vouched for %s, %s\n", "data", d.Set, d.Version, d.People, local(d.Issued), keyWords(d))
		}
		if d.Fetch != nil {
			fmt.Fprintf(w, "%-10s %s: %s\n", "", d.Set, d.Fetch.Text.EN)
		}
	}
	fmt.Fprintf(w, "%-10s epoch %s, %d records, %d wait for central\n", "journal", s.Journal.Epoch, s.Journal.Seq, s.Journal.Queue)
	state := "not connected"
	if s.Link.Connected {
		state = "connected"
	}
	fmt.Fprintf(w, "%-10s %s, %s\n", "broker", s.Link.Broker, state)
	for _, l := range s.Lanes {
		fmt.Fprintf(w, "%-10s %s (%s): %s to %s", "lane", l.Name, l.Direction, l.Scanner, l.Relay)
		between := ";"
		for _, v := range verdictOrder {
			if n := l.Decisions[v]; n > 0 {
				fmt.Fprintf(w, "%s %s %d", between, v, n)
				between = ""
			}
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%-10s %s\n%-10s %s\n", "if stolen", s.Theft.VI, "", s.Theft.EN)
	return nil
}

// keyWords says where the key of a set comes from, and that it is not here.
func keyWords(d localapi.Set) string {
	words := "key from a file"
	if d.KeyHold == health.HoldMemory.String() {
		words = "key in memory only"
	}
	if !d.HasKey {
		words += ", NOT HERE: everybody is checked by hand"
	}
	return words
}

func local(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}
