package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/agent/policy"
	"gateagent/cmd/gatectl/replay"
)

// replayFlags are what entries are replayed by.
type replayFlags struct {
	entries, recorded []string
	policy            string
	level, examples   int
	shadow            bool
	asJSON, exitCode  bool
}

func policyReplayCommand() *cobra.Command {
	var r replayFlags
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "decide recorded entries again",
		Long: `Decides recorded entries again, from the inputs that each of them carries: by the policy
under which it was recorded (--recorded), which must come out as recorded, and by another
one (--policy), to see before it is published what it would have changed for the people
who came. It says how many entries change and which way, with examples by gate, epoch and
number; gateagent explain on that box says more about one of them. It names nobody.

--entries names files as ingest keeps them, or folders of them; "-" is standard input.
--recorded names the policies of before, as files or as policy publish --save kept them;
the built-in one is known. Entries under a policy that is not named are compared with what
was recorded of them. A file without a version stands for all versions of its id.

With --shadow it takes, in place of --policy, what a policy on trial at the gates
(policy.shadow_file) would have decided at the time, as they recorded it.

The files are believed as they are: gatectl verify says whether they are whole.`,
		Example: `  gatectl policy replay --entries entries.jsonl --policy new.json
  gatectl policy replay --entries entries.jsonl --policy new.json --recorded hn01-policy.json
  gatectl policy replay --entries archive --recorded v11.jws,v12.jws`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	f := cmd.Flags()
	f.StringSliceVar(&r.entries, "entries", nil, "file or folder of recorded entries (required)")
	f.StringVar(&r.policy, "policy", "", `the policy to try: a file, or "`+builtIn+`"`)
	f.BoolVar(&r.shadow, "shadow", false, "show what the policy on trial at the gates would have changed")
	f.StringSliceVar(&r.recorded, "recorded", nil, "policies under which entries were recorded")
	f.IntVar(&r.level, "level", 0, "try it for a site at this level, 1 to 4 (default: as the policy says)")
	f.IntVar(&r.examples, "examples", 3, "how many entries to name of each change")
	f.BoolVar(&r.asJSON, "json", false, "print JSON")
	f.BoolVar(&r.exitCode, "exit-code", false, "end with 1 when an entry changes")
	return cmd
}

func (r *replayFlags) run(cmd *cobra.Command) error {
	switch {
	case len(r.entries) == 0:
		return hint.New("--entries entries.jsonl, for example: the file that ingest keeps", "--entries: no entries named")
	case r.policy == "" && len(r.recorded) == 0 && !r.shadow:
		return hint.New("--policy new.json tries a policy, --recorded old.json checks what was decided", "no policy named")
	case r.policy != "" && r.shadow:
		return hint.New("ask for one after the other", "--policy and --shadow do not go together")
	case r.policy == "" && r.level != 0:
		return hint.New("--policy "+builtIn+", for example", "--level says nothing without --policy")
	case r.examples < 0 || r.examples > 1000:
		return fmt.Errorf("--examples %d is not within 0 to 1000", r.examples)
	}
	known, err := r.known(cmd)
	if err != nil {
		return err
	}
	o := replay.Options{Examples: r.examples, Recorded: known.rules, Shadow: r.shadow}
	var tried *policy.Policy
	if r.policy != "" {
		if tried, err = loadPolicy(cmd, r.policy, r.level); err != nil {
			return err
		}
		o.New = tried
	}
	t := replay.New(r.examples)
	if err := r.read(cmd, o, t); err != nil {
		return err
	}
	if t.Entries == 0 {
		if err := r.verdict(cmd.ErrOrStderr(), t); err != nil {
			return err
		}
		return errors.New("no entries there")
	}
	if r.shadow && len(t.Shadows) == 0 {
		return hint.New("policy.shadow_file in a gate's configuration names one", "no policy was on trial when these entries were recorded")
	}
	if r.asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(replayReport(t, tried))
	} else {
		by := ""
		switch {
		case tried != nil:
			by = fmt.Sprintf("By %s (%s, level %d)", r.policy, tried.Ref().ID, tried.Level())
		case r.shadow:
			by = "By the policy on trial" + shadowNames(t)
		}
		err = printReplay(cmd.OutOrStdout(), t, by)
	}
	if err != nil {
		return err
	}
	return r.verdict(cmd.ErrOrStderr(), t)
}

// verdict ends the command by what was found.
func (r *replayFlags) verdict(stderr io.Writer, t *replay.Tally) error {
	for _, p := range t.Problems {
		fmt.Fprintln(stderr, p)
	}
	if rest := t.Bad - len(t.Problems); rest > 0 {
		fmt.Fprintf(stderr, "and %s more\n", thousands(rest))
	}
	switch {
	case t.Bad > 0:
		return hint.New("gatectl verify says whether the file is whole; what is newer than this program it cannot read", "%s cannot be used", count(t.Bad, "line"))
	case t.Differ > 0:
		return hint.New("is each file given to --recorded the very one that was in force? A version of gatectl that decides otherwise is a fault: report it",
			"%s did not come out as recorded", counted(t.Differ, "entry", "entries"))
	}
	if changed, _, _ := t.Changed(); r.exitCode && changed+t.Reasons > 0 {
		return errSaid
	}
	return nil
}

// policies are those under which entries were recorded.
type policies struct {
	exact map[gate.PolicyRef]*policy.Policy
	// any are those without a version, by id: they stand for all versions.
	any map[string]*policy.Policy
}

// known reads the recorded policies; the built-in one is always there.
func (r *replayFlags) known(cmd *cobra.Command) (policies, error) {
	k := policies{
		exact: map[gate.PolicyRef]*policy.Policy{policy.Default().Ref(): policy.Default()},
		any:   map[string]*policy.Policy{},
	}
	for _, name := range r.recorded {
		if name == builtIn {
			continue
		}
		p, err := loadPolicy(cmd, name, 0)
		if err != nil {
			return k, err
		}
		var twice bool
		if ref := p.Ref(); ref.Version == 0 {
			_, twice = k.any[ref.ID]
			k.any[ref.ID] = p
		} else {
			_, twice = k.exact[ref]
			k.exact[ref] = p
		}
		if twice {
			return k, fmt.Errorf("%s: %s is named twice", name, refText(p.Ref()))
		}
	}
	return k, nil
}

func (k policies) rules(ref gate.PolicyRef) replay.Rules {
	if p := k.exact[ref]; p != nil {
		return p
	}
	if p := k.any[ref.ID]; p != nil {
		return p
	}
	return nil
}

// read replays all files, in the order of their names within a folder.
func (r *replayFlags) read(cmd *cobra.Command, o replay.Options, t *replay.Tally) error {
	files, size, err := entryFiles(r.entries)
	if err != nil {
		return err
	}
	bar := newProgress(cmd)
	defer bar.end()
	var before int64
	o.Progress = func(read int64) {
		text := thousands(t.Entries) + " entries"
		if size > 0 {
			text += fmt.Sprintf(", %d %%", min(100, (before+read)*100/size))
		}
		bar.say("%s", text)
	}
	for _, name := range files {
		if name == "-" {
			if err := replay.Read(cmd.Context(), "standard input", cmd.InOrStdin(), o, t); err != nil {
				return err
			}
			continue
		}
		n, err := replayFile(cmd, name, o, t)
		if err != nil {
			return err
		}
		before += n
	}
	return nil
}

func replayFile(cmd *cobra.Command, name string, o replay.Options, t *replay.Tally) (size int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return 0, fmt.Errorf("read entries: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("read entries: %w", err)
	}
	return info.Size(), replay.Read(cmd.Context(), name, f, o, t)
}

// entryFiles gives the files that are meant, and their size together; 0 where
// that is not known.
func entryFiles(names []string) (files []string, size int64, err error) {
	known := true
	for _, name := range names {
		if name == "-" {
			files, known = append(files, name), false
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, 0, hint.Wrap(fmt.Errorf("read entries: %w", err), "the file that ingest --sink jsonl:FILE names")
		}
		if !info.IsDir() {
			files, size = append(files, name), size+info.Size()
			continue
		}
		n := len(files)
		err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".jsonl" {
				return err
			}
			if info, err := d.Info(); err == nil {
				size += info.Size()
			}
			files = append(files, path)
			return nil
		})
		if err != nil {
			return nil, 0, fmt.Errorf("read entries: %w", err)
		}
		if len(files) == n {
			return nil, 0, hint.New("entries are kept in files of that ending, one event a line", "%s holds no *.jsonl", name)
		}
	}
	if !known {
		size = 0
	}
	return files, size, nil
}

func refText(r gate.PolicyRef) string {
	switch {
	case r.ID == "":
		return "no policy"
	case r.Version == 0 && r.ID == policy.DefaultID:
		return r.ID + ", built in"
	case r.Version == 0:
		return r.ID + ", without a version"
	}
	return fmt.Sprintf("%s version %d", r.ID, r.Version)
}

const minuteForm = "2006-01-02 15:04"

// printReplay shows what was found to people.
func printReplay(w io.Writer, t *replay.Tally, by string) error {
	fmt.Fprintf(w, "%s of %s, %s to %s UTC\n", counted(t.Entries, "entry", "entries"), count(len(t.Gates), "gate"),
		t.First.UTC().Format(minuteForm), t.Last.UTC().Format(minuteForm))
	for _, ref := range refsOf(t.Policies) {
		fmt.Fprintf(w, "%12s  by %s\n", thousands(t.Policies[ref]), refText(ref))
	}
	for _, left := range []struct {
		n    int
		what string
	}{
		{t.OnFault, "not decided by a policy: on_fault answered"},
		{t.Erased, "erased: their inputs are gone"},
	} {
		if left.n > 0 {
			fmt.Fprintf(w, "%12s  of them left out, %s\n", thousands(left.n), left.what)
		}
	}
	printAgain(w, t)
	if by != "" {
		return printTried(w, t, by)
	}
	return nil
}

// refsOf gives policies, the one with the most entries first.
func refsOf(counts map[gate.PolicyRef]int) []gate.PolicyRef {
	return slices.SortedFunc(maps.Keys(counts), func(a, b gate.PolicyRef) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Version, b.Version))
	})
}

func shadowNames(t *replay.Tally) string {
	var names []string
	for _, ref := range refsOf(t.Shadows) {
		names = append(names, refText(ref))
	}
	if len(names) == 0 {
		return ""
	}
	return " (" + strings.Join(names, "; ") + ")"
}

// printAgain says whether the recorded policies still decide as they did.
func printAgain(w io.Writer, t *replay.Tally) {
	switch {
	case t.Again == 0:
		return
	case t.Differ == 0:
		fmt.Fprintf(w, "\nBy the policy that they name, %s decided again: all as recorded.\n", counted(t.Again, "entry was", "entries were"))
		return
	}
	fmt.Fprintf(w, "\nBy the policy that they name, %s decided again: %s NOT as recorded.\n",
		counted(t.Again, "entry was", "entries were"), thousands(t.Differ))
	for _, x := range t.Wrong {
		fmt.Fprintf(w, "  %v, by %s\n    recorded %s\n    now      %s\n", x.At, refText(x.Policy), outcomeText(x.Recorded), outcomeText(x.Now))
	}
	if rest := t.Differ - len(t.Wrong); rest > 0 {
		fmt.Fprintf(w, "  and %s more\n", thousands(rest))
	}
}

func outcomeText(o replay.Outcome) string {
	words := []string{o.Verdict.String(), o.Class.String()}
	for _, r := range o.Reasons {
		words = append(words, string(r))
	}
	return strings.Join(words, " ")
}

// printTried says what the new policy would have changed.
func printTried(w io.Writer, t *replay.Tally, by string) error {
	changed, stricter, laxer := t.Changed()
	fmt.Fprintf(w, "\n%s, %s of %s come out otherwise (%s).\n", by, thousands(changed), thousands(t.Tried), percent(changed, t.Tried))
	if changed > 0 {
		fmt.Fprintf(w, "%12s  stricter\n%12s  laxer\n", thousands(stricter), thousands(laxer))
		if rest := changed - stricter - laxer; rest > 0 {
			fmt.Fprintf(w, "%12s  shut in another way\n", thousands(rest))
		}
	}
	if t.Reasons > 0 {
		fmt.Fprintf(w, "%12s  more keep their verdict, for other reasons or in another class\n", thousands(t.Reasons))
	}
	if changed == 0 {
		return nil
	}
	fmt.Fprintln(w)
	if err := printMatrix(w, t); err != nil {
		return err
	}
	for _, c := range t.Changes() {
		way := "otherwise"
		switch {
		case c.Strictness > 0:
			way = "stricter"
		case c.Strictness < 0:
			way = "laxer"
		}
		fmt.Fprintf(w, "\n%12s  %s: %s -> %s\n", thousands(c.Entries), way, verdictReason(c.From, c.Was), verdictReason(c.To, c.Is))
		for _, line := range exampleLines(c.Examples) {
			fmt.Fprintf(w, "%14s%s\n", "", line)
		}
	}
	return nil
}

func verdictReason(v gate.Verdict, r gate.Reason) string {
	if r == "" {
		return v.String()
	}
	return v.String() + " " + string(r)
}

// printMatrix shows recorded verdicts against new ones.
func printMatrix(out io.Writer, t *replay.Tally) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "recorded \\ new\t")
	verdicts := gate.Verdicts()
	for _, v := range verdicts {
		fmt.Fprintf(w, "%v\t", v)
	}
	fmt.Fprintln(w)
	for _, from := range verdicts {
		if t.Matrix[from] == (replay.Row{}) {
			continue
		}
		fmt.Fprintf(w, "%v\t", from)
		for _, to := range verdicts {
			cell := "."
			if n := t.Matrix[from][to]; n > 0 {
				cell = thousands(n)
			}
			fmt.Fprintf(w, "%s\t", cell)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// exampleLines names entries, those of one journal on one line.
func exampleLines(places []replay.Place) (lines []string) {
	type journal struct{ source, epoch string }
	var last journal
	for _, p := range places {
		at := journal{p.Source, p.Epoch}
		seq := strconv.FormatUint(p.Seq, 10)
		if n := len(lines); n > 0 && at == last && len(lines[n-1])+len(seq) < 80 {
			lines[n-1] += ", " + seq
			continue
		}
		lines = append(lines, fmt.Sprintf("%s epoch %s: %s", strings.TrimPrefix(p.Source, "/"), p.Epoch, seq))
		last = at
	}
	return lines
}

// replayJSON is what was found for programs.
type replayJSON struct {
	Entries  int                 `json:"entries"`
	First    time.Time           `json:"first"`
	Last     time.Time           `json:"last"`
	Gates    map[string]int      `json:"gates"`
	OnFault  int                 `json:"on_fault"`
	Erased   int                 `json:"erased"`
	Bad      int                 `json:"bad_lines"`
	Again    int                 `json:"decided_again"`
	Differ   int                 `json:"not_as_recorded"`
	Policy   string              `json:"policy,omitempty"`
	Tried    int                 `json:"tried"`
	Changed  int                 `json:"changed"`
	Stricter int                 `json:"stricter"`
	Laxer    int                 `json:"laxer"`
	Reasons  int                 `json:"other_reasons"`
	Changes  []replayJSONChanged `json:"changes"`
}

type replayJSONChanged struct {
	From     string   `json:"from"`
	Was      string   `json:"was"`
	To       string   `json:"to"`
	Is       string   `json:"is"`
	Entries  int      `json:"entries"`
	Examples []string `json:"examples"`
}

func replayReport(t *replay.Tally, tried *policy.Policy) replayJSON {
	changed, stricter, laxer := t.Changed()
	out := replayJSON{
		Entries: t.Entries, First: t.First.UTC(), Last: t.Last.UTC(), Gates: t.Gates, OnFault: t.OnFault, Erased: t.Erased, Bad: t.Bad,
		Again: t.Again, Differ: t.Differ, Policy: tried.Ref().ID, Tried: t.Tried,
		Changed: changed, Stricter: stricter, Laxer: laxer, Reasons: t.Reasons, Changes: []replayJSONChanged{},
	}
	for _, c := range t.Changes() {
		x := replayJSONChanged{From: c.From.String(), Was: string(c.Was), To: c.To.String(), Is: string(c.Is), Entries: c.Entries, Examples: []string{}}
		for _, at := range c.Examples {
			x.Examples = append(x.Examples, at.String())
		}
		out.Changes = append(out.Changes, x)
	}
	return out
}

// thousands writes a number with commas: 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted writes a number with the noun that fits it.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

func percent(n, of int) string {
	if of == 0 {
		return "0 %"
	}
	return strconv.FormatFloat(float64(n)*100/float64(of), 'f', 1, 64) + " %"
}
