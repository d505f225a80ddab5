package central

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"gateagent/agent/record"
)

// ReportKind names something an operator should know.
type ReportKind string

// The kinds of reports.
const (
	ReportPinned    ReportKind = "pinned"           // a gate's keys are pinned, first seen
	ReportForeign   ReportKind = "foreign_identity" // another identity under a pinned name
	ReportUnknown   ReportKind = "unknown_gate"     // a gate that no list names, or that has not said hello
	ReportSignature ReportKind = "bad_signature"    // a message that its gate did not sign
	ReportMalformed ReportKind = "malformed"        // a message that cannot be understood
	ReportGap       ReportKind = "gap"              // records that have not come
	ReportFork      ReportKind = "fork"             // two histories of one epoch
	ReportEpoch     ReportKind = "new_epoch"        // a new epoch, and what may be missing before it
	ReportTwin      ReportKind = "twin"             // two boxes with one identity
	ReportSink      ReportKind = "sink_failed"      // nothing can be kept
	ReportKeys      ReportKind = "keys_handed"      // a run of a gate was handed keys
	ReportWithheld  ReportKind = "keys_withheld"    // a gate was not, and why
)

// Report is one thing an operator should know. It holds no payload.
type Report struct {
	At     time.Time
	Kind   ReportKind
	Origin record.Origin // zero where it concerns no single gate
	Text   string
	// Epoch concerned; From and To bound the records concerned, To 0 where
	// nobody knows the last.
	Epoch    record.Epoch
	From, To uint64
	// Of a new epoch: the last position kept here, and the last that the box
	// says it could read.
	Known, Declared record.Position
}

// quietFor is how long the same thing of the same gate is not said again.
const quietFor = time.Minute

// maxSayings bounds the memory of what was said.
const maxSayings = 10_000

type saying struct {
	kind   ReportKind
	origin record.Origin
	epoch  record.Epoch
}

// report tells what should be known, once a minute for each kind and gate.
func (c *Central) report(r Report) {
	if r.Kind == "" {
		return
	}
	r.At = c.o.Now()
	key := saying{r.Kind, r.Origin, r.Epoch}
	if last, said := c.said[key]; said && r.At.Sub(last) < quietFor && r.At.Sub(last) >= 0 {
		return
	}
	if len(c.said) >= maxSayings {
		clear(c.said)
	}
	c.said[key] = r.At
	level := slog.LevelWarn
	if r.Kind == ReportPinned || r.Kind == ReportKeys || r.Kind == ReportEpoch && r.To == 0 && r.From == 0 {
		level = slog.LevelInfo // as it should be
	}
	c.log.Log(context.Background(), level, string(r.Kind), "site", r.Origin.Site, "gate", r.Origin.Gate, "text", r.Text)
	if c.o.Report != nil {
		c.o.Report(r)
	}
}

// boots remembers which runs of a gate were heard. A gate that restarts names
// a new boot and never an old one again; two boxes with one identity take
// turns.
type boots struct {
	seen    []boot // oldest first, the one heard last at the end
	returns int
	since   time.Time // of the first return
}

type boot struct {
	id     string
	tokens []string // of its last messages: their nonces and times
}

const (
	maxBoots   = 8
	maxTokens  = 16
	twinWithin = time.Hour // between the first return and the one that proves
	// twinAfter is how many returns prove a twin. One message of an old run
	// that was held up makes two: its own and that of the present run.
	twinAfter = 3
)

// hear notes a message and says whether it proves a twin.
func (b *boots) hear(id, token string, now time.Time) (twin bool) {
	i := slices.IndexFunc(b.seen, func(x boot) bool { return x.id == id })
	if i < 0 {
		b.seen = append(b.seen, boot{id, []string{token}})
		if len(b.seen) > maxBoots {
			b.seen = b.seen[1:]
		}
		return false
	}
	heard := b.seen[i]
	if slices.Contains(heard.tokens, token) {
		return false // the same message again
	}
	if heard.tokens = append(heard.tokens, token); len(heard.tokens) > maxTokens {
		heard.tokens = heard.tokens[1:]
	}
	if i == len(b.seen)-1 {
		b.seen[i] = heard
		return false
	}
	b.seen = append(slices.Delete(b.seen, i, i+1), heard)
	if b.returns == 0 || now.Sub(b.since) > twinWithin {
		b.returns, b.since = 0, now
	}
	b.returns++
	return b.returns >= twinAfter
}

func (c *Central) seen(o record.Origin, id, token string) {
	if g := c.gate(o); g.boots.hear(id, token, c.o.Now()) {
		g.twin = c.o.Now()
		c.report(Report{Kind: ReportTwin, Origin: o, Text: "two runs of the box take turns under one identity: a copy of it is at work"})
	}
}
