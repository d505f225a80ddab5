package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
)

// version is what the Go tool stamped into the binary: nothing to forget at a
// release.
type version struct {
	Version string    `json:"version"`
	Commit  string    `json:"commit,omitempty"`
	Built   time.Time `json:"commit_time,omitzero"`
	Dirty   bool      `json:"dirty,omitempty"`
	Go      string    `json:"go"`
	Arch    string    `json:"arch"`
}

func thisVersion() version {
	v := version{Version: "unknown", Go: runtime.Version(), Arch: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Commit = s.Value
		case "vcs.time":
			v.Built, _ = time.Parse(time.RFC3339, s.Value) // zero when unreadable: the floor then starts lower
		case "vcs.modified":
			v.Dirty = s.Value == "true"
		case "GOARM":
			v.Arch += "v" + s.Value
		}
	}
	return v
}

// String gives "v1.2.3 (1b0a1f5)".
func (v version) String() string {
	if v.Commit == "" {
		return v.Version
	}
	return v.Version + " (" + v.Commit[:min(len(v.Commit), 7)] + ")"
}

func versionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "print version, commit, Go and architecture",
		Long:    "version prints what this program was built from: version, commit, Go and architecture.",
		Example: "  gateagent version --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := thisVersion()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "gateagent %s\ncommit %s\n%s %s\n", v.Version, v.Commit, v.Go, v.Arch)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
