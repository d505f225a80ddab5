package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"gateagent/cache"

	"github.com/spf13/cobra"
)

// checkdbCommand is the child in which a suspect database file is opened: a
// damaged one can kill the process that maps it, and then it kills this one.
func checkdbCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "checkdb FILE",
		Short:   "check one database file of a stopped agent",
		Example: "  gateagent checkdb /var/lib/gateagent/journal/journal.db",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return cache.CheckFile(args[0])
		},
	}
}

// checkInChild runs checkdb on path in a process of its own.
func checkInChild(ctx context.Context, path string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("%w: find this program: %w", cache.ErrNotChecked, err)
	}
	cmd := exec.CommandContext(ctx, self, "checkdb", path)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return fmt.Errorf("%w: start the check of %s: %w", cache.ErrNotChecked, path, err)
	}
	said, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(string(out)), "error: "), "\n")
	return fmt.Errorf("%s (%w)", said, err)
}
