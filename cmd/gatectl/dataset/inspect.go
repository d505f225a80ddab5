package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/sync/wire"
)

// View is a version that can be looked at: one in a folder, or a file of a box.
type View struct {
	Set     string
	Version uint64
	Blocks  uint64
	Width   int
	KeyID   string
	BaseDay gate.Day
	Lists   []string
	// People is how many there should be; 0 when that is not known.
	People uint64

	scan func(each func(no uint64, entries []entry) error) error
}

// View gives the newest version of a folder.
func (f Folder) View(m wire.Manifest) (View, error) {
	v := View{Set: m.Aud, Version: m.Ver, Blocks: m.Base.Blocks, Width: m.Base.Width, KeyID: m.Base.KeyID, People: m.Base.People}
	var err error
	if v.BaseDay, err = gate.ParseDay(m.Base.BaseDay); err != nil {
		return v, err
	}
	if v.Lists, err = f.Lists(m); err != nil {
		return v, err
	}
	v.scan = func(each func(no uint64, entries []entry) error) error {
		src, err := f.open(m, m.Ver)
		if err != nil {
			return err
		}
		defer src.close()
		for {
			no, entries, ok, err := src.next()
			if err != nil || !ok {
				return err
			}
			if err := each(no, entries); err != nil {
				return err
			}
		}
	}
	return v, nil
}

// FileView gives what is in a set file of a box, and the size of the file.
func FileView(path string) (View, gate.Generation, int64, error) {
	g, size, err := cache.ScanFile(path, nil)
	if err != nil {
		return View{}, g, 0, err
	}
	v := View{
		Set: g.Set, Version: g.Version, Blocks: g.Blocks, Width: g.Width, KeyID: g.KeyID, BaseDay: g.BaseDay, Lists: g.Lists, People: g.People,
	}
	v.scan = func(each func(no uint64, entries []entry) error) error {
		var entries []entry
		_, _, err := cache.ScanFile(path, func(no uint64, value, extras []byte) error {
			entries = appendEntries(entries[:0], wire.Block{No: no, Value: value, Extras: extras}, v.Width)
			return each(no, entries)
		})
		return err
	}
	return v, g, size, nil
}

// Month counts people by the kind of the day that their word names.
type Month struct {
	Year, Month int
	Kinds       [8]int
}

// Histogram is what a version says, counted.
type Histogram struct {
	Counts // only what can be told from a version
	Months []Month
	// What extras say, in people.
	Dates, Tests, Windows, Others int
	Lists                         map[string]int
	// Beyond counts extras that this version cannot read in full.
	Beyond int
}

// Histogram counts what a version says. tick may be nil.
func (v View) Histogram(ctx context.Context, tick func(Progress)) (Histogram, error) {
	h := Histogram{Lists: map[string]int{}}
	for _, l := range v.Lists {
		h.Lists[l] = 0
	}
	months := map[[2]int]*Month{}
	n := 0
	err := v.scan(func(_ uint64, entries []entry) error {
		for _, e := range entries {
			if e.gone {
				continue
			}
			if n++; n%tickPeople == 0 {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if tick != nil {
					tick(Progress{Stage: Counting, People: n, Done: int64(n), Total: int64(v.People)})
				}
			}
			h.tally(e)
			if kind := e.word.Kind(); kind != gate.FactNothing {
				d := (v.BaseDay + gate.Day(e.word.Offset())).Date()
				at := [2]int{d.Year, d.Month}
				if months[at] == nil {
					months[at] = &Month{Year: d.Year, Month: d.Month}
				}
				months[at].Kinds[kind]++
			}
			if err := h.extras(e, v); err != nil {
				return err
			}
		}
		return nil
	})
	for _, at := range slices.SortedFunc(maps.Keys(months), func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1]))
	}) {
		h.Months = append(h.Months, *months[at])
	}
	return h, err
}

func (h *Histogram) extras(e entry, v View) error {
	if len(e.body) == 0 {
		return nil
	}
	var x gate.Extras
	if err := block.DecodeExtras(e.body, v.BaseDay, v.Lists, &x); err != nil {
		return fmt.Errorf("read extras: %w", err)
	}
	count := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	count(&h.Dates, x.FirstDose|x.Completed|x.LastDose|x.Positive|x.Recovered|x.Quarantine != 0)
	count(&h.Tests, x.TestN > 0)
	count(&h.Windows, !x.Window.IsZero())
	count(&h.Others, x.OtherN > 0)
	count(&h.Beyond, x.Beyond)
	seen := map[string]bool{}
	for _, m := range x.Lists[:x.ListN] {
		if !seen[m.List] {
			seen[m.List] = true
			h.Lists[m.List]++
		}
	}
	return nil
}

var errFound = errors.New("found")

// Find looks one person up: what a gate would be told, and whether there are
// check bits.
func (v View) Find(key gate.Key, n gate.Number) (facts gate.Facts, cards bool, err error) {
	no, rem := block.Place(gate.NewPseudonymer(key).Of(n), v.Blocks)
	facts.Base = v.BaseDay
	err = v.scan(func(at uint64, entries []entry) error {
		if at < no {
			return nil
		}
		if at == no {
			for _, e := range entries {
				if e.rem != rem || e.gone {
					continue
				}
				facts.Found, facts.Word, cards = true, e.word, e.check != 0
				if facts.HasExtras = len(e.body) > 0; facts.HasExtras {
					if err := block.DecodeExtras(e.body, v.BaseDay, v.Lists, &facts.Extras); err != nil {
						return err
					}
				}
			}
		}
		return errFound // or past it
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return facts, cards, err
}

// DeltaInfo is what a delta says of itself.
type DeltaInfo struct {
	N, Base, Changes, People uint64
	Size                     int64 // bytes on the wire
}

// DeltaInfos tells of the deltas that a manifest names.
func (f Folder) DeltaInfos(m wire.Manifest) (all []DeltaInfo, err error) {
	for _, ref := range m.Deltas {
		doc, err := f.deltaDoc(ref)
		if err != nil {
			return nil, err
		}
		all = append(all, DeltaInfo{N: doc.N, Base: doc.Base, Changes: doc.Count, People: doc.People, Size: int64(ref.Size) + deltaSize(doc)})
	}
	return all, nil
}

// ReadManifest reads the payload of a signed manifest; the signature is not
// judged.
func ReadManifest(compact []byte) (wire.Manifest, error) { return readManifest(compact) }
