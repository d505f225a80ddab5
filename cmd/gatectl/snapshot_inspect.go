package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/wire"
)

// inspectFlags are what is shown.
type inspectFlags struct {
	keys          string
	lookup, brief bool
}

func snapshotInspectCommand() *cobra.Command {
	var i inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect FOLDER|FILE.db|MANIFEST",
		Short: "show what is in a data set",
		Long: `Shows the versions of a data set, how large they are, under which secret their pseudonyms
are and how boxes may hold it; then what the newest version says, counted: kinds of facts
by month, extras, lists. FILE.db is a set as it lies on a box, below storage.dir in
sets/NAME; deltas that the box has not folded into it are not in it. Of a manifest alone
it shows what the manifest says. Nothing is verified: gates do that.

--lookup only looks one person up. The number is read from the first line of standard input,
or asked for, so that no list of processes shows it; it is shown masked. It needs the
secret of the set.`,
		Example: `  gatectl snapshot inspect vn
  gatectl snapshot inspect vn --lookup --keys keys < number.txt
  gatectl snapshot inspect /var/lib/gateagent/sets/vn/41.db --brief`,
		Args: takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&i.keys, "keys", "keys", "folder of keys that keygen made, for --lookup")
	f.BoolVar(&i.lookup, "lookup", false, "look up the number that standard input holds")
	f.BoolVar(&i.brief, "brief", false, "do not read all people")
	return cmd
}

func (i *inspectFlags) run(cmd *cobra.Command, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	out := cmd.OutOrStdout()
	if i.lookup {
		out = io.Discard // but for what is found
	}
	var view dataset.View
	switch {
	case info.IsDir():
		folder := dataset.NewFolder(path)
		m, err := newest(folder)
		if err != nil {
			return err
		}
		if err := showFolder(out, folder, m); err != nil {
			return err
		}
		if view, err = folder.View(m); err != nil {
			return err
		}
	case strings.HasSuffix(path, ".db"):
		var g gate.Generation
		var size int64
		if view, g, size, err = dataset.FileView(path); err != nil {
			return hint.Wrap(err, "gateagent doctor checks the files of a box")
		}
		showFile(out, g, size)
	default:
		return i.manifest(out, path)
	}
	if i.lookup {
		return i.find(cmd, view)
	}
	if i.brief {
		return nil
	}
	bar := newRate(cmd)
	h, err := view.Histogram(cmd.Context(), bar.tell)
	bar.end()
	if err != nil {
		return err
	}
	showHistogram(out, view, h)
	return nil
}

func (i *inspectFlags) manifest(out io.Writer, path string) error {
	compact, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("inspect: %w", err)
	}
	m, err := dataset.ReadManifest(bytes.TrimSpace(compact))
	if err != nil {
		return hint.Wrap(fmt.Errorf("%s: %w", path, err), "it is no folder, no set file of a box (FILE.db) and no signed manifest")
	}
	if i.lookup {
		return hint.New("name the folder, or a set file of a box", "a manifest alone tells of nobody")
	}
	showManifest(out, m)
	return nil
}

func day(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func showManifest(out io.Writer, m wire.Manifest) {
	b := m.Base
	fmt.Fprintf(out, "set %s, version %d, signed %s, to be taken until %s\n", m.Aud, m.Ver, day(m.Iat), day(m.Exp))
	if m.BackFrom > 0 {
		fmt.Fprintf(out, "it goes back from version %d\n", m.BackFrom)
	}
	where := "a file"
	if m.KeyHold == wire.KeyHoldMemory {
		where = "memory only"
	}
	fmt.Fprintf(out, "pseudonyms under %s, which boxes hold in %s\n", b.KeyID, where)
	fmt.Fprintf(out, "base %d: %d people, %d with extras, in %s of %d-byte records from %s\n", b.Version, b.People, b.Extras, count(int(b.Blocks), "block"), b.Width, b.BaseDay)
	if len(b.Lists) > 0 {
		fmt.Fprintf(out, "  lists: %s\n", strings.Join(b.Lists, ", "))
	}
	size := chunkBytes(m)
	fmt.Fprintf(out, "  %s, %d KiB", count(len(m.Chunks), "chunk"), kib(size))
	if b.People > 0 {
		fmt.Fprintf(out, ", %.2f bytes a person", float64(size)/float64(b.People))
	}
	fmt.Fprintf(out, ", coding %s\n  digest %s\n", m.Coding, b.Digest)
	for _, u := range m.URLs {
		fmt.Fprintf(out, "  also at %s\n", u)
	}
}

func showFolder(out io.Writer, folder dataset.Folder, m wire.Manifest) error {
	showManifest(out, m)
	deltas, err := folder.DeltaInfos(m)
	if err != nil {
		return err
	}
	for _, d := range deltas {
		fmt.Fprintf(out, "delta %d on base %d: %d changes, %d bytes, then %d people\n", d.N, d.Base, d.Changes, d.Size, d.People)
	}
	bases, err := folder.Bases()
	if err != nil {
		return err
	}
	var back []string
	for _, b := range bases {
		to := min(b.Ver, m.Ver-1)
		switch {
		case b.Base.Version > to:
		case b.Base.Version == to:
			back = append(back, fmt.Sprint(to))
		default:
			back = append(back, fmt.Sprintf("%d to %d", b.Base.Version, to))
		}
	}
	if len(back) > 0 {
		slices.Reverse(back)
		fmt.Fprintf(out, "can go back to: %s\n", strings.Join(back, ", "))
	}
	published, err := folder.Published()
	if err != nil {
		return err
	}
	if len(published) > 0 {
		fmt.Fprintf(out, "published: version %d\n", published[0].Version)
	}
	return nil
}

func showFile(out io.Writer, g gate.Generation, size int64) {
	where := "a file"
	if g.KeyInMemory {
		where = "memory only"
	}
	fmt.Fprintf(out, "set %s, version %d, vouched for %s\n", g.Set, g.Version, g.Issued.UTC().Format(time.RFC3339))
	fmt.Fprintf(out, "pseudonyms under %s, which the box holds in %s\n", g.KeyID, where)
	fmt.Fprintf(out, "%d people, %d with extras, in %s of %d-byte records from %s\n", g.People, g.Extras, count(int(g.Blocks), "block"), g.Width, g.BaseDay)
	fmt.Fprintf(out, "  %d KiB", kib(size))
	if g.People > 0 {
		fmt.Fprintf(out, ", %.2f bytes a person", float64(size)/float64(g.People))
	}
	fmt.Fprintln(out)
}

func showHistogram(out io.Writer, v dataset.View, h dataset.Histogram) {
	line := func(n int, what string) { fmt.Fprintf(out, "%10d  %s\n", n, what) }
	fmt.Fprintf(out, "\nversion %d says of\n", v.Version)
	line(h.People, "people")
	for kind := range h.ByKind {
		if n := h.ByKind[kind]; n > 0 || kind <= int(gate.FactQuarantine) {
			line(n, gate.FactKind(kind).String())
		}
	}
	line(h.Unclear, "not to be told apart, or contradictory: UNKNOWN")
	if h.Cards > 0 {
		line(h.Cards, "have check bits of their card")
	}
	line(h.Extras, "have extras:")
	for _, part := range []struct {
		n    int
		what string
	}{
		{h.Dates, "  a second date"},
		{h.Tests, "  tests"},
		{h.Windows, "  days or hours of their own"},
		{h.Others, "  facts of other providers"},
		{h.Beyond, "  more than this version reads"},
	} {
		if part.n > 0 {
			line(part.n, part.what)
		}
	}
	for _, l := range v.Lists {
		line(h.Lists[l], "  on the list "+l)
	}
	if len(h.Months) == 0 {
		return
	}
	fmt.Fprint(out, "\nmonth  ")
	for kind := gate.FactCompleted; kind <= gate.FactQuarantine; kind++ {
		fmt.Fprintf(out, " %10s", kind)
	}
	fmt.Fprintln(out)
	for _, m := range h.Months {
		fmt.Fprintf(out, "%04d-%02d", m.Year, m.Month)
		for kind := gate.FactCompleted; kind <= gate.FactQuarantine; kind++ {
			fmt.Fprintf(out, " %10d", m.Kinds[kind])
		}
		fmt.Fprintln(out)
	}
}

// find looks up the number on standard input.
func (i *inspectFlags) find(cmd *cobra.Command, v dataset.View) error {
	n, err := askNumber(cmd)
	if err != nil {
		return err
	}
	_, key, err := keyring.Open(i.keys).SecretOf(v.Set, v.KeyID)
	if err != nil {
		return hint.Wrap(err, "--keys FOLDER says where the secret is")
	}
	f, cards, err := v.Find(key, n)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if !f.Found {
		fmt.Fprintf(out, "%v is not in version %d of %s\n", n, v.Version, v.Set)
		return nil
	}
	fmt.Fprintf(out, "%v is in version %d of %s:\n", n, v.Version, v.Set)
	for _, said := range sayFacts(f) {
		fmt.Fprintf(out, "  %s\n", said)
	}
	if cards {
		fmt.Fprintln(out, "  check bits of the card")
	}
	return nil
}

// askNumber reads a personal number without showing it.
func askNumber(cmd *cobra.Command) (gate.Number, error) {
	var line []byte
	in := cmd.InOrStdin()
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "Number to look up: ")
		var err error
		if line, err = term.ReadPassword(int(f.Fd())); err != nil {
			return "", fmt.Errorf("read the number: %w", err)
		}
		fmt.Fprintln(cmd.ErrOrStderr())
	} else {
		var err error
		if line, err = bufio.NewReaderSize(io.LimitReader(in, 1<<10), 1<<10).ReadBytes('\n'); err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the number: %w", err)
		}
	}
	n := gate.Number(bytes.TrimSpace(line))
	clear(line)
	if !n.Valid() {
		return "", hint.New("for example: gatectl snapshot inspect vn --lookup < number.txt", "standard input does not begin with a number of 12 digits")
	}
	return n, nil
}

// sayFacts says in words what a record says.
func sayFacts(f gate.Facts) (said []string) {
	switch kind := f.Word.Kind(); {
	case f.Word.Extras() && !f.HasExtras:
		said = append(said, "not to be told apart from another, or contradictory: UNKNOWN")
	case kind == gate.FactNothing:
		said = append(said, "nothing that counts")
	case kind == gate.FactQuarantine:
		said = append(said, "quarantine until "+f.Day().String())
	default:
		said = append(said, kind.String()+" "+f.Day().String())
	}
	if !f.HasExtras {
		return said
	}
	e := f.Extras
	for _, d := range []struct {
		what string
		day  gate.Day
	}{
		{"first dose", e.FirstDose},
		{"completed", e.Completed},
		{"last dose", e.LastDose},
		{"positive", e.Positive},
		{"recovered", e.Recovered},
		{"quarantine until", e.Quarantine},
	} {
		if d.day != 0 {
			said = append(said, d.what+" "+d.day.String())
		}
	}
	for _, t := range e.Tests[:e.TestN] {
		result := "negative"
		if t.Positive {
			result = "positive"
		}
		said = append(said, fmt.Sprintf("test %s %s, sampled %s", t.Kind, result, t.Sampled.Time().Format(time.RFC3339)))
	}
	if !e.Window.IsZero() {
		said = append(said, "expected"+sayWindow(e.Window))
	}
	for _, m := range e.Lists[:e.ListN] {
		said = append(said, "on the list "+m.List+sayWindow(m.Window))
	}
	for _, o := range e.Others[:e.OtherN] {
		said = append(said, fmt.Sprintf("%s: code %d, day %v", people.ProviderName(o.Provider), o.Code, o.Day))
	}
	if e.Beyond {
		said = append(said, "more than this version reads: UNKNOWN")
	}
	return said
}

var weekdays = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// sayWindow writes a window as lists of people do.
func sayWindow(w gate.Window) string {
	var b strings.Builder
	if w.From != 0 || w.To != 0 {
		b.WriteByte(' ')
		if w.From != 0 {
			b.WriteString(w.From.String())
		}
		b.WriteString("..")
		if w.To != 0 {
			b.WriteString(w.To.String())
		}
	}
	sep := " "
	for i, name := range weekdays {
		if w.Weekdays>>i&1 != 0 {
			b.WriteString(sep + name)
			sep = "+"
		}
	}
	if w.Start != w.End {
		fmt.Fprintf(&b, " %02d:%02d-%02d:%02d", w.Start/60, w.Start%60, w.End/60, w.End%60)
	}
	return b.String()
}
