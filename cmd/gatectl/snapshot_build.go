package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// buildFlags are what a version is built by.
type buildFlags struct {
	set, out, keyHold, keyID string
	validDays                int
	version                  uint64
	spread                   time.Duration
	urls                     []string
	checkBits                bool
	list                     listFlags
	signer                   signerFlags
}

func snapshotBuildCommand() *cobra.Command {
	var b buildFlags
	cmd := &cobra.Command{
		Use:   "build PEOPLE",
		Short: "build a whole version of a data set from a list of people",
		Long: `Reads a list of people and writes a version of a data set into a folder: its chunks and
the signed manifest. Gates fetch it whole; "gatectl snapshot delta" sends only what has
changed since.

` + listHelp,
		Example: `  gatectl snapshot build people.csv --set vn --out vn --keys keys
  zcat people.jsonl.gz | gatectl snapshot build - --set vn --out vn --passphrase-file pass`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return adviseSpace(b.run(cmd, args[0])) },
	}
	f := cmd.Flags()
	f.StringVar(&b.set, "set", "", "the data set (required)")
	f.StringVar(&b.out, "out", "", "folder to write to (required)")
	f.Uint64Var(&b.version, "version", 0, "version of the set (default: one above the one in the folder)")
	f.IntVar(&b.validDays, "valid-days", 7, "days within which a gate may take the version into force")
	f.StringVar(&b.keyHold, "key-hold", "", "how boxes may hold the set's secret: file, or memory (delivered after each boot);\ndefault: memory above 100,000 people")
	f.StringVar(&b.keyID, "key-id", "", "id of the set's secret to use (default: the newest)")
	f.BoolVar(&b.checkBits, "check-bits", false, "16 bits more a person, by which gates notice a card that is not the one central knows;\nwants the columns name, born and issued")
	f.DurationVar(&b.spread, "spread", 0, "ask gates to begin at a random moment within this time")
	f.StringSliceVar(&b.urls, "url", nil, "https:// place where the chunks lie as well")
	b.list.add(cmd)
	b.signer.add(cmd, signed.RoleSnapshot)
	return cmd
}

// maxSpread bounds how long gates may be asked to wait: data ages meanwhile.
const maxSpread = 12 * time.Hour

func (b *buildFlags) check() error {
	switch {
	case !wire.ValidSet(b.set):
		return hint.New("--set vn, for example", "--set: %q is no name of a data set", b.set)
	case b.out == "":
		return hint.New("--out vn, for example", "--out: no folder named")
	case b.spread < 0 || b.spread > maxSpread:
		return fmt.Errorf("--spread %v is not within 0s to %v", b.spread, maxSpread)
	case b.keyHold != "" && b.keyHold != wire.KeyHoldFile && b.keyHold != wire.KeyHoldMemory:
		return hint.New("known are file and memory", "--key-hold: %q is none", b.keyHold)
	}
	return checkDays("valid-days", b.validDays)
}

func (b *buildFlags) run(cmd *cobra.Command, list string) (err error) {
	if err := b.check(); err != nil {
		return err
	}
	o, err := b.list.options(time.Now(), b.out)
	if err != nil {
		return err
	}
	var kid string
	kid, o.Key, err = keyring.Open(b.signer.keys).SecretOf(b.set, b.keyID)
	switch {
	case err != nil && b.keyID != "":
		return hint.Wrap(err, "gatectl keygen --only none --set "+b.set+" names those that are there")
	case err != nil:
		return hint.Wrap(err, "gatectl keygen --only none --set "+b.set+" makes it")
	}
	folder := dataset.NewFolder(b.out)
	if _, _, err := b.next(folder); err != nil {
		return err
	}
	key, err := b.signer.open(cmd)
	if err != nil {
		return err
	}
	bar := newRate(cmd)
	o.CheckBits, o.Progress = b.checkBits, bar.tell
	defer limitMemory(o.Memory)()
	builder := dataset.NewBuilder(o)
	defer func() { err = errors.Join(err, builder.Close()) }()
	err = b.list.read(cmd, builder, list, b.checkBits)
	if err != nil {
		bar.end()
		return err
	}
	unlock, err := folder.Lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	version, before, err := b.next(folder) // another command may have been faster
	if err != nil {
		return err
	}
	now := time.Now()
	m, counts, err := folder.WriteBase(cmd.Context(), builder, dataset.Head{
		Set: b.set, Version: version, KeyID: kid, KeyHold: b.keyHold,
		Issued: now, Expires: now.AddDate(0, 0, b.validDays), SpreadS: uint32(b.spread / time.Second), URLs: b.urls,
	}, before)
	bar.end()
	if err != nil {
		return err
	}
	compact, err := publish.SignManifest(key, m)
	if err != nil {
		return err
	}
	if err := folder.KeepRule(o.Rule); err != nil {
		return err
	}
	if err := folder.WriteManifest(compact); err != nil {
		return err
	}
	b.report(cmd.OutOrStdout(), m, counts, o.Rule.AsOf, o.Rule.DosesExpire)
	noteFewer(cmd.ErrOrStderr(), counts, before)
	return nil
}

// limitMemory lets the collector work harder before memory is more than what
// was asked for. undo takes it back.
func limitMemory(most int64) (undo func()) {
	const rest = 32 << 20 // the program itself, and what is on its way to a chunk
	before := debug.SetMemoryLimit(most + rest)
	return func() { debug.SetMemoryLimit(before) }
}

// noteFewer speaks up when more than a tenth of the people is gone.
func noteFewer(out io.Writer, c dataset.Counts, before *wire.Manifest) {
	if before == nil {
		return
	}
	if n := uint64(c.People); n+n/9 < before.Base.People {
		fmt.Fprintf(out, "note: the version before had %d people; was the list cut off? Whoever is missing comes out UNKNOWN\n", before.Base.People)
	}
}

// next gives the version to build, and the one before it.
func (b *buildFlags) next(folder dataset.Folder) (uint64, *wire.Manifest, error) {
	m, err := folder.Newest()
	if errors.Is(err, fs.ErrNotExist) {
		return max(b.version, 1), nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	newest := max(m.Ver, m.BackFrom)
	switch {
	case m.Aud != b.set:
		return 0, nil, hint.New("each set has a folder of its own", "%s holds the set %s, not %s", b.out, m.Aud, b.set)
	case b.version == 0:
		return newest + 1, &m, nil
	case b.version <= newest:
		return 0, nil, hint.New("gates refuse what is not newer than what they have", "version %d is not above version %d, which is in %s", b.version, newest, b.out)
	}
	return b.version, &m, nil
}

func (b *buildFlags) report(out io.Writer, m wire.Manifest, c dataset.Counts, asOf gate.Day, dosesExpire bool) {
	fmt.Fprintf(out, "set %s, version %d, as of %s\n", m.Aud, m.Ver, asOf)
	reportCounts(out, c, asOf)
	if dosesExpire {
		fmt.Fprintln(out, dosesExpireText)
	}
	fmt.Fprintf(out, "%s, %d KiB, written to %s\n", count(len(m.Chunks), "chunk"), kib(chunkBytes(m)), b.out)
	switch {
	case m.KeyHold == wire.KeyHoldMemory:
		fmt.Fprintln(out, "boxes hold the secret of this set in memory only: after a restart they wait for central to hand it out")
	case c.People > dataset.MemoryAbove:
		fmt.Fprintf(out, "note: boxes hold the secret of this set in a file, so a stolen box tells who of %d people is in it\n", c.People)
	}
	fmt.Fprintf(out, "\nNext: gatectl snapshot publish %s --broker mqtt://BROKER:1883\n", b.out)
}

// dosesExpireText says what a list was built for.
const dosesExpireText = "built for policies by which doses expire (--doses-expire)"

func chunkBytes(m wire.Manifest) (size int64) {
	for _, chunk := range m.Chunks {
		size += int64(chunk.Size)
	}
	return size
}

func kib(bytes int64) int64 { return (bytes + 1023) / 1024 }
