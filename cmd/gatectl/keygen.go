package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func keygenCommand() *cobra.Command {
	var (
		dir         string
		sets, sites []string
		only        []string
		next        bool
		pass        passphraseFlag
	)
	cmd := &cobra.Command{
		Use:   "keygen",
		Short: "make keys",
		Long: `Makes the keys of central in a folder, each in a file of its own. What is there
already stays as it is; to replace a signing key, move its file away first.

  root.jwe             the offline key that signs trust lists. Keep it, and do this
                       step, on a machine without network (--only root)
  snapshot, policy, ack, pass .jwe   the keys that sign day by day
  *.pub                their public parts; trust publish needs these and root.jwe
  set-NAME.jwk         the secret of a data set (--set), also needed by every box
  entry-SITE.jwk       the secret of the entries of a site (--site), needed by its boxes

The .jwe files open only with the passphrase. The .jwk files are as secret and are
not encrypted. Whoever has a set's secret can tell from the data who is in it. A box has
them from a file, or, where the set is built with --key-hold memory, from central alone
(gatectl ingest --hand-out), and never on its disk.

--next makes the secret that follows the one in use, set-NAME.2.jwk and so on: after a
theft, and now and then. The next snapshot build uses it, ingest hands out both, and once
all boxes have that version the file before can be moved away.`,
		Example: `  gatectl keygen --dir keys --site hn01 --set vn
  gatectl keygen --dir keys --next --set vn
  gatectl keygen --dir usb/root --only root
  gatectl keygen --dir keys --only snapshot,policy,ack,pass --passphrase-file pass`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			roles, err := wantedRoles(only)
			if err != nil {
				return err
			}
			for _, set := range sets {
				if !wire.ValidSet(set) {
					return hint.New("names look like vn or hn01-lists", "--set: %q is no name of a data set", set)
				}
			}
			for _, site := range sites {
				if !wire.ValidSite(site) {
					return hint.New("names look like hn01", "--site: %q is no name of a site", site)
				}
			}
			if next {
				if len(only) > 0 || len(sets)+len(sites) == 0 {
					return hint.New("gatectl keygen --next --set vn, for example", "--next is for secrets: --set, --site, and no --only")
				}
				return keygenFollow(cmd, keyring.Open(dir), sets, sites)
			}
			return keygen(cmd, keyring.Open(dir), roles, sets, sites, &pass)
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "keys", "folder of keys")
	f.StringSliceVar(&sets, "set", nil, "data sets to make a secret for")
	f.StringSliceVar(&sites, "site", nil, "sites to make an entry key for")
	f.StringSliceVar(&only, "only", nil, "make only the signing keys of these roles, or none: "+roleNames()+", none")
	f.BoolVar(&next, "next", false, "make the secrets that follow those in use, for the sets and sites named")
	pass.add(cmd)
	return cmd
}

// keygenFollow makes the secrets that follow those in use.
func keygenFollow(cmd *cobra.Command, ring keyring.Ring, sets, sites []string) error {
	now, out := time.Now(), cmd.OutOrStdout()
	follow := func(name string, make func(string, time.Time) (keyring.Made, error)) error {
		made, err := make(name, now)
		if errors.Is(err, fs.ErrNotExist) {
			return hint.Wrap(err, "the first is made without --next")
		}
		if err == nil {
			fmt.Fprintf(out, "made  %s  %s\n", ring.Path(made.File), made.Kid)
		}
		return err
	}
	for _, set := range sets {
		if err := follow(set, ring.NextSecret); err != nil {
			return err
		}
	}
	for _, site := range sites {
		if err := follow(site, ring.NextEntrySecret); err != nil {
			return err
		}
	}
	fmt.Fprint(out, "\nBoxes have it from gatectl ingest --hand-out within minutes, or from a key file that you copy.\n")
	if len(sets) > 0 {
		fmt.Fprintf(out, "\nNext: gatectl snapshot build PEOPLE --set %s --keys %s, then publish: a box goes on with the version\n"+
			"      that it has until it holds the new secret. Then move the file before away.\n", sets[0], ring.Path(""))
	}
	return nil
}

func roleNames() string {
	var names []string
	for _, r := range keyring.Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

func wantedRoles(only []string) ([]signed.Role, error) {
	if len(only) == 0 {
		return keyring.Roles(), nil
	}
	if len(only) == 1 && only[0] == "none" {
		return nil, nil
	}
	var roles []signed.Role
	for _, name := range only {
		if !slices.Contains(keyring.Roles(), signed.Role(name)) {
			return nil, hint.New("known are "+roleNames()+", and none alone", "--only: unknown role %q", name)
		}
		roles = append(roles, signed.Role(name))
	}
	return roles, nil
}

func keygen(cmd *cobra.Command, ring keyring.Ring, roles []signed.Role, sets, sites []string, pass *passphraseFlag) error {
	now, out := time.Now(), cmd.OutOrStdout()
	said := func(file, kid string, err error) error {
		switch {
		case errors.Is(err, fs.ErrExist):
			fmt.Fprintf(out, "kept  %s\n", ring.Path(file))
			return nil
		case err != nil:
			return err
		}
		fmt.Fprintf(out, "made  %s  %s\n", ring.Path(file), kid)
		return nil
	}
	if len(roles) > 0 {
		passphrase, err := pass.read(cmd, "the new keys", true)
		if err != nil {
			return err
		}
		defer clear(passphrase)
		for _, role := range roles {
			s, err := ring.MakeSigner(role, passphrase, now)
			if err := said(keyring.PrivateFile(role), s.Kid, err); err != nil {
				return err
			}
		}
	}
	for _, set := range sets {
		kid, err := ring.MakeSecret(set, now)
		if err := said(keyring.SetFile(set), kid, err); err != nil {
			return err
		}
	}
	for _, site := range sites {
		kid, err := ring.MakeEntrySecret(site, now)
		if err := said(keyring.EntryFile(site), kid, err); err != nil {
			return err
		}
	}
	return keygenNext(cmd, ring, sets, sites)
}

// keygenNext prints what to do with the keys. File names on the boxes are those
// of the technician's handbook.
func keygenNext(cmd *cobra.Command, ring keyring.Ring, sets, sites []string) error {
	out := cmd.OutOrStdout()
	root, err := ring.Root()
	hasRoot := err == nil
	if hasRoot {
		fmt.Fprintf(out, "\nFor the configuration of every box:\n\n[trust]\nroot_keys = [%q]\n", root)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, site := range sites {
		fmt.Fprintf(out, "\n# boxes of site %s; copy %s there\n[keys]\nentry_file = \"/etc/gateagent/entry.key\"\n", site, ring.Path(keyring.EntryFile(site)))
	}
	for _, set := range sets {
		fmt.Fprintf(out, "\n# copy %s to the boxes\n[[set]]\nname = %q\nkey_file = \"/etc/gateagent/%s.key\"\n", ring.Path(keyring.SetFile(set)), set, set)
	}
	if len(sets) > 0 {
		fmt.Fprint(out, "\nWith snapshot build --key-hold memory nothing is copied: leave out entry_file and key_file;\n"+
			"gatectl ingest --hand-out "+strings.Join(append(slices.Clone(sets), signed.EntrySet), ",")+" hands the keys to the boxes that it knows.\n")
	}
	fmt.Fprint(out, "\nNext: ")
	if len(sites)+len(sets) > 0 {
		fmt.Fprint(out, "copy the .jwk files to the boxes, for the agent alone to read. Then:\n      ")
	}
	site := "SITE"
	if len(sites) > 0 {
		site = sites[0]
	}
	publics, err := ring.Publics()
	if err != nil {
		return err
	}
	switch {
	case hasRoot && len(publics) > 0:
		fmt.Fprintf(out, "gatectl trust publish --keys %s --site %s --broker mqtt://BROKER:1883\n", ring.Path(""), site)
	case hasRoot:
		fmt.Fprint(out, "keep this folder on a machine without network, and at central:\n"+
			"      gatectl keygen --only snapshot,policy,ack,pass --set SET --site SITE\n")
	case len(publics) > 0:
		var files []string
		for _, k := range publics {
			files = append(files, ring.Path(string(k.Role)+".pub"))
		}
		fmt.Fprintf(out, "on the machine with the root key:\n"+
			"      gatectl trust publish --keys FOLDER --public %s --site %s --version 1 --out %s-trust.jws\n", strings.Join(files, ","), site, site)
	default:
		fmt.Fprint(out, "gatectl keygen makes the signing keys too, without --only\n")
	}
	return nil
}
