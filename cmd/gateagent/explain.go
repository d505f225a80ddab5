package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/agent/localapi"
	"gateagent/agent/policy"
	"gateagent/agent/record"

	"github.com/spf13/cobra"
)

// explainFlags are what an entry is explained by.
type explainFlags struct {
	asking
	lang, file, gate, epoch, policy string
	asJSON                          bool

	later []record.Event // of a file: records that say what followed
}

func explainCommand() *cobra.Command {
	var x explainFlags
	cmd := &cobra.Command{
		Use:   "explain SEQ",
		Short: "say why an entry was decided as it was",
		Long: `explain says in plain sentences, Vietnamese and English, why an entry was decided as it
was: which rule, by which facts and how old they were, by which data and which policy,
and what would have changed the outcome. It works it out again from what the entry
recorded, by the very code that decided. SEQ is its number, as entries shows it.

It names facts and lists, which the page and the screen never do: it is for those who may
read entries. It knows no name and no number.

The policy is the one that the entry names, also when another is in force by now; the
agent keeps the last eight. Where it is no longer kept, --policy names a file of it, or
the entry is explained by what was recorded alone.

With --file it reads a file of entries as central keeps them, and needs no agent.

It ends with 0 when there was something to explain, with 1 when there is no such entry,
with 2 when no agent runs.`,
		Example: `  gateagent explain 1204
  gateagent explain 1204 --lang en
  gateagent explain 1204 --file entries.jsonl --gate hn01/gate-1 --policy hn01-policy.jws`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return hint.New("for example: gateagent explain 1204; gateagent entries --since 1h shows the numbers", "explain takes the number of one entry")
		},
		RunE: func(cmd *cobra.Command, args []string) error { return x.run(cmd, args[0]) },
	}
	x.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&x.lang, "lang", "", "vi or en (default: both)")
	f.BoolVar(&x.asJSON, "json", false, "print JSON")
	f.StringVar(&x.file, "file", "", `read entries from this file instead of asking the agent; "-" is standard input`)
	f.StringVar(&x.gate, "gate", "", "with --file: whose entry, as SITE/GATE")
	f.StringVar(&x.epoch, "epoch", "", "with --file: of which journal, where a gate has had several")
	f.StringVar(&x.policy, "policy", "", "file of the policy that the entry names, as JSON or signed")
	cmd.MarkFlagsMutuallyExclusive("file", "socket")
	return cmd
}

func (x *explainFlags) run(cmd *cobra.Command, arg string) error {
	seq, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || seq == 0 || seq > record.MaxSeq {
		return hint.New("gateagent entries --since 1h shows the numbers, first in each line", "%q is not the number of an entry", arg)
	}
	langs := []policy.Lang{policy.Vietnamese, policy.English}
	if x.lang != "" {
		l, err := policy.ParseLang(x.lang)
		if err != nil {
			return hint.Wrap(fmt.Errorf("--lang: %w", err), "without --lang it says both")
		}
		langs = []policy.Lang{l}
	}
	var e found
	if x.file != "" {
		e, err = x.inFile(cmd, seq)
	} else {
		if x.gate != "" || x.epoch != "" {
			return hint.New("the agent has the entries of its own gate, and of the journal that it writes", "--gate and --epoch say nothing without --file")
		}
		e, err = x.ask(cmd.Context(), seq)
		if errors.Is(err, localapi.ErrNotRunning) || errors.Is(err, localapi.ErrForbidden) {
			return x.unreachable(cmd.ErrOrStderr(), err)
		}
	}
	if err != nil {
		return err
	}
	account, err := x.account(cmd.Context(), e)
	if err != nil {
		return err
	}
	if x.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(account.forPrograms(langs))
	}
	return account.print(cmd.OutOrStdout(), langs)
}

// found is an entry and what followed it.
type found struct {
	origin record.Origin
	epoch  record.Epoch
	seq    uint64
	entry  gate.Entry
	erased bool
	// passage is what followed, where it is known.
	passage *gate.Passage
}

// afterwards bounds how many records behind an entry are searched for its
// passage.
const afterwards = 256

// errEnough ends reading when all is found.
var errEnough = errors.New("enough")

// ask finds the entry in the journal of the running agent.
func (x *explainFlags) ask(ctx context.Context, seq uint64) (found, error) {
	client := x.client()
	var (
		e    found
		have bool
		next uint64 // number of the first record that is not the one
	)
	err := client.Entries(ctx, noTime, seq-1, func(event []byte) error {
		ev, err := record.ParseEvent(event)
		if err != nil {
			return fmt.Errorf("a record of the agent cannot be read: %w", err)
		}
		at := ev.Position().Seq
		switch {
		case !have && at != seq:
			next = at
			return errEnough
		case !have:
			if e, err = entryIn(ev); err != nil {
				return err
			}
			have = true
			return nil
		}
		if e.follow(ev); e.passage != nil || at >= seq+afterwards {
			return errEnough
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errEnough):
		return found{}, err
	case have:
		return e, nil
	case next > 0:
		return found{}, hint.New("central has it: gateagent explain --file entries.jsonl there", "entry %d is no longer kept here: the journal begins at record %d", seq, next)
	}
	return found{}, hint.New("gateagent entries --since 1h shows the newest", "there is no record %d: the journal has not come as far", seq)
}

// entryIn reads an entry, and says what a record is that is none.
func entryIn(ev record.Event) (found, error) {
	seq, r := ev.Position().Seq, ev.Link().Record
	switch ev.Type() {
	case record.TypeEntry:
	case record.TypePassage:
		p, err := r.Passage()
		if err != nil {
			return found{}, err
		}
		return found{}, hint.New(fmt.Sprintf("gateagent explain %d", p.Ref), "record %d is no entry: it says what the gate did after entry %d", seq, p.Ref)
	default:
		return found{}, hint.New("gateagent entries shows what it is", "record %d is no entry and has nothing to explain: it is a %s", seq, ev.Type())
	}
	entry, err := r.Entry()
	if err != nil {
		return found{}, hint.Wrap(fmt.Errorf("entry %d: %w", seq, err), "a newer version of the agent may have written it")
	}
	return found{origin: ev.Origin(), epoch: ev.Epoch(), seq: seq, entry: entry, erased: r.Erased()}, nil
}

// follow keeps the passage of the entry.
func (e *found) follow(ev record.Event) {
	if ev.Type() != record.TypePassage || ev.Origin() != e.origin || ev.Epoch() != e.epoch {
		return
	}
	if p, err := ev.Link().Record.Passage(); err == nil && p.Ref == e.seq {
		e.passage = &p
	}
}

// account is an entry with its explanation.
type account struct {
	found
	// policy is the one that the entry names; nil where it is not at hand.
	policy *policy.Policy
	// draft is the file of the policy, where that says no version and so does
	// not prove to be the one that the entry names.
	draft string
	// inForce is the policy in force now, where an agent was asked.
	inForce gate.PolicyRef
	asked   bool
	why     *policy.Explanation
}

// account explains an entry by the policy that it names.
func (x *explainFlags) account(ctx context.Context, e found) (account, error) {
	a := account{found: e}
	var err error
	switch ref := e.entry.Policy; {
	case x.policy != "":
		if a.policy, err = readPolicyFile(x.policy); err != nil {
			return a, err
		}
		// A draft has no version and stands for all of them.
		if got := a.policy.Ref(); got.ID != ref.ID || got.Version != ref.Version && got.Version != 0 {
			return a, hint.New("without --policy it is explained by what was recorded alone",
				"%s is %s, and the entry was decided by %s", x.policy, policyName(policy.English, got), policyName(policy.English, ref))
		}
	case x.file != "":
		if ref == policy.Default().Ref() {
			a.policy = policy.Default()
		}
	default:
		if a.policy, err = x.keptPolicy(ctx, ref); err != nil {
			return a, err
		}
		s, err := x.client().Status(ctx)
		if err != nil {
			return a, err
		}
		a.asked, a.inForce = true, gate.PolicyRef{ID: s.Policy.ID, Version: s.Policy.Version}
	}
	if a.policy != nil && !e.erased && !a.onFault() {
		why := a.policy.Explain(e.entry.Inputs)
		if why.Policy.Version == 0 && why.Policy != e.entry.Policy {
			why.Policy, a.draft = e.entry.Policy, x.policy
		}
		a.why = &why
	}
	return a, nil
}

// keptPolicy asks the agent for a policy; nil where it does not keep it.
func (x *explainFlags) keptPolicy(ctx context.Context, ref gate.PolicyRef) (*policy.Policy, error) {
	doc, err := x.client().Policy(ctx, ref.Version)
	if errors.Is(err, localapi.ErrNotKept) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := policy.ParseDraft(doc)
	if err != nil {
		return nil, fmt.Errorf("the policy that the agent keeps: %w", err)
	}
	if p.Ref() != ref {
		return nil, nil // a box that was given to another site, for example
	}
	return p, nil
}

// onFault says whether the lane's on_fault answered, and no policy.
func (a *account) onFault() bool {
	r := a.entry.Reasons
	return len(r) > 0 && (r[0] == gate.ReasonStoreFault || r[0] == gate.ReasonRecordFault) || a.entry.Policy.ID == ""
}

// agrees says whether deciding again gives what was recorded.
func (a *account) agrees() bool {
	d := &a.why.Decision
	return d.Verdict == a.entry.Verdict && d.Class == a.entry.Class && slices.Equal(d.ReasonList(), a.entry.Reasons)
}

// policyName names a policy. Only the built-in one and drafts have no version.
func policyName(l policy.Lang, r gate.PolicyRef) string {
	switch {
	case r.ID == "":
		return say(l, "không có", "no policy")
	case r == policy.Default().Ref():
		return say(l, "%s, có sẵn trong máy", "%s, built in", r.ID)
	case r.Version == 0:
		return say(l, "%s, bản nháp", "%s, a draft", r.ID)
	}
	return say(l, "%s phiên bản %d", "%s version %d", r.ID, r.Version)
}

// print shows the account, one language after the other.
func (a *account) print(w io.Writer, langs []policy.Lang) error {
	for i, l := range langs {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w, a.title(l))
		for _, s := range a.sections(l) {
			if len(s.lines) == 0 {
				continue
			}
			if s.heading != "" {
				fmt.Fprintln(w, s.heading)
			}
			for _, line := range s.lines {
				if _, err := fmt.Fprintln(w, wrap(line, "  ", 100)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wrap breaks a sentence at spaces so that no line has more than wide
// characters.
func wrap(s, indent string, wide int) string {
	var b strings.Builder
	at := 0
	for word := range strings.FieldsSeq(s) {
		n := utf8.RuneCountInString(word)
		switch {
		case at == 0:
			b.WriteString(indent)
			at = len(indent)
		case at+1+n > wide:
			b.WriteString("\n" + indent + "  ")
			at = len(indent) + 2
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}
