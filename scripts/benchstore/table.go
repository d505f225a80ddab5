package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"gateagent/cache/block"
)

// row is one figure and the bar it is held to.
type row struct {
	What  string  `json:"what"`
	Value float64 `json:"value"`
	Bar   float64 `json:"bar,omitempty"` // 0 with Judged: none may be there
	Unit  string  `json:"unit"`
	// Judged is false for figures that no bar is set for.
	Judged bool   `json:"judged"`
	Note   string `json:"note,omitempty"`
}

func (r row) ok() bool { return !r.Judged || r.Value <= r.Bar }

type table struct {
	people uint64
	first  int // pages of a first cold look-up without extras
	rows   []row
}

func newTable(people uint64) *table { return &table{people: people} }

func (t *table) ok() bool {
	for _, r := range t.rows {
		if !r.ok() {
			return false
		}
	}
	return true
}

// most adds a figure that a bar is set for, told a figure without one.
func (t *table) most(what string, value, bar float64, unit string) {
	t.rows = append(t.rows, row{What: what, Value: value, Bar: bar, Unit: unit, Judged: true})
}

func (t *table) told(what string, value float64, unit string) {
	t.rows = append(t.rows, row{What: what, Value: value, Unit: unit})
}

func (t *table) note(what, note string) { t.rows = append(t.rows, row{What: what, Note: note}) }

func (t *table) each(bytes int64) float64 { return float64(bytes) / float64(t.people) }

const mebi = 1 << 20

// nationwide is from how many people on a day's changes are so many that the
// tables of their codes cost nothing to speak of.
const nationwide = 10_000_000

// small is up to how many people the tree of a set is one page less deep.
const small = 20_000_000

func (t *table) plain(r result) {
	t.most("file, 7-byte records", t.each(r.File), 8.0, "B/person")
	t.most("overflow pages of the main bucket", float64(r.Overflow), 0, "")
	t.told("leaves full", 100*r.LeafUse, "%")
	t.most("build on the box: anonymous memory", float64(r.Anonymous)/mebi, 40, "MiB")
	t.most("build on the box: written", float64(r.Written)/float64(r.File), 1.03, "× file")
	t.told("build on the box", r.Seconds, "s")
}

func (t *table) look(cold, warm result) {
	first := 4.0
	if t.people <= small {
		first = 3
	}
	t.most("opening: pages", float64(cold.OpenPages), 8, "")
	t.first = cold.FirstPages
	t.most("first cold look-up: pages", float64(cold.FirstPages), first, "")
	t.most("cold look-ups 2001 to 3000: pages each", cold.LaterPages, 1.1, "")
	t.most("anonymous memory while deciding", float64(cold.Anonymous)/mebi, 32, "MiB")
	t.most("wrong answers", float64(cold.Wrong+warm.Wrong), 0, "")
	t.most("warm look-up: allocations", warm.Allocations, 0, "")
	t.most("warm look-up without the HMAC, p50", ratio(warm.P50, warm.Search50), 3, "× binary search")
	t.most("warm look-up without the HMAC, p99", ratio(warm.P99, warm.Search99), 3, "× binary search")
	t.note("", fmt.Sprintf("look-up %v / %v, HMAC %v, slices.BinarySearch %v / %v", warm.P50, warm.P99, warm.HMAC, warm.Search50, warm.Search99))
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, 1)) }

func (t *table) delta(r result) {
	// The bar is that of 98 million people; fewer changes do not write less
	// than a page or two a message.
	t.most("a day's changes in 288 messages: written", float64(r.Written)/1e6, 25, "MB")
	t.told("of that, for each change", float64(r.Written)/float64(max(r.Changes, 1)), "B")
	t.told("changes", float64(r.Changes), "")
	t.told("overlay in memory", float64(r.OverlayBytes)/float64(max(r.Changes, 1)), "B/change")
	t.told("opened again with them", r.Replay.Seconds(), "s")
}

func (t *table) checked(r result) {
	t.most("file with check bits", t.each(r.File), 10.2, "B/person")
	t.most("overflow pages with check bits", float64(r.Overflow), 0, "")
}

func (t *table) extras(built, cold, warm result) {
	t.most("file, one person in ten with extras", t.each(built.File), 12, "B/person")
	t.most("build with extras: anonymous memory", float64(built.Anonymous)/mebi, 40, "MiB")
	t.most("build with extras: written", float64(built.Written)/float64(built.File), 1.03, "× file")
	t.most("first cold look-up with extras: pages", float64(cold.FirstPages), float64(t.first+2), "")
	t.most("opening with extras: pages", float64(cold.OpenPages), 8, "")
	t.most("look-up with extras: allocations", warm.Allocations, 0, "")
	t.most("wrong answers with extras", float64(cold.Wrong+warm.Wrong), 0, "")
}

func (t *table) on386(r result, err error) {
	if errors.Is(err, errNo386) {
		t.note("32 bits", "not measured: "+err.Error())
		return
	}
	if err != nil {
		t.rows = append(t.rows, row{What: "32 bits", Value: 1, Judged: true, Note: err.Error()})
		return
	}
	t.most("32 bits, 3 GB of addresses: wrong answers of 200,000", float64(r.Wrong), 0, "")
	t.told("32 bits: files", float64(r.Files), "")
	t.most("32 bits: anonymous memory", float64(r.Anonymous)/mebi, 40, "MiB")
}

func (t *table) wire(w onWire) {
	each := func(bytes uint64) float64 { return float64(bytes) / float64(w.People) }
	words := each(w.Words - w.Bare)
	t.most("on the wire: pseudonyms", each(w.Bare), 4.7, "B/person")
	t.most("on the wire: fact words", words/(w.Entropy/8), 1.05, "× entropy")
	t.note("", fmt.Sprintf("%.3f B a word, entropy %.3f bits; %d chunks", words, w.Entropy, w.Chunks))
	t.most("on the wire: check bits", each(w.Checked-w.Words), 2.05, "B/person") // 2.0, and heads of more chunks
	rank := float64(w.Delta) / float64(w.DeltaChanges)
	if what := "a day's changes in one message, by rank"; t.people < nationwide {
		t.told(what, rank, "B/change")
	} else {
		t.most(what, rank, 2.5, "B/change")
	}
	t.told("in 288 messages", float64(w.DeltaDay)/float64(w.DeltaChanges), "B/change")
}

func (t *table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%d people, records in blocks of %d\t\tbar\t\n", t.people, block.PerBlock)
	for _, r := range t.rows {
		bar, verdict := "", ""
		if r.Judged {
			bar = fmt.Sprintf("≤ %.4g", r.Bar)
			if !r.ok() {
				verdict = "MISSED"
			}
		}
		value := fmt.Sprintf("%.4g %s", r.Value, r.Unit)
		if r.Note != "" {
			value = r.Note
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.What, value, bar, verdict)
	}
	_ = w.Flush() // a broken pipe has no reader to tell
}
