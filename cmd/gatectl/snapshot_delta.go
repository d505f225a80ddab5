package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/cache/block"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// deltaFlags are what a delta is made by.
type deltaFlags struct {
	validDays int
	rebase    bool
	empty     bool
	list      listFlags
	signer    signerFlags
}

func snapshotDeltaCommand() *cobra.Command {
	var d deltaFlags
	cmd := &cobra.Command{
		Use:   "delta FOLDER [PEOPLE|FOLDER]",
		Short: "make what has changed since the version in a folder",
		Long: `With a list of people (the whole list, not only what is new) it compares the list with
the newest version in the folder and adds a delta: the changes, signed, a few bytes each.
The folder holds all that is needed for it. Gates that have the version before take the
delta; others take the deltas they miss, or the base.

Where nothing has changed no version is made, and the command says so: gates have it all.
That is no error. Their data stay fresh by "gatectl snapshot publish --resign".
--allow-empty makes a version all the same, for whoever counts a version a day.

Deltas pile up. When they are larger than a third of the base, or after about 300, the
command says that a new base is due. --rebase makes one of what is in force: gates that
followed by deltas put it together themselves and fetch nothing. It may come with a list
or without one.

With two folders it changes nothing and tells how many people the versions in them differ
in, and how.

` + listHelp,
		Example: `  gatectl snapshot delta vn people.csv --keys keys
  gatectl snapshot delta vn --rebase --passphrase-file pass
  gatectl snapshot delta vn vn-before`,
		Args: takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 && isFolder(args[1]) {
				if d.rebase {
					return hint.New("leave one of them out", "--rebase makes a base of one folder, and two are named")
				}
				return compareFolders(cmd, args[0], args[1])
			}
			if len(args) == 1 && !d.rebase {
				return hint.New("for example: gatectl snapshot delta vn people.csv", "%s needs a list of people, a second folder or --rebase", cmd.CommandPath())
			}
			return adviseSpace(d.run(cmd, args[0], args[1:]))
		},
	}
	f := cmd.Flags()
	f.IntVar(&d.validDays, "valid-days", 7, "days within which a gate may take the version into force")
	f.BoolVar(&d.rebase, "rebase", false, "make a base of the newest version, which gates build of what they have")
	f.BoolVar(&d.empty, "allow-empty", false, "make a version also when nothing has changed")
	d.list.add(cmd)
	d.signer.add(cmd, signed.RoleSnapshot)
	return cmd
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return path != "-" && err == nil && info.IsDir()
}

func (d *deltaFlags) run(cmd *cobra.Command, dir string, list []string) (err error) {
	if err := checkDays("valid-days", d.validDays); err != nil {
		return err
	}
	folder := dataset.NewFolder(dir)
	m, err := newest(folder)
	if err != nil {
		return err
	}
	if len(list) > 0 {
		if err := dataset.Extends(m); err != nil {
			return err
		}
	}
	key, err := d.signer.open(cmd)
	if err != nil {
		return err
	}
	unlock, err := folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if m, err = newest(folder); err != nil { // another command may have been faster
		return err
	}
	bar := newRate(cmd)
	defer bar.end()
	if len(list) > 0 {
		if m, err = d.fromList(cmd, folder, m, list[0], key, bar); err != nil {
			return err
		}
	}
	if d.rebase {
		return d.rebased(cmd, folder, m, key, bar)
	}
	return nil
}

// newest gives the manifest in a folder.
func newest(folder dataset.Folder) (wire.Manifest, error) {
	m, err := folder.Newest()
	if errors.Is(err, fs.ErrNotExist) {
		return m, hint.Wrap(err, "gatectl snapshot build makes one")
	}
	return m, err
}

func (d *deltaFlags) head() dataset.Head {
	now := time.Now()
	return dataset.Head{Issued: now, Expires: now.AddDate(0, 0, d.validDays), Empty: d.empty}
}

func (d *deltaFlags) fromList(cmd *cobra.Command, folder dataset.Folder, m wire.Manifest, list string, key signed.Signer, bar *rate) (next wire.Manifest, err error) {
	o, err := d.list.options(time.Now(), folder.Dir())
	if err != nil {
		return m, err
	}
	if _, o.Key, err = keyring.Open(d.signer.keys).SecretOf(m.Aud, m.Base.KeyID); err != nil {
		return m, hint.Wrap(err, "gatectl snapshot build makes a base under the newest secret")
	}
	o.CheckBits, o.Progress = m.Base.Width == block.WidthCheck, bar.tell
	if o.BaseDay, err = gate.ParseDay(m.Base.BaseDay); err != nil {
		return m, err
	}
	if o.Lists, err = folder.Lists(m); err != nil {
		return m, err
	}
	defer limitMemory(o.Memory)()
	builder := dataset.NewBuilder(o)
	defer func() { err = errors.Join(err, builder.Close()) }()
	if err := d.list.read(cmd, builder, list, o.CheckBits); err != nil {
		return m, err
	}
	next, changed, err := folder.WriteDelta(cmd.Context(), builder, d.head(), m, func(doc wire.DeltaDoc) (string, error) {
		return publish.SignDelta(key, doc)
	})
	bar.end()
	out := cmd.OutOrStdout()
	if err == nil || errors.Is(err, dataset.ErrNoChanges) {
		if kept := folder.KeepRule(o.Rule); kept != nil {
			return m, kept
		}
	}
	if errors.Is(err, dataset.ErrNoChanges) {
		reportCounts(out, changed.Counts, o.Rule.AsOf)
		fmt.Fprintf(out, "set %s: no changes since version %d; no version is made\n", m.Aud, m.Ver)
		if !d.rebase {
			fmt.Fprintf(out, "\nNext: gatectl snapshot publish %s --resign --broker mqtt://BROKER:1883 says that it is still so (--allow-empty makes a version)\n", folder.Dir())
		}
		return m, nil
	}
	if err != nil {
		return m, err
	}
	compact, err := publish.SignManifest(key, next)
	if err != nil {
		return m, err
	}
	if err := folder.WriteManifest(compact); err != nil {
		return m, err
	}
	fmt.Fprintf(out, "set %s, delta %d on base %d, as of %s\n", next.Aud, next.Ver, next.Base.Version, o.Rule.AsOf)
	reportCounts(out, changed.Counts, o.Rule.AsOf)
	if o.Rule.DosesExpire {
		fmt.Fprintln(out, dosesExpireText)
	}
	reportDifferences(out, changed.Differences)
	n := changed.Changes()
	fmt.Fprintf(out, "%s, %d bytes", count(n, "change"), changed.Size)
	if n > 0 {
		fmt.Fprintf(out, ", %.1f each", float64(changed.Size)/float64(n))
	}
	fmt.Fprintf(out, "; all deltas since the base: %d KiB of %d KiB\n", kib(changed.Total), kib(changed.Base))
	if changed.Due != "" && !d.rebase {
		fmt.Fprintf(out, "note: a new base is due: %s\n", changed.Due)
	}
	fmt.Fprintf(out, "\nNext: gatectl snapshot publish %s --broker mqtt://BROKER:1883\n", folder.Dir())
	if before := changed.Counts.People - changed.New + changed.Gone; changed.Gone > before/10 {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %d of %d people are gone; was the list cut off? Whoever is missing comes out UNKNOWN\n", changed.Gone, before)
	}
	return next, nil
}

func (d *deltaFlags) rebased(cmd *cobra.Command, folder dataset.Folder, m wire.Manifest, key signed.Signer, bar *rate) error {
	head := d.head()
	head.SpreadS = m.SpreadS
	next, counts, err := folder.WriteRebase(cmd.Context(), head, m, bar.tell)
	bar.end()
	if err != nil {
		return err
	}
	compact, err := publish.SignManifest(key, next)
	if err != nil {
		return err
	}
	if err := folder.WriteManifest(compact); err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "set %s, version %d is now a base of %d people: %s, %d KiB\n", next.Aud, next.Ver, counts.People, count(len(next.Chunks), "chunk"), kib(chunkBytes(next)))
	fmt.Fprintf(out, "\nNext: gatectl snapshot publish %s --broker mqtt://BROKER:1883\n", folder.Dir())
	return nil
}

// compareFolders tells how the newest versions in two folders differ.
func compareFolders(cmd *cobra.Command, a, b string) error {
	before, after := dataset.NewFolder(a), dataset.NewFolder(b)
	m, err := newest(before)
	if err != nil {
		return err
	}
	n, err := newest(after)
	if err != nil {
		return err
	}
	diff, err := dataset.Compare(cmd.Context(), before, m, after, n)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "set %s: from version %d in %s to version %d in %s\n", m.Aud, m.Ver, a, n.Ver, b)
	reportDifferences(out, diff)
	return nil
}

// reportDifferences writes in how many people two versions differ, and how.
func reportDifferences(out io.Writer, d dataset.Differences) {
	line := func(n int, what string) { fmt.Fprintf(out, "%10d  %s\n", n, what) }
	line(d.Same, "people are as before")
	line(d.New, "are new")
	line(d.Gone, "are gone")
	line(d.Facts, "have other facts")
	for before := range d.Kinds {
		for after, n := range d.Kinds[before] {
			if n > 0 {
				line(n, fmt.Sprintf("  from %s to %s", gate.FactKind(before), gate.FactKind(after)))
			}
		}
	}
	if d.Cards > 0 {
		line(d.Cards, "have another card, and the same facts")
	}
}
