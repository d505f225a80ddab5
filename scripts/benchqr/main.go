// Command benchqr measures QR readers beside each other: this project's, plain
// gozxing, and zxing-cpp and zbar where Debian's libzxing-dev and libzbar-dev
// are. `make bench-qr` runs it.
//
// Every reader is a process of its own, gets the same grey frames one after the
// other, and measures its own CPU time around the reading alone. For each frame
// all readers take turns, five times over; what is said of a category is the
// median of its five runs. A read counts when every code of the frame gave its
// exact text; any other text is a wrong read. Ratios hold on a busy machine,
// milliseconds do not.
//
// Without --dir it draws its own frames (driver/qr/qrframes) for a seed. With
// it, the folder holds framegen's meta.tsv or a .txt beside each picture; a
// picture without one holds no code.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
)

// options are the flags.
type options struct {
	dir      string
	seed     uint64
	perLevel int
	only     string
	rotate   int
	readers  string
	runs     int
	install  bool
	levels   bool
	list     bool
	write    string
	json     bool
	event    string
	sheet    string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "", "folder of pictures with meta.tsv or .txt files; without it frames are drawn")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the drawn frames")
	flag.IntVar(&o.perLevel, "frames", 3, "drawn frames of each level")
	flag.StringVar(&o.only, "only", "", "only categories whose name starts with one of these, comma between them")
	flag.IntVar(&o.rotate, "rotate", 0, "turn pictures by 90, 180 or 270 degrees")
	flag.StringVar(&o.readers, "readers", "ours,zxing-cpp,zbar,gozxing", "whom to measure, ours first")
	flag.IntVar(&o.runs, "runs", 5, "runs side by side")
	flag.BoolVar(&o.install, "install", true, "install missing libraries of the peers with apt-get when root")
	flag.BoolVar(&o.levels, "levels", false, "also say what was read, or what it took, at each level")
	flag.BoolVar(&o.list, "list", false, "a line for each frame instead of tables")
	flag.StringVar(&o.write, "write", "", "write the frames into this folder (PGM and meta.tsv, for --dir) and measure nothing")
	flag.BoolVar(&o.json, "json", false, "results as JSON")
	flag.StringVar(&o.event, "event", "instructions:u", "what perf stat counts of each frame, where it can")
	flag.StringVar(&o.sheet, "sheet", "", "draw one frame of each level of the drawn categories into this folder (PNG, a sheet a category) and measure nothing")
	served := flag.String("serve", "", "be the named reader on standard input and output (used by benchqr itself)")
	flag.Parse()
	var err error
	switch {
	case *served == ours:
		err = serve(os.Stdin, os.Stdout, newOwn())
	case *served != "":
		err = fmt.Errorf("no reader %q to serve", *served)
	case o.write != "":
		err = write(o)
	case o.sheet != "":
		err = contactSheets(o)
	default:
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	if o.runs < 1 || o.perLevel < 1 {
		return errors.New("at least one run and one frame are needed")
	}
	if o.rotate%90 != 0 {
		return fmt.Errorf("turn by %d degrees: only quarter turns are possible", o.rotate)
	}
	corpus, err := load(o)
	if err != nil {
		return err
	}
	b := bench{runs: o.runs, turns: (o.rotate/90%4 + 4) % 4, note: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "benchqr: "+format+"\n", args...)
	}}
	defer b.close()
	if err := b.open(strings.Split(o.readers, ","), o.install); err != nil {
		return err
	}
	results, err := b.measure(corpus)
	if err != nil {
		return err
	}
	if o.list {
		printFrames(os.Stdout, results, b.names())
		return nil
	}
	report := summarise(results, b.names(), o)
	if o.dir == "" {
		if report.Tracking, err = b.tracking(o); err != nil {
			return err
		}
	}
	if report.InstructionsNote, err = b.instructions(corpus, &report, o.event); err != nil {
		return err
	}
	if o.json {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	report.print(os.Stdout, o.levels)
	return nil
}
