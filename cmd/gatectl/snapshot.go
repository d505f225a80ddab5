package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/people"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func snapshotCommand() *cobra.Command {
	return group("snapshot", "data sets: what gates know about people", `A data set is made from a list of people: each number becomes a pseudonym under the
secret of the set, what is known about the person one word. It is built into a folder
and published from there.`, snapshotBuildCommand(), snapshotPublishCommand())
}

// buildFlags are what a version is built by.
type buildFlags struct {
	set, out, form, asOf, keyHold, keyID string
	settle, validDays                    int
	version                              uint64
	spread                               time.Duration
	skipBad                              bool
	signer                               signerFlags
}

func snapshotBuildCommand() *cobra.Command {
	var b buildFlags
	cmd := &cobra.Command{
		Use:   "build PEOPLE",
		Short: "build a version of a data set from a list of people",
		Long: `Reads a list of people, as CSV with a header line or as JSON lines ("-" is standard
input), and writes a version of a data set into a folder: the chunks and the signed
manifest.

CSV:    id,doses,positive,recovered,tests,flags,quarantine_until,lists,valid_to
        001090000123,1/2@2021-06-01;2/2@2021-08-10,,,,,,,
JSONL:  {"id":"001090000123","doses":[{"n":1,"of":2,"on":"2021-06-01"}]}

Lines that cannot be used are reported with their numbers, never with what they say, and
nothing is written, unless --skip-bad leaves them out. People about whom one date is not
enough (a second dose of last week, tests, lists) come out UNKNOWN at the gate: the
guard decides. The command says how many they are.`,
		Example: `  gatectl snapshot build people.csv --set vn --out vn --keys keys
  zcat people.jsonl.gz | gatectl snapshot build - --set vn --out vn --passphrase-file pass`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return b.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&b.set, "set", "", "the data set (required)")
	f.StringVar(&b.out, "out", "", "folder to write to (required)")
	f.StringVar(&b.form, "format", "", "csv or jsonl (default: what the list looks like)")
	f.StringVar(&b.asOf, "as-of", "", "day of the list; what is dated later is ignored (default: today in Vietnam)")
	f.IntVar(&b.settle, "settle", people.DefaultSettle, "days after the completing dose from which it alone counts; at least what policies ask")
	f.Uint64Var(&b.version, "version", 0, "version of the set (default: one above the one in the folder)")
	f.IntVar(&b.validDays, "valid-days", 7, "days within which a gate may take the version into force")
	f.StringVar(&b.keyID, "key-id", "", "id of the set's secret to use (default: the newest)")
	f.StringVar(&b.keyHold, "key-hold", wire.KeyHoldFile, "how boxes may hold the set's secret: file, or memory (delivered after each boot)")
	f.DurationVar(&b.spread, "spread", 0, "ask gates to begin at a random moment within this time")
	f.BoolVar(&b.skipBad, "skip-bad", false, "leave out lines that cannot be used")
	b.signer.add(cmd, signed.RoleSnapshot)
	return cmd
}

// memoryAbove is the size of a set from which its secret should be held in
// memory only (DESIGN §5).
const memoryAbove = 100_000

// maxSpread bounds how long gates may be asked to wait: data ages meanwhile.
const maxSpread = 12 * time.Hour

func (b *buildFlags) run(cmd *cobra.Command, list string) error {
	if !wire.ValidSet(b.set) {
		return hint.New("--set vn, for example", "--set: %q is no name of a data set", b.set)
	}
	if b.out == "" {
		return hint.New("--out vn, for example", "--out: no folder named")
	}
	if b.settle < 0 || b.settle > 365 {
		return fmt.Errorf("--settle %d is not within 0 to 365 days", b.settle)
	}
	if err := checkDays("valid-days", b.validDays); err != nil {
		return err
	}
	if b.spread < 0 || b.spread > maxSpread {
		return fmt.Errorf("--spread %v is not within 0s to %v", b.spread, maxSpread)
	}
	asOf, err := b.day(time.Now())
	if err != nil {
		return err
	}
	kid, secret, err := keyring.Open(b.signer.keys).SecretOf(b.set, b.keyID)
	if err != nil {
		return hint.Wrap(err, "gatectl keygen --only none --set "+b.set+" makes it")
	}
	folder := dataset.NewFolder(b.out)
	version, before, err := b.next(folder)
	if err != nil {
		return err
	}
	key, err := b.signer.open(cmd)
	if err != nil {
		return err
	}
	builder := dataset.NewBuilder(people.Rule{AsOf: asOf, Settle: b.settle}, secret)
	if err := b.read(cmd, builder, list); err != nil {
		return err
	}
	rows, counts, err := builder.Rows()
	if err != nil {
		return err
	}
	now := time.Now()
	m, err := folder.WriteChunks(rows, dataset.Head{
		Set: b.set, Version: version, KeyID: kid, KeyHold: b.keyHold, BaseDay: builder.BaseDay(),
		Issued: now, Expires: now.AddDate(0, 0, b.validDays), SpreadS: uint32(b.spread / time.Second),
	})
	if err != nil {
		return err
	}
	compact, err := publish.SignManifest(key, m)
	if err != nil {
		return err
	}
	if err := folder.WriteManifest(compact); err != nil {
		return err
	}
	b.report(cmd.OutOrStdout(), m, counts, asOf)
	if people := uint64(counts.People); people+people/9 < before { // more than a tenth is gone
		fmt.Fprintf(cmd.ErrOrStderr(), "note: the version before had %d people; was the list cut off? Whoever is missing comes out UNKNOWN\n", before)
	}
	return nil
}

// day gives the day of the list.
func (b *buildFlags) day(now time.Time) (gate.Day, error) {
	if b.asOf != "" {
		d, err := gate.ParseDay(b.asOf)
		if err != nil {
			return 0, fmt.Errorf("--as-of: %w", err)
		}
		return d, nil
	}
	zone, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		return 0, fmt.Errorf("find the day in Vietnam: %w", err)
	}
	return gate.DayOf(now.In(zone)), nil
}

// next gives the version to build, and how many people the one before has.
func (b *buildFlags) next(folder dataset.Folder) (version, before uint64, err error) {
	compact, err := folder.Manifest()
	if errors.Is(err, fs.ErrNotExist) {
		return max(b.version, 1), 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	m, err := publish.ReadManifest(compact)
	switch {
	case err != nil:
		return 0, 0, fmt.Errorf("the version in %s: %w", b.out, err)
	case m.Aud != b.set:
		return 0, 0, hint.New("each set has a folder of its own", "%s holds the set %s, not %s", b.out, m.Aud, b.set)
	case b.version == 0:
		return m.Ver + 1, m.Base.People, nil
	case b.version <= m.Ver:
		return 0, 0, hint.New("gates refuse what is not newer than what they have", "version %d is not above version %d, which is in %s", b.version, m.Ver, b.out)
	}
	return b.version, m.Base.People, nil
}

// read takes the list into the builder and reports what cannot be used.
func (b *buildFlags) read(cmd *cobra.Command, builder *dataset.Builder, list string) error {
	in := cmd.InOrStdin()
	if list != "-" {
		f, err := os.Open(list)
		if err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		defer f.Close()
		in = f
	}
	src, err := people.Open(in, people.Format(b.form))
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	line := newProgress(cmd)
	bad, err := builder.AddAll(src, func(n int) { line.say("%d people read", n) })
	line.end()
	for _, p := range bad {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", list, p)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", list, err)
	}
	n := builder.Bad()
	if rest := n - len(bad); rest > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: and %d more\n", list, rest)
	}
	if n > 0 && !b.skipBad {
		return hint.New("mend the list, or leave these lines out with --skip-bad", "%s cannot be used; nothing was written", count(n, "line"))
	}
	return nil
}

func (b *buildFlags) report(out io.Writer, m wire.Manifest, c dataset.Counts, asOf gate.Day) {
	size := 0
	for _, chunk := range m.Chunks {
		size += chunk.Size
	}
	fmt.Fprintf(out, "set %s, version %d, as of %s\n", m.Aud, m.Ver, asOf)
	line := func(n int, what string) { fmt.Fprintf(out, "%10d  %s\n", n, what) }
	line(c.People, "people")
	for kind := gate.FactNothing; kind <= gate.FactQuarantine; kind++ {
		line(c.ByKind[kind], kind.String())
	}
	line(c.Extras, "need more than one date: UNKNOWN at the gate until this is sent too")
	line(c.Duplicates, "duplicates, left out")
	line(c.Conflicts, "people whose records contradict each other: UNKNOWN")
	line(c.Collisions, "collisions of pseudonyms: UNKNOWN")
	line(c.Future, "dates after "+asOf.String()+", ignored")
	line(c.Bad, "lines left out")
	fmt.Fprintf(out, "%s, %d KiB, written to %s\n", count(len(m.Chunks), "chunk"), (size+1023)/1024, b.out)
	if c.People > memoryAbove && m.KeyHold == wire.KeyHoldFile {
		fmt.Fprintf(out, "note: boxes hold the secret of this set in a file, so a stolen box tells who of %d people is in it\n", c.People)
	}
	fmt.Fprintf(out, "\nNext: gatectl snapshot publish %s --broker mqtt://BROKER:1883\n", b.out)
}

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
		Long: `Publishes a data set: first the chunks, then the manifest by which gates take it. Then
it clears from the broker the chunks that neither this version nor the one before names.

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
			return publishSnapshot(cmd, &broker, folder, compact, m)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&resign, "resign", false, "sign the manifest anew, as of now")
	f.IntVar(&validDays, "valid-days", 7, "with --resign: days within which a gate may take the version into force")
	signer.add(cmd, signed.RoleSnapshot)
	broker.add(cmd)
	return cmd
}

func publishSnapshot(cmd *cobra.Command, broker *brokerFlags, folder dataset.Folder, compact []byte, m wire.Manifest) error {
	return session(cmd, broker, "snapshot", func(ctx context.Context, s *publish.Session) error {
		topic := s.Topics.Manifest(m.Aud)
		there, err := published(ctx, cmd, s, topic)
		if err != nil {
			return err
		}
		if there > m.Ver {
			return hint.New("gates refuse it; build with --version "+fmt.Sprint(there+1)+" or higher",
				"version %d is published, which is above version %d in the folder", there, m.Ver)
		}
		line := newProgress(cmd)
		err = s.Snapshot(ctx, folder, compact, m, func(done, of int) { line.say("%d of %d messages", done, of) })
		line.end()
		if _, large := errors.AsType[publish.ErrTooManyChunks](err); large {
			return hint.Wrap(err, "this version has no server for larger sets; split the set by region")
		}
		if err != nil {
			return hint.Wrap(err, "look at the broker's access list and its log")
		}
		fmt.Fprintf(cmd.OutOrStdout(), "set %s, version %d: %s and the manifest published on %s\n", m.Aud, m.Ver, count(len(m.Chunks), "chunk"), topic)
		return nil
	})
}
