package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

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
the built-in one is known. Entries under a policy that is not named cannot be verified, and
it says how many these are; if no entry names a policy that --recorded gives, it ends with
1. What --policy changes is compared with what was recorded, whether verified or not. A
file without a version stands for all versions of its id.

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
		err = printReplay(cmd.OutOrStdout(), t, by, len(r.recorded) > 0)
	}
	if err != nil {
		return err
	}
	if err := r.verdict(cmd.ErrOrStderr(), t); err != nil {
		return err
	}
	if err := known.nothing(t); err != nil {
		return err
	}
	if changed, _, _ := t.Changed(); r.exitCode && changed+t.Reasons > 0 {
		return errSaid
	}
	return nil
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
	return nil
}

// policies are those under which entries were recorded.
type policies struct {
	exact map[gate.PolicyRef]*policy.Policy
	// any are those without a version, by id: they stand for all versions.
	any map[string]*policy.Policy
	// given are those that --recorded names.
	given []gate.PolicyRef
}

// known reads the recorded policies; the built-in one is always there.
func (r *replayFlags) known(cmd *cobra.Command) (policies, error) {
	k := policies{
		exact: map[gate.PolicyRef]*policy.Policy{policy.Default().Ref(): policy.Default()},
		any:   map[string]*policy.Policy{},
	}
	for _, name := range r.recorded {
		if name == builtIn {
			k.given = append(k.given, policy.Default().Ref())
			continue
		}
		p, err := loadPolicy(cmd, name, 0)
		if err != nil {
			return k, err
		}
		k.given = append(k.given, p.Ref())
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

// nothing is the error of verifying nothing: policies were given, and no entry
// was decided by any of them.
func (k policies) nothing(t *replay.Tally) error {
	var names []string
	for _, given := range k.given {
		for ref := range t.AgainBy {
			if ref == given || given.Version == 0 && ref.ID == given.ID {
				return nil
			}
		}
		names = append(names, refText(given))
	}
	if len(names) == 0 {
		return nil
	}
	return hint.New("above stands which policies the entries name; --recorded wants what policy publish --save kept of these",
		"nothing was verified: no entry that can be decided again names %s", strings.Join(names, " or "))
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
