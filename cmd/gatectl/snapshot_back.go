package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
)

func snapshotBackCommand() *cobra.Command {
	var (
		validDays int
		signer    signerFlags
	)
	cmd := &cobra.Command{
		Use:   "back FOLDER VERSION",
		Short: "go back to an older version",
		Long: `Signs a manifest by which gates go back to an older version: when the newest one was made
from a wrong list. Gates refuse older versions but for this manifest, which says so. The
folder keeps the last three bases and the deltas on them.

After that, no delta leads on: gates that did not see the manifest would take it for their
own. Build the next version with "gatectl snapshot build"; it gets a number above all
before.`,
		Example: `  gatectl snapshot back vn 41 --keys keys
  gatectl snapshot publish vn --broker mqtt://broker:1883`,
		Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			to, err := strconv.ParseUint(args[1], 10, 64)
			if err != nil || to == 0 {
				return hint.New("gatectl snapshot inspect "+args[0]+" lists the versions", "%q is no version", args[1])
			}
			if err := checkDays("valid-days", validDays); err != nil {
				return err
			}
			folder := dataset.NewFolder(args[0])
			from, err := newest(folder)
			if err != nil {
				return err
			}
			if from.BackFrom > 0 && to >= from.Ver {
				return hint.New("gatectl snapshot build makes a new version of the list that is right",
					"the set has gone back from version %d to %d already, and goes from there no further up", from.BackFrom, from.Ver)
			}
			key, err := signer.open(cmd)
			if err != nil {
				return err
			}
			unlock, err := folder.Lock()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, unlock()) }()
			m, err := folder.Back(to)
			if err != nil {
				return err
			}
			now := time.Now()
			m.Iat, m.Exp = now.Unix(), now.AddDate(0, 0, validDays).Unix()
			compact, err := publish.SignManifest(key, m)
			if err != nil {
				return err
			}
			if err := folder.WriteManifest(compact); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "set %s goes back from version %d to version %d\n\nNext: gatectl snapshot publish %s --broker mqtt://BROKER:1883\n",
				m.Aud, m.BackFrom, m.Ver, args[0])
			if was := m.Base.KeyID; was != from.Base.KeyID {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: version %d is under the secret %s, and gates go back only if they hold it; ingest hands out the newest two of the set\n", m.Ver, was)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&validDays, "valid-days", 7, "days within which a gate may take the version into force")
	signer.add(cmd, signed.RoleSnapshot)
	return cmd
}
