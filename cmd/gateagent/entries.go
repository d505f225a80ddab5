package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/hint"

	"github.com/spf13/cobra"
)

var verdictOrder = func() (names []string) {
	for _, v := range gate.Verdicts() {
		names = append(names, v.String())
	}
	return names
}()

func entriesCommand() *cobra.Command {
	var a asking
	var asJSON, verify bool
	var since string
	cmd := &cobra.Command{
		Use:   "entries",
		Short: "show the journal of the running agent",
		Long: `entries shows what the gate decided and did, and which faults it had, oldest
first, as the running agent has it in its journal. With --verify it walks the whole hash chain instead and
ends with 1 when a record was changed or is missing.`,
		Example: `  gateagent entries --since 1h
  gateagent entries --since 2026-11-24T08:00:00+07:00 --json
  gateagent entries --verify`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			client, out := a.client(), cmd.OutOrStdout()
			if verify {
				v, err := client.Verify(cmd.Context())
				if err != nil {
					return a.unreachable(cmd.ErrOrStderr(), err)
				}
				if asJSON {
					err = json.NewEncoder(out).Encode(v)
				} else if v.Whole {
					_, err = fmt.Fprintf(out, "the chain is whole: epoch %s, records %d to %d, head %s\n", v.Epoch, v.From, v.To, v.Head)
				} else {
					_, err = fmt.Fprintf(out, "the chain is BROKEN at record %d of epoch %s: %s\n", v.BadSeq, v.Epoch, v.BadWhat)
				}
				if err == nil && !v.Whole {
					return exitCode(1)
				}
				return err
			}
			show := printEntry
			if asJSON {
				show = func(w io.Writer, event []byte) error {
					_, err := fmt.Fprintf(w, "%s\n", event)
					return err
				}
			}
			err = client.Entries(cmd.Context(), from, 0, func(event []byte) error { return show(out, event) })
			if err != nil {
				return a.unreachable(cmd.ErrOrStderr(), err)
			}
			return nil
		},
	}
	a.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print each record as a CloudEvent, one a line")
	cmd.Flags().BoolVar(&verify, "verify", false, "check the chain instead of showing entries")
	cmd.Flags().StringVar(&since, "since", "", "only from then on: a time (RFC 3339), a day (2006-01-02) or an age (90m, 24h)")
	cmd.MarkFlagsMutuallyExclusive("verify", "since") // the whole chain is walked, or nothing
	return cmd
}

// parseSince reads an instant, a day in local time, or an age.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if age, err := time.ParseDuration(s); err == nil {
		return now.Add(-age), nil
	}
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, now.Location()); err == nil {
		return t, nil
	}
	return time.Time{}, hint.New("for example --since 2026-11-24, --since 2026-11-24T08:00:00+07:00 or --since 90m",
		"--since %q is neither a time nor an age", s)
}

// printEntry shows one record as a line.
func printEntry(w io.Writer, event []byte) error {
	var e struct {
		Type string    `json:"type"`
		Time time.Time `json:"time"`
		Data struct {
			Seq        uint64   `json:"seq"`
			Lane       string   `json:"lane"`
			Verdict    string   `json:"verdict"`
			Class      string   `json:"class"`
			Credential string   `json:"credential"`
			Subject    string   `json:"subject"`
			Reasons    []string `json:"reasons"`
			Kind       string   `json:"kind"`
			Ref        uint64   `json:"ref"`
			Opened     bool     `json:"opened"`
			Record     string   `json:"record"`
			By         string   `json:"by"`

			Details map[string]any `json:"details"`
		} `json:"data"`
	}
	if err := json.Unmarshal(event, &e); err != nil {
		return fmt.Errorf("a record of the agent cannot be read: %w", err)
	}
	d := e.Data
	var err error
	switch e.Type {
	case "gate.entry.v1":
		_, err = fmt.Fprintf(w, "%8d  %s  %-8s %-12s %-7s %-11s %-16s %s\n",
			d.Seq, local(e.Time), d.Lane, d.Verdict, d.Class, d.Credential, d.Subject, strings.Join(d.Reasons, " "))
	case "gate.passage.v1":
		said := "not opened"
		if d.Opened {
			said = "opened"
		}
		_, err = fmt.Fprintf(w, "%8d  %s  %-8s for %d: %s, %s\n", d.Seq, local(e.Time), d.Lane, d.Ref, said, d.Record)
	case "gate.override.v1":
		_, err = fmt.Fprintf(w, "%8d  %s  %-8s override by %s\n", d.Seq, local(e.Time), d.Lane, d.By)
	default:
		_, err = fmt.Fprintf(w, "%8d  %s  event %s%s\n", d.Seq, local(e.Time), d.Kind, detailText(d.Details))
	}
	return err
}

// detailText gives the details of an event as " name=value", by name.
func detailText(details map[string]any) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(details)) {
		text := fmt.Sprint(details[name])
		if f, ok := details[name].(float64); ok {
			text = strconv.FormatFloat(f, 'f', -1, 64)
		}
		if strings.ContainsAny(text, " \t\"") {
			text = strconv.Quote(text)
		}
		fmt.Fprintf(&b, " %s=%s", name, text)
	}
	return b.String()
}
