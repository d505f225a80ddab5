package main

import (
	"gateagent/agent/config"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "load and judge a configuration; touches no device",
		Long: `check reads a configuration and says all that is wrong with it, each problem as
file:line:column: key: what is wrong, and a hint. It opens no device and changes
nothing. It ends with 0 when the file can be used and with 1 when it cannot.`,
		Example: "  gateagent check --config /etc/gateagent/gateagent.toml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report := config.Check(path)
			if err := report.WriteText(cmd.OutOrStdout()); err != nil {
				return err
			}
			if !report.OK() {
				return exitCode(1)
			}
			return nil
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "config", defaultConfig, "the configuration file")
}
