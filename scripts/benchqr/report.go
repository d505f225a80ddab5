package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// source says where the frames came from.
func (o options) source() string {
	s := fmt.Sprintf("drawn, seed %d, %d frames a level", o.seed, o.perLevel)
	if o.dir != "" {
		s = filepath.Base(filepath.Clean(o.dir))
	}
	if o.rotate%360 != 0 {
		s += fmt.Sprintf(", turned by %d°", o.rotate)
	}
	return s
}

// machine describes where the bench ran: processor, cores, system.
func machine() string {
	model := runtime.GOARCH
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			name, value, found := strings.Cut(line, ":")
			if name = strings.TrimSpace(name); found && (name == "model name" || name == "Model" || name == "Hardware") {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores, %s/%s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())
}

// print writes the report as tables that a README can hold.
func (r *report) print(w io.Writer, withLevels bool) {
	fmt.Fprintf(w, "%s; frames: %s; process CPU time, median of %d runs side by side", r.Machine, r.Source, r.Runs)
	if r.InstructionsNote != "" {
		fmt.Fprintf(w, "; %s", r.InstructionsNote)
	}
	fmt.Fprint(w, ".\n")
	r.printKind(w, true)
	r.printKind(w, false)
	if t := r.Tracking; t != nil {
		fmt.Fprint(w, "\n| the next frame, the code moved by up to 5 % | pairs read | cold ms | next ms | next / cold |\n|---|---|---|---|---|\n")
		fmt.Fprintf(w, "| ours | %d of %d | %.2f | %.2f | %.2f |\n", t.Read, t.Pairs, t.ColdMS, t.NextMS, t.Ratio)
	}
	if withLevels {
		r.printLevels(w)
	}
}

// printKind writes the table of the frames with a code, or of those without.
func (r *report) printKind(w io.Writer, coded bool) {
	rows := r.rows(coded)
	if len(rows) == 0 {
		return
	}
	head := []string{"frames without a code (n)"}
	if coded {
		head[0] = "frames with a code (n)"
		head = append(head, r.Readers...)
	}
	for _, name := range r.Readers {
		head = append(head, name+" ms")
	}
	for _, name := range r.Readers[1:] {
		head = append(head, r.Readers[0]+" / "+name)
	}
	if !coded {
		head = append(head, "dearest ms")
		for _, name := range r.Readers[1:] {
			head = append(head, "dearest / "+name)
		}
		head = append(head, "wrong reads")
	}
	head = append(head, "allocations")
	if r.InstructionsNote == "" {
		for _, name := range r.Readers {
			head = append(head, name+" M "+strings.TrimSuffix(r.Event, ":u"))
		}
	}
	fmt.Fprintln(w)
	writeRow(w, head)
	writeRow(w, strings.Split(strings.Repeat("---,", len(head)-1)+"---", ","))
	for _, c := range rows {
		writeRow(w, r.row(c))
	}
}

// rows are the categories of a kind and their total.
func (r *report) rows(coded bool) (rows []category) {
	for _, c := range r.Categories {
		if c.Coded == coded {
			rows = append(rows, c)
		}
	}
	if len(rows) < 2 {
		return rows
	}
	for _, c := range r.Totals {
		if c.Coded == coded {
			rows = append(rows, c)
		}
	}
	return rows
}

func (r *report) row(c category) []string {
	row := []string{fmt.Sprintf("%s (%d)", c.Name, c.Frames)}
	if c.Coded {
		for _, cell := range c.Readers {
			reads := strconv.Itoa(cell.Reads)
			if cell.Wrong > 0 {
				reads += fmt.Sprintf(" (%d wrong)", cell.Wrong)
			}
			row = append(row, reads)
		}
	}
	for _, cell := range c.Readers {
		row = append(row, fmt.Sprintf("%.2f", cell.CPUms))
	}
	for _, cell := range c.Readers[1:] {
		row = append(row, fmt.Sprintf("%.2f", cell.Ratio))
	}
	if !c.Coded {
		row = append(row, fmt.Sprintf("%.2f", c.Readers[0].DearestMS))
		for _, cell := range c.Readers[1:] {
			row = append(row, fmt.Sprintf("%.2f", cell.DearestRatio))
		}
		wrong := make([]string, len(c.Readers))
		for i, cell := range c.Readers {
			wrong[i] = strconv.Itoa(cell.Wrong)
		}
		row = append(row, strings.Join(wrong, " / "))
	}
	row = append(row, strconv.FormatInt(c.Readers[0].Allocs, 10))
	if r.InstructionsNote == "" {
		for _, cell := range c.Readers {
			instructions := "–"
			if cell.Instructions > 0 {
				instructions = fmt.Sprintf("%.1f", cell.Instructions/1e6)
			}
			row = append(row, instructions)
		}
	}
	return row
}

// printLevels writes what was read at each level, by each reader, and what it
// took where there is nothing to read.
func (r *report) printLevels(w io.Writer) {
	readers := strings.Join(r.Readers, ", ")
	fmt.Fprintf(w, "\n| category | level: reads of %s, of how many; without a code: ms of %s |\n| --- | --- |\n", readers, readers)
	for _, c := range r.Categories {
		if len(c.Levels) == 0 || strings.HasPrefix(c.Name, "mix") { // the levels of a mix are in no order
			continue
		}
		var parts []string
		for _, l := range c.Levels {
			if c.Coded {
				parts = append(parts, fmt.Sprintf("%.4g: %s of %d", l.Level, strings.Trim(fmt.Sprint(l.Reads), "[]"), l.Frames))
				continue
			}
			parts = append(parts, fmt.Sprintf("%.4g: %s", l.Level, strings.Trim(fmt.Sprintf("%.1f", l.CPUms), "[]")))
		}
		writeRow(w, []string{c.Name, strings.Join(parts, " · ")})
	}
}

// printFrames writes a line for each frame: category, level, number in its
// category, and for each reader whether it was read and its median time in ms.
func printFrames(w io.Writer, results []result, readers []string) {
	fmt.Fprintf(w, "category\tlevel\tnumber\t%s\n", strings.Join(readers, "\t"))
	number := map[string]int{}
	for _, one := range results {
		fmt.Fprintf(w, "%s\t%.4g\t%d", one.category, one.level, number[one.category])
		number[one.category]++
		for _, o := range one.readers {
			verdict := "-"
			switch {
			case o.wrong:
				verdict = "wrong"
			case o.read:
				verdict = "read"
			}
			fmt.Fprintf(w, "\t%s %.2f", verdict, millis(median(o.nanos)))
		}
		fmt.Fprintln(w)
	}
}

// writeRow writes a row of a Markdown table.
func writeRow(w io.Writer, cells []string) {
	fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
}
