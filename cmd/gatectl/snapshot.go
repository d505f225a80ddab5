package main

import (
	"github.com/spf13/cobra"
)

func snapshotCommand() *cobra.Command {
	return group("snapshot", "data sets: what gates know about people", `A data set is made from a list of people: each number becomes a pseudonym under the
secret of the set, what is known about the person one word, and extras where one word does
not say it. It is built into a folder and published from there; a delta leads from one
version to the next.`,
		snapshotBuildCommand(), snapshotDeltaCommand(), snapshotBackCommand(), snapshotInspectCommand(),
		snapshotPublishCommand(), snapshotServeCommand())
}
