package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func snapshotPublishCommand() *cobra.Command {
	var (
		resign    bool
		validDays int
		signer    signerFlags
		broker    brokerFlags
	)
	cmd := &cobra.Command{
		Use:   "publish FOLDER",
		Short: "publish the version of a data set that is in a folder",
		Long: `Publishes a data set: first its chunks, then the deltas since its base, then the manifest
by which gates take them. Then it clears from the broker what neither this version nor the
one before names. Chunks of a set that has more than 200 of them are not kept on the
broker: gates ask for them, and gatectl snapshot serve answers. Chunks that were published
before are taken to be there; a version that was published before is published whole, so
that a second time mends what the broker has lost.

Gates count the age of their data from the signature of the manifest, so it has to be
signed anew at least every 6 hours, also when nothing has changed: --resign does that,
for example from cron.`,
		Example: `  gatectl snapshot publish vn --broker mqtt://broker:1883
  gatectl snapshot publish vn --resign --passphrase-file pass --broker mqtt://broker:1883`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			folder := dataset.NewFolder(args[0])
			compact, err := folder.Manifest()
			if errors.Is(err, fs.ErrNotExist) {
				return hint.Wrap(err, "gatectl snapshot build makes one")
			}
			if err != nil {
				return err
			}
			m, err := publish.ReadManifest(compact)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if resign {
				if err := checkDays("valid-days", validDays); err != nil {
					return err
				}
				key, err := signer.open(cmd)
				if err != nil {
					return err
				}
				now := time.Now()
				m.Iat, m.Exp = now.Unix(), now.AddDate(0, 0, validDays).Unix()
				again, err := publish.SignManifest(key, m)
				if err != nil {
					return err
				}
				if err := folder.WriteManifest(again); err != nil {
					return err
				}
				compact = []byte(again)
			}
			before, err := folder.Published()
			if err != nil {
				return err
			}
			noted := slices.ContainsFunc(before, func(p dataset.Publication) bool { return p.Version == m.Ver })
			return publishSnapshot(cmd, &broker, folder, compact, m, noted && !resign)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&resign, "resign", false, "sign the manifest anew, as of now")
	f.IntVar(&validDays, "valid-days", 7, "with --resign: days within which a gate may take the version into force")
	signer.add(cmd, signed.RoleSnapshot)
	broker.add(cmd)
	return cmd
}

func publishSnapshot(cmd *cobra.Command, broker *brokerFlags, folder dataset.Folder, compact []byte, m wire.Manifest, again bool) error {
	return session(cmd, broker, "snapshot", func(ctx context.Context, s *publish.Session) error {
		topic := s.Topics.Manifest(m.Aud)
		there, err := published(ctx, cmd, s, topic)
		if err != nil {
			return err
		}
		if there > m.Ver && there > m.BackFrom {
			return hint.New("gates refuse it; build with --version "+fmt.Sprint(there+1)+" or higher",
				"version %d is published, which is above version %d in the folder", there, m.Ver)
		}
		line := newProgress(cmd)
		s.Again = again
		err = s.Snapshot(ctx, folder, compact, m, func(done, of int) { line.say("%d of %d messages", done, of) })
		line.end()
		if err != nil {
			return hint.Wrap(err, "look at the broker's access list and its log")
		}
		out := cmd.OutOrStdout()
		what := "the manifest"
		if len(m.Deltas) > 0 {
			what = count(len(m.Deltas), "delta") + " and " + what
		}
		if s.Keeps(m) {
			fmt.Fprintf(out, "set %s, version %d: %s and %s published on %s\n", m.Aud, m.Ver, count(len(m.Chunks), "chunk"), what, topic)
			return nil
		}
		fmt.Fprintf(out, "set %s, version %d: %s published on %s\n", m.Aud, m.Ver, what, topic)
		fmt.Fprintf(out, "Its %s are too many to be kept on the broker: gates ask for them, and this has to run:\n", count(len(m.Chunks), "chunk"))
		fmt.Fprintf(out, "\n  gatectl snapshot serve %s --broker %s\n", folder.Dir(), broker.url)
		return nil
	})
}
