package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/agent/policy"
	"gateagent/cmd/gatectl/people"
)

func policyCheckCommand() *cobra.Command {
	var (
		level                 int
		asJSON, asCSV, strict bool
	)
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "check a policy and print what it does",
		Long: `Reads a policy, reports all that is wrong with it, and prints as a table what a gate
does by it in every situation, worked out by the very code that gates run. Below the
table stands what is allowed and hardly meant:

  unreachable    a rule that never decides anything
  contradiction  rules that work against each other
  gap            a situation that no rule of the policy names

Without a file it is the built-in policy. --json prints the document itself, with all
that it leaves unsaid; --csv prints the table for a spreadsheet.`,
		Example: `  gatectl policy check
  gatectl policy check hn01-policy.json
  gatectl policy check hn01-policy.json --csv > hn01-policy.csv`,
		Args: takes(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := readPolicy(cmd, args, level)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch {
			case asJSON:
				doc, err := p.Marshal(policy.Header{Version: p.Ref().Version})
				if err != nil {
					return err
				}
				if _, err := out.Write(doc); err != nil {
					return err
				}
			case asCSV:
				if err := printRows(out, p.Rows()); err != nil {
					return err
				}
			default:
				if _, err := fmt.Fprint(out, p.Table()); err != nil {
					return err
				}
			}
			// With a table for a program they go where people look.
			if asJSON || asCSV {
				out = cmd.ErrOrStderr()
			}
			findings := p.Findings(time.Now())
			printFindings(out, findings)
			noteLists(out, p)
			if strict && len(findings) > 0 {
				return hint.New("without --strict they are only shown", "%s hardly meant", counted(len(findings), "thing is", "things are"))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&level, "level", 0, "level of the site, 1 to 4 (default: as the policy says)")
	f.BoolVar(&asJSON, "json", false, "print the document")
	f.BoolVar(&asCSV, "csv", false, "print the table as CSV")
	f.BoolVar(&strict, "strict", false, "end with 1 when something is hardly meant")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
}

// printFindings shows what is hardly meant; nothing where there is nothing.
func printFindings(w io.Writer, findings []policy.Finding) {
	if len(findings) == 0 {
		return
	}
	fmt.Fprintln(w, "\nallowed, and hardly meant")
	for _, f := range findings {
		fmt.Fprintf(w, "%-13s  %s\n%15s%s\n", f.Kind, f.Path, "", f.Text)
	}
}

// noteLists says what a policy wants of the lists of people that it is to be
// used with, where that is more than they have by default.
func noteLists(w io.Writer, p *policy.Policy) {
	if n := p.Params().MaxDoseAge; n > 0 {
		fmt.Fprintf(w, "\nnote: max_dose_age_days is %d, and lists of people hold the last dose only where snapshot build was told so:\n"+
			"build them with --doses-expire, or a booster does not help whose series was completed longer ago\n", n)
	}
	if d := p.Params().DoseDays; d > people.DefaultSettle {
		fmt.Fprintf(w, "\nnote: dose_days is %d, and lists of people hold the completing dose alone from %d days on:\n"+
			"build them with --settle %d at least\n", d, people.DefaultSettle, d)
	}
}

func printRows(out io.Writer, rows []policy.TableRow) error {
	w := csv.NewWriter(out)
	_ = w.Write([]string{"table", "situation", "class", "level 1", "level 2", "level 3", "level 4", "reasons"}) // Flush has the error
	for _, r := range rows {
		record := []string{r.Table, r.What, r.Class.String()}
		for _, v := range r.Verdicts {
			record = append(record, v.String())
		}
		reasons := make([]string, len(r.Reasons))
		for i, why := range r.Reasons {
			reasons[i] = string(why)
		}
		_ = w.Write(append(record, strings.Join(reasons, " ")))
	}
	w.Flush()
	return w.Error()
}
