package main

import (
	"cmp"
	"slices"
)

// report is all that a bench found.
type report struct {
	Machine string   `json:"machine"`
	Source  string   `json:"source"` // of the frames
	Runs    int      `json:"runs"`
	Readers []string `json:"readers"`
	// Categories with a code come before those without one, else in the order
	// of the frames.
	Categories       []category `json:"categories"`
	Totals           []category `json:"totals"` // with a code, those of them read by the first, without one
	Tracking         *tracking  `json:"tracking,omitempty"`
	Event            string     `json:"event"` // counted, where it can be
	InstructionsNote string     `json:"instructions_note,omitempty"`
}

// category sums up frames of one kind.
type category struct {
	Name    string  `json:"name"`
	Coded   bool    `json:"coded"`
	Frames  int     `json:"frames"`
	Readers []cell  `json:"readers"` // in the report's order
	Levels  []level `json:"levels,omitempty"`
}

// level is what was read at one level of a category, by each reader, and the
// CPU time of a frame.
type level struct {
	Level  float64   `json:"level"`
	Frames int       `json:"frames"`
	Reads  []int     `json:"reads"`
	CPUms  []float64 `json:"cpu_ms"`
}

// cell is one reader in one category.
type cell struct {
	Reads int `json:"reads"`
	Wrong int `json:"wrong_reads"` // frames in which something else was read
	// CPU is of one frame: the median of the runs' means.
	CPUms float64 `json:"cpu_ms"`
	// Ratio is our CPU time over this reader's.
	Ratio float64 `json:"ours_to_this"`
	// DearestMS is the frame that cost most (its median run), DearestRatio the
	// worst of our time over this reader's on the same frame.
	DearestMS    float64 `json:"dearest_ms"`
	DearestRatio float64 `json:"dearest_ours_to_this"`
	// Allocs is the most that a frame took; -1 where they are not counted.
	Allocs       int64   `json:"allocs"`
	Instructions float64 `json:"instructions,omitempty"`
}

// tracking compares a frame that follows another with a cold one.
type tracking struct {
	Pairs  int     `json:"pairs"`
	Read   int     `json:"read"` // of which both were read, cold and after the other
	ColdMS float64 `json:"cold_ms"`
	NextMS float64 `json:"next_ms"`
	Ratio  float64 `json:"next_to_cold"`
}

// median of a list that is not empty; of an even number, the mean of the two
// in the middle.
func median(v []int64) float64 {
	s := slices.Sorted(slices.Values(v))
	mid := len(s) / 2
	if len(s)%2 == 0 {
		return float64(s[mid-1]+s[mid]) / 2
	}
	return float64(s[mid])
}

// summarise makes the report of what was measured.
func summarise(results []result, readers []string, o options) report {
	r := report{Machine: machine(), Source: o.source(), Runs: o.runs, Readers: readers, Event: o.event}
	groups := map[string][]result{}
	var names []string
	var read []result
	for _, one := range results {
		if one.readers[0].read {
			read = append(read, one)
		}
		name := one.category
		if _, seen := groups[name]; !seen {
			names = append(names, name)
		}
		groups[name] = append(groups[name], one)
	}
	var coded, plain []result
	for _, name := range names {
		c := sum(name, groups[name], len(readers))
		c.Levels = levels(groups[name], len(readers))
		r.Categories = append(r.Categories, c)
		if c.Coded {
			coded = append(coded, groups[name]...)
		} else {
			plain = append(plain, groups[name]...)
		}
	}
	slices.SortStableFunc(r.Categories, func(a, b category) int { return cmp.Compare(rank(a), rank(b)) })
	for _, t := range []struct {
		name string
		list []result
	}{{"all with a code", coded}, {"those that " + readers[0] + " read", read}, {"all without a code", plain}} {
		if len(t.list) > 0 {
			r.Totals = append(r.Totals, sum(t.name, t.list, len(readers)))
		}
	}
	return r
}

func rank(c category) int {
	if c.Coded {
		return 0
	}
	return 1
}

// sum makes one category of results. The first reader is the one that the
// others are compared with.
func sum(name string, results []result, readers int) category {
	c := category{Name: name, Frames: len(results), Readers: make([]cell, readers)}
	for _, one := range results {
		c.Coded = c.Coded || one.coded
	}
	for i := range c.Readers {
		cell := &c.Readers[i]
		var runs []int64
		cell.Allocs = -1
		for _, one := range results {
			o := one.readers[i]
			if o.read {
				cell.Reads++
			}
			if o.wrong {
				cell.Wrong++
			}
			if runs == nil {
				runs = make([]int64, len(o.nanos))
			}
			for k, n := range o.nanos {
				runs[k] += n
			}
			mid := median(o.nanos)
			cell.DearestMS = max(cell.DearestMS, millis(mid))
			cell.DearestRatio = max(cell.DearestRatio, ratio(median(one.readers[0].nanos), mid))
			cell.Allocs = max(cell.Allocs, o.allocs)
		}
		cell.CPUms = millis(median(runs)) / float64(len(results))
		cell.Ratio = ratio(c.Readers[0].CPUms, cell.CPUms)
	}
	return c
}

// levels tells the levels of a category apart, in rising order. A category of
// one level has none.
func levels(results []result, readers int) []level {
	at := map[float64][]result{}
	for _, one := range results {
		at[one.level] = append(at[one.level], one)
	}
	if len(at) < 2 {
		return nil
	}
	list := make([]level, 0, len(at))
	for value, group := range at {
		l := level{Level: value, Frames: len(group)}
		for _, cell := range sum("", group, readers).Readers {
			l.Reads, l.CPUms = append(l.Reads, cell.Reads), append(l.CPUms, cell.CPUms)
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b level) int { return cmp.Compare(a.Level, b.Level) })
	return list
}
