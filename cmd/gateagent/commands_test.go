package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryCommandExplainsItself: each command says in a line what it does, and
// has an example that calls it.
func TestEveryCommandExplainsItself(t *testing.T) {
	root := newRoot()
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		if c.Short == "" || !c.Hidden && c.Long == "" {
			t.Errorf("%s lacks its help", c.CommandPath())
		}
		if !strings.Contains(c.Example, c.CommandPath()) {
			t.Errorf("%s: no example calls it", c.CommandPath())
		}
		for line := range strings.Lines(c.Example) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "gateagent ") {
				t.Errorf("%s: example %q does not call gateagent", c.CommandPath(), line)
			}
		}
	}
}
