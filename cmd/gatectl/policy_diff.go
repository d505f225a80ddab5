package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/cmd/gatectl/replay"
)

func policyDiffCommand() *cobra.Command {
	var all, asJSON, exitCode bool
	cmd := &cobra.Command{
		Use:   "diff A B",
		Short: "in which situations two policies differ",
		Long: `Works out by the code that gates run in which situations a policy B comes out otherwise
than a policy A: every kind of person, every boundary of days, hours and ages that either
of the two has, at every level of a site. It says which way each goes, and counts.

A policy is a file, as written or as signed, or "` + builtIn + `".`,
		Example: `  gatectl policy diff hn01-policy.json new.json
  gatectl policy diff built-in new.json --all
  gatectl policy diff old.jws new.json --exit-code`,
		Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := loadPolicy(cmd, args[0], 0)
			if err != nil {
				return err
			}
			b, err := loadPolicy(cmd, args[1], 0)
			if err != nil {
				return err
			}
			d := diffPolicies(a, b)
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(d)
			} else {
				err = d.print(cmd.OutOrStdout(), args, all)
			}
			if err == nil && exitCode && d.differ() {
				return errSaid
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "name every situation, not only the first of each kind")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&exitCode, "exit-code", false, "end with 1 when they differ")
	return cmd
}

// policyDiff is what tells two policies apart.
type policyDiff struct {
	A          policyHead     `json:"a"`
	B          policyHead     `json:"b"`
	Situations int            `json:"situations"`
	Stricter   int            `json:"stricter"`
	Laxer      int            `json:"laxer"`
	Otherwise  int            `json:"otherwise"` // shut in another way
	Reasons    int            `json:"other_reasons"`
	Groups     []*diffGroup   `json:"groups"`
	Texts      []textDiff     `json:"sentences"`
	index      map[string]int // of groups, by name
}

// policyHead is what a policy says of itself.
type policyHead struct {
	ID      string   `json:"id"`
	Version uint64   `json:"version"`
	Level   int      `json:"level"`
	Levels  []string `json:"levels,omitempty"` // announced
	From    string   `json:"valid_from,omitempty"`
	To      string   `json:"valid_to,omitempty"`
}

// diffGroup is the differences in one part of the rule book.
type diffGroup struct {
	Name    string      `json:"name"`
	Changes []*diffWay  `json:"changes"`
	ways    map[way]int // place in Changes
}

type way struct{ from, to gate.Verdict }

// diffWay is the situations that go from one verdict to another.
type diffWay struct {
	From  string     `json:"from"`
	To    string     `json:"to"`
	Way   string     `json:"way"` // stricter, laxer, otherwise
	Cases []diffCase `json:"cases"`
}

// diffCase is one situation and the levels at which it differs.
type diffCase struct {
	What   string `json:"what"`
	Levels []int  `json:"levels"` // none: at the level in force
	Was    string `json:"was"`    // first reason of each
	Is     string `json:"is"`
}

// textDiff is a sentence at the gate that differs.
type textDiff struct {
	Outcomes []string    `json:"outcomes"` // that are answered by it
	A        policy.Text `json:"a"`
	B        policy.Text `json:"b"`
}

func headOf(p *policy.Policy) policyHead {
	const form = "2006-01-02 15:04"
	h := policyHead{ID: p.Ref().ID, Version: p.Ref().Version, Level: p.Level()}
	for _, c := range p.LevelChanges() {
		h.Levels = append(h.Levels, fmt.Sprintf("%d from %s", c.Level, c.From.In(p.Zone()).Format(form)))
	}
	from, to := p.Validity()
	if !from.IsZero() {
		h.From = from.In(p.Zone()).Format(form)
	}
	if !to.IsZero() {
		h.To = to.In(p.Zone()).Format(form)
	}
	return h
}

func diffPolicies(a, b *policy.Policy) *policyDiff {
	d := &policyDiff{A: headOf(a), B: headOf(b), Groups: []*diffGroup{}, Texts: []textDiff{}, index: map[string]int{}}
	outcomes := map[string]gate.Decision{}
	for s := range policy.Situations(a, b) {
		d.Situations++
		was, is := s.Decide(a), s.Decide(b)
		for _, o := range []gate.Decision{was, is} {
			if key := outcomeKey(o); key != "" {
				outcomes[key] = o
			}
		}
		switch {
		case was.Verdict != is.Verdict:
			d.add(s, was, is)
		case was.Class != is.Class || !slices.Equal(was.ReasonList(), is.ReasonList()):
			d.Reasons++
		}
	}
	keys := make([]string, 0, len(outcomes))
	for key := range outcomes {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		t := textDiff{Outcomes: []string{key}}
		t.A.VI, t.A.EN = a.Text(outcomes[key])
		t.B.VI, t.B.EN = b.Text(outcomes[key])
		if t.A == t.B {
			continue
		}
		i := slices.IndexFunc(d.Texts, func(had textDiff) bool { return had.A == t.A && had.B == t.B })
		if i < 0 {
			d.Texts = append(d.Texts, t)
		} else {
			d.Texts[i].Outcomes = append(d.Texts[i].Outcomes, key)
		}
	}
	return d
}

// outcomeKey names an outcome as the texts of a policy do.
func outcomeKey(d gate.Decision) string {
	return strings.ReplaceAll(verdictReason(d.Verdict, first(d)), " ", "/")
}

func first(d gate.Decision) gate.Reason {
	if d.N == 0 {
		return ""
	}
	return d.Reasons[0]
}

func (d *policyDiff) add(s policy.Situation, was, is gate.Decision) {
	name := "stricter"
	switch by := replay.Strictness(is.Verdict) - replay.Strictness(was.Verdict); {
	case by > 0:
		d.Stricter++
	case by < 0:
		d.Laxer++
		name = "laxer"
	default:
		d.Otherwise++
		name = "otherwise"
	}
	i, ok := d.index[s.Group]
	if !ok {
		i = len(d.Groups)
		d.index[s.Group] = i
		d.Groups = append(d.Groups, &diffGroup{Name: s.Group, ways: map[way]int{}})
	}
	g, key := d.Groups[i], way{was.Verdict, is.Verdict}
	k, ok := g.ways[key]
	if !ok {
		k = len(g.Changes)
		g.ways[key] = k
		g.Changes = append(g.Changes, &diffWay{From: was.Verdict.String(), To: is.Verdict.String(), Way: name})
	}
	w := g.Changes[k]
	if n := len(w.Cases); n > 0 && w.Cases[n-1].What == s.What && s.Level != 0 {
		w.Cases[n-1].Levels = append(w.Cases[n-1].Levels, s.Level)
		return
	}
	c := diffCase{What: s.What, Levels: []int{}, Was: string(first(was)), Is: string(first(is))}
	if s.Level != 0 {
		c.Levels = append(c.Levels, s.Level)
	}
	w.Cases = append(w.Cases, c)
}

func (d *policyDiff) changed() int { return d.Stricter + d.Laxer + d.Otherwise }

// differ says whether there is any difference that a gate or a person notices.
func (d *policyDiff) differ() bool {
	a, b := d.A, d.B
	return d.changed() > 0 || d.Reasons > 0 || len(d.Texts) > 0 || a.Level != b.Level || !slices.Equal(a.Levels, b.Levels) ||
		a.From != b.From || a.To != b.To
}

// shownCases is how many situations of a kind are named without --all.
const shownCases = 6

func (d *policyDiff) print(w io.Writer, names []string, all bool) error {
	for i, h := range []policyHead{d.A, d.B} {
		fmt.Fprintf(w, "%c  %s: %s\n", 'A'+i, names[i], h)
	}
	if !d.differ() {
		_, err := fmt.Fprintf(w, "\nThey are the same in all %s situations.\n", thousands(d.Situations))
		return err
	}
	fmt.Fprintf(w, "\n%s of %s situations come out otherwise by B:\n", thousands(d.changed()), thousands(d.Situations))
	fmt.Fprintf(w, "%10s  stricter\n%10s  laxer\n", thousands(d.Stricter), thousands(d.Laxer))
	if d.Otherwise > 0 {
		fmt.Fprintf(w, "%10s  shut in another way\n", thousands(d.Otherwise))
	}
	if d.Reasons > 0 {
		fmt.Fprintf(w, "%10s  more keep their verdict, for other reasons or in another class\n", thousands(d.Reasons))
	}
	for _, g := range d.Groups {
		fmt.Fprintf(w, "\n%s\n", g.Name)
		for _, c := range g.Changes {
			fmt.Fprintf(w, "  %s: %s -> %s\n", c.Way, c.From, c.To)
			c.print(w, all)
		}
	}
	if len(d.Texts) > 0 {
		fmt.Fprintf(w, "\nsentences at the gate\n")
		for i, t := range d.Texts {
			if i == shownCases && !all {
				fmt.Fprintf(w, "  and %d more; --all names them\n", len(d.Texts)-i)
				break
			}
			outcomes := t.Outcomes[0]
			if n := len(t.Outcomes) - 1; n > 0 {
				outcomes += fmt.Sprintf(" and %s", counted(n, "other outcome", "other outcomes"))
			}
			fmt.Fprintf(w, "  %s\n    A  %s\n       %s\n    B  %s\n       %s\n", outcomes, t.A.VI, t.A.EN, t.B.VI, t.B.EN)
		}
	}
	return nil
}

func (c *diffWay) print(w io.Writer, all bool) {
	cases := c.Cases
	if !all {
		cases = fold(cases)
	}
	for i, x := range cases {
		if i == shownCases && !all {
			fmt.Fprintf(w, "    and %d more; --all names them\n", len(cases)-i)
			return
		}
		why := x.Is
		if x.Was != x.Is {
			why = x.Was + " -> " + x.Is
		}
		line := "    "
		if at := levelsText(x.Levels); at != "" {
			line += fmt.Sprintf("%-13s", at)
		}
		line += x.What
		if len([]rune(line))+len(why)+4 <= 100 {
			fmt.Fprintf(w, "%s  (%s)\n", line, why)
		} else {
			fmt.Fprintf(w, "%s\n%8s(%s)\n", line, "", why)
		}
	}
}

// fold puts the moments of one kind of person together: "GREEN, Fri 2021-12-17
// 00:00" and those after it.
func fold(cases []diffCase) (folded []diffCase) {
	type key struct{ who, was, is string }
	at, more := map[key]int{}, map[int]int{}
	for _, x := range cases {
		who, _, ok := cutLast(x.What, ", ")
		k := key{who, x.Was, x.Is}
		if i, seen := at[k]; ok && seen && len(x.Levels) == 0 {
			more[i]++
			continue
		}
		if ok && len(x.Levels) == 0 {
			at[k] = len(folded)
		}
		folded = append(folded, x)
	}
	for i, n := range more {
		folded[i].What += fmt.Sprintf(" and %s", counted(n, "moment after it", "moments after it"))
	}
	return folded
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// levelsText writes levels as "level 1-3" or "level 2, 4".
func levelsText(levels []int) string {
	n := len(levels)
	switch {
	case n == 0:
		return ""
	case n > 2 && levels[n-1]-levels[0] == n-1:
		return fmt.Sprintf("level %d-%d", levels[0], levels[n-1])
	}
	words := make([]string, n)
	for i, l := range levels {
		words[i] = strconv.Itoa(l)
	}
	return "level " + strings.Join(words, ",")
}

func (h policyHead) String() string {
	var b strings.Builder
	b.WriteString(h.ID)
	if h.Version > 0 {
		fmt.Fprintf(&b, " version %d", h.Version)
	}
	fmt.Fprintf(&b, ", level %d", h.Level)
	for _, l := range h.Levels {
		b.WriteString(", " + l)
	}
	if h.From != "" {
		b.WriteString(", valid from " + h.From)
	}
	if h.To != "" {
		b.WriteString(", valid to " + h.To)
	}
	return b.String()
}
