// Package demo shows the whole of Gateagent on one machine: a broker, a
// central with 100,000 fictional people, and the real gateagent program, which
// reads rendered camera frames and decides.
//
// It owns the fictional people, the truth about what the gate must answer them
// (written down by hand, not computed by the program's own rules), the feeding
// of frames, and the comparison at the end. Everything else is what the
// product uses. All people are made up.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/localapi"
)

// Options of a demo.
type Options struct {
	// Agent is the path of the gateagent program.
	Agent string
	// Once ends the demo after the comparison, with the summary as JSON in the
	// last line; else it goes on until ctx ends.
	Once bool
	// Each is how often each row of the truth comes at each level; 0: 2.
	Each int
	// Seed fixes people, order and pictures; 0: 1.
	Seed uint64
	// Broker is the URL of a broker to use; empty: an embedded one.
	Broker string
	// Keep leaves the folder with all files of box and central.
	Keep bool
	Out  io.Writer
}

// Summary is what a demo found.
type Summary struct {
	Scans        int            `json:"scans"`         // presented, those without a code included
	Decisions    int            `json:"decisions"`     // entries
	Unread       int            `json:"unread"`        // readable frames that were not read
	Wrong        int            `json:"wrong"`         // verdicts unlike the truth
	ByVerdict    map[string]int `json:"by_verdict"`    // entries
	EntriesAcked int            `json:"entries_acked"` // by central
	Mismatches   int            `json:"mismatches"`    // records that gate and central do not share
	P50          float64        `json:"decision_ms_p50"`
	P99          float64        `json:"decision_ms_p99"`
}

// Good says whether the demo showed what it should.
func (s Summary) Good() bool {
	return s.Unread == 0 && s.Wrong == 0 && s.Mismatches == 0 && s.EntriesAcked == s.Decisions
}

const (
	site    = "demo"
	gateID  = "gate-1"
	setName = "vn"
)

// Run runs the demo. The error says why it could not; a demo that ran and
// found something wrong gives its summary and no error.
func Run(ctx context.Context, o Options) (Summary, error) {
	if o.Each == 0 {
		o.Each = 2
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	dir, err := os.MkdirTemp("", "gateagent-demo-")
	if err != nil {
		return Summary{}, fmt.Errorf("make a folder for the demo: %w", err)
	}
	if o.Keep {
		fmt.Fprintf(o.Out, "files stay in %s\n", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	d := &demo{Options: o, dir: dir, zone: time.FixedZone("UTC+7", 7*60*60), summary: Summary{ByVerdict: map[string]int{}}}
	return d.run(ctx)
}

// demo is one run.
type demo struct {
	Options
	dir     string
	zone    *time.Location
	world   *world // broker and central
	box     *box   // the agent
	summary Summary
	took    []float64 // decision times, ms
	showing time.Duration
}

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.Out, format+"\n", args...) }

// step says what is done and how long it took.
func (d *demo) step(what string, do func() error) error {
	start := time.Now()
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	d.say("  %-58s %5.1f s", what, time.Since(start).Seconds())
	return nil
}

func (d *demo) run(ctx context.Context) (s Summary, err error) {
	today := time.Now().In(d.zone)
	rounds := [][]visitor{visitors(d.Seed, 1, d.Each), visitors(d.Seed, 2, d.Each)}
	d.say("Gateagent demo: a broker, a central, a gate. All people are made up.\n")
	defer func() { err = errors.Join(err, d.stop()) }()
	steps := []struct {
		what string
		do   func() error
	}{
		{"broker and central start", func() error { return d.startWorld(ctx) }},
		{"passports and passes of the visitors are signed", func() error { return d.world.equip(rounds) }},
		{"trust list and policy at level 3 are signed and published", func() error { return d.world.publishRules(ctx) }},
		{fmt.Sprintf("%d people are reduced, signed and published", crowd+listed(rounds)), func() error {
			return d.world.publishPeople(ctx, d.Seed, today, slices.Concat(rounds...))
		}},
		{"gateagent starts, takes keys, data, policy and time", func() error { return d.startBox(ctx) }},
	}
	for _, s := range steps {
		if err := d.step(s.what, s.do); err != nil {
			return d.summary, err
		}
	}
	d.say("\n  page of this gate: http://%s/\n", d.box.page)
	for i, level := range []int{3, 4} {
		if i > 0 {
			if err := d.step("policy of level 4 is published; the gate's state names it", func() error { return d.world.raiseLevel(ctx, level) }); err != nil {
				return d.summary, err
			}
		}
		d.say("\nlevel %d\n  %-12s %-8s %-12s %9s  %s", level, "verdict", "class", "credential", "ms", "who")
		for _, v := range rounds[i] {
			for _, one := range v.shows() {
				if err := d.present(ctx, one, level); err != nil {
					return d.summary, err
				}
			}
		}
	}
	if err := d.compare(ctx); err != nil {
		return d.summary, err
	}
	d.conclude()
	if d.Once {
		return d.summary, nil
	}
	return d.summary, d.goOn(ctx, rounds[1])
}

// listed counts the visitors who are on the list.
func listed(rounds [][]visitor) int {
	n := 0
	for _, v := range slices.Concat(rounds...) {
		if v.row.facts != nil {
			n++
		}
	}
	return n
}

// present holds a visitor before the camera until the gate has answered, and
// judges the answer.
func (d *demo) present(ctx context.Context, v *visitor, level int) error {
	start := time.Now()
	got, err := d.box.show(ctx, v)
	if err != nil {
		return err
	}
	d.showing += time.Since(start)
	if n := d.box.leftover(); n > 0 {
		d.summary.Wrong += n
		d.say("  %d decisions too many for %s   <- WRONG", n, v.row.name)
	}
	d.summary.Scans++
	if got == nil {
		switch {
		case v.row.none:
			d.say("  %-12s %-8s %-12s %9s  %s", "-", "-", "-", "-", v.row.name)
		case v.row.show == damaged:
			d.summary.Wrong++
			d.say("  %-12s %-8s %-12s %9s  %s   <- WRONG: nothing decided", "-", "-", "-", "-", v.row.name)
		default:
			d.summary.Unread++
			d.say("  %-12s %-8s %-12s %9s  %s   <- UNREAD", "-", "-", "-", "-", v.row.name)
		}
		return nil
	}
	d.took = append(d.took, got.LatencyMS.Total)
	note := ""
	switch want := v.row.want(level); {
	case v.row.none:
		note = "   <- WRONG: nothing was shown"
	case got.Verdict != want.String():
		note = "   <- WRONG: the truth is " + want.String()
	case v.row.says(level) != "" && got.Text.EN != v.row.says(level):
		note = fmt.Sprintf("   <- WRONG: it says %q", got.Text.EN)
	case v.row.show == card && got.Subject != d.world.subject(v.number):
		note = "   <- WRONG: another person"
	case want.Opens() != got.Opened:
		note = "   <- WRONG: the relay disagrees"
	}
	if note != "" {
		d.summary.Wrong++
	}
	if note == "" && v.row.says(level) != "" {
		note = "   “" + got.Text.EN + "”"
	}
	d.say("  %-12s %-8s %-12s %9.1f  %s%s", got.Verdict, got.Class, got.Credential, got.LatencyMS.Total, v.row.name, note)
	return nil
}

// goOn shows people until ctx ends.
func (d *demo) goOn(ctx context.Context, come []visitor) error {
	d.say("\nThe gate goes on; its page is http://%s/ . Ctrl-C ends the demo.\n", d.box.page)
	r := rand.New(rand.NewPCG(d.Seed, 99))
	var err error
	for err == nil {
		for _, v := range come[r.IntN(len(come))].shows() {
			var got *decision
			if got, err = d.box.show(ctx, v); err != nil {
				break
			}
			if got != nil {
				d.say("  %-12s %-8s %-12s %9.1f  %s", got.Verdict, got.Class, got.Credential, got.LatencyMS.Total, v.row.name)
			}
		}
		err = errors.Join(err, d.box.idle(ctx, 2*time.Second))
	}
	if ctx.Err() != nil { // the user has seen enough
		err = nil
	}
	return err
}

// conclude prints the summary.
func (d *demo) conclude() {
	slices.Sort(d.took)
	d.summary.P50, d.summary.P99 = quantile(d.took, 0.50), quantile(d.took, 0.99)
	s := d.summary
	d.say("\n%d scans, %d entries, %d acknowledged by central; unread %d, wrong %d, mismatches %d", s.Scans, s.Decisions, s.EntriesAcked, s.Unread, s.Wrong, s.Mismatches)
	for _, v := range gate.Verdicts() {
		d.say("  %-12s %4d", v, s.ByVerdict[v.String()])
	}
	d.say("frame handed over to relay told (or verdict shown): p50 %.1f ms, p99 %.1f ms", s.P50, s.P99)
	d.say("%.0f people a minute, with an empty lane of %v between two", float64(s.Scans)/d.showing.Minutes(), gap)
	if !s.Good() {
		d.say("THE DEMO FOUND SOMETHING WRONG")
	}
}

// quantile gives the value that the share q does not exceed.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return sorted[i]
}

// WriteJSON writes the summary in one line.
func (s Summary) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(s) }

func (d *demo) stop() error {
	var errs []error
	if d.box != nil {
		errs = append(errs, d.box.stop())
	}
	if d.world != nil {
		errs = append(errs, d.world.stop())
	}
	return errors.Join(errs...)
}

// decision is one answer of the gate.
type decision = localapi.Decision
