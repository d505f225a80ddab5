package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/cmd/gatectl/replay"
)

const minuteForm = "2006-01-02 15:04"

// printReplay shows what was found to people; with verify also what could not be
// verified.
func printReplay(w io.Writer, t *replay.Tally, by string, verify bool) error {
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
	if verify {
		printNotGiven(w, t)
	}
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
	if t.Again == 0 {
		return
	}
	outcome := "all as recorded."
	if t.Differ > 0 {
		outcome = thousands(t.Differ) + " NOT as recorded."
	}
	fmt.Fprintf(w, "\nBy the policy that they name, %s decided again: %s\n", counted(t.Again, "entry was", "entries were"), outcome)
	if len(t.AgainBy) > 1 || len(t.NotGiven) > 0 {
		for _, ref := range refsOf(t.AgainBy) {
			fmt.Fprintf(w, "%12s  by %s\n", thousands(t.AgainBy[ref]), refText(ref))
		}
	}
	for _, x := range t.Wrong {
		fmt.Fprintf(w, "  %v, by %s\n    recorded %s\n    now      %s\n", x.At, refText(x.Policy), outcomeText(x.Recorded), outcomeText(x.Now))
	}
	if rest := t.Differ - len(t.Wrong); rest > 0 {
		fmt.Fprintf(w, "  and %s more\n", thousands(rest))
	}
}

// printNotGiven says which entries were not verified, since their policy was not
// given.
func printNotGiven(w io.Writer, t *replay.Tally) {
	n := 0
	for _, more := range t.NotGiven {
		n += more
	}
	if n == 0 {
		return
	}
	fmt.Fprintf(w, "\nNOT verified, as their policy is not given: %s of %s.\n", thousands(n), counted(t.Again+n, "entry", "entries"))
	for _, ref := range refsOf(t.NotGiven) {
		fmt.Fprintf(w, "%12s  by %s\n", thousands(t.NotGiven[ref]), refText(ref))
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
	NotGiven map[string]int      `json:"not_verified"` // by policy, which is not given
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
		Again: t.Again, Differ: t.Differ, NotGiven: map[string]int{}, Policy: tried.Ref().ID, Tried: t.Tried,
		Changed: changed, Stricter: stricter, Laxer: laxer, Reasons: t.Reasons, Changes: []replayJSONChanged{},
	}
	for ref, n := range t.NotGiven {
		out.NotGiven[refText(ref)] = n
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
