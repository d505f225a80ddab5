package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/demo"
)

func demoCommand() *cobra.Command {
	o := demo.Options{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "see it all work on this machine",
		Long: `demo starts a broker, a central with 100,000 fictional people and the real gateagent, holds
fictional ID cards before its camera (rendered pictures), and prints each decision with
the time it took. Half way the site is raised from level 3 to level 4. At the end it
compares what central received with what the gate decided, and with the truth, which is
a list written by hand.

Nothing has to be installed or configured, and nothing is left behind.`,
		Example: `  gatectl demo
  gatectl demo --once | tail -n 1`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Agent == "" {
				path, err := besideThis("gateagent")
				if err != nil {
					return hint.Wrap(err, "make build leaves both programs in bin/; --agent names another one")
				}
				o.Agent = path
			}
			o.Out = cmd.OutOrStdout()
			s, err := demo.Run(cmd.Context(), o)
			if err != nil {
				return err
			}
			if o.Once {
				if err := s.WriteJSON(cmd.OutOrStdout()); err != nil {
					return err
				}
			}
			if !s.Good() {
				return errSaid
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Once, "once", false, "end after the comparison; the last line is the summary as JSON")
	f.StringVar(&o.Agent, "agent", "", "the gateagent program (default: beside this one)")
	f.StringVar(&o.Broker, "broker", "", "use this broker, for example mqtt://127.0.0.1:1883 (default: one of its own)")
	f.IntVar(&o.Each, "each", 2, "how often each kind of visitor comes at each level")
	f.Uint64Var(&o.Seed, "seed", 1, "fixes people, order and pictures")
	f.BoolVar(&o.Keep, "keep", false, "leave all files of box and central in place and say where")
	return cmd
}

// besideThis finds a program in the folder of this one, or on the path.
func besideThis(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	path, err = exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	return path, nil
}
