package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/people"
)

// listHelp says what a list of people looks like; build and delta share it.
const listHelp = `A list is CSV with a header line, or JSON lines; "-" is standard input. Only id is needed.

  id                12 digits
  doses             1/2@2021-06-01;2/2@2021-08-10        a dose of a series, and its day
  positive          2021-09-20
  recovered         2021-10-05
  tests             pcr:neg@2021-12-16T08:30:00+07:00    pcr or antigen, neg or pos
  flags             quarantine
  quarantine_until  2021-12-30
  lists             staff;visitors@2021-12-01..2022-01-31 mon-fri 07:30-18:00
  valid_from, valid_to, hours                            the same bounds for the person:
                    2021-12-01, 2022-01-31, mon-fri 07:30-18:00
  facts             school:3@2021-09-01                  provider, its code 0 to 255, a day;
                    also social-security, health-insurance
  name,born,issued  what the card says, for --check-bits: days like 1990-12-31; of a birth
                    1990-12 or 1990 may be known, which gives no check bits

A window of a list has days (either end may be missing), weekdays (mon-fri, sat+sun) and
hours (22:00-06:00 goes over midnight); each may be left out. The deny and watch lists of
the policy are lists like any other.

In JSON lines the same is said by
  {"id":"001090000123","doses":[{"n":1,"of":2,"on":"2021-06-01"}],"pos":{"on":"2021-09-20"},
   "recovered":{"on":"2021-10-05"},"tests":[{"kind":"pcr","result":"neg","sampled":"2021-12-16T08:30:00+07:00"}],
   "flags":["quarantine"],"quarantine_until":"2021-12-30",
   "lists":["staff",{"name":"visitors","from":"2021-12-01","to":"2022-01-31","hours":"mon-fri 07:30-18:00"}],
   "valid_from":"2021-12-01","valid_to":"2022-01-31","hours":"mon-fri 07:30-18:00",
   "facts":[{"by":"school","code":3,"on":"2021-09-01"}],"name":"…","born":"1990-12-31","issued":"2021-08-20"}

Lines that cannot be used are reported with their numbers, never with what they say, and
nothing is written, unless --skip-bad leaves them out. A list that is larger than --memory
is sorted on the disk, under pseudonyms and never under numbers.`

// listFlags are how a list is read.
type listFlags struct {
	form, asOf, memory, tmp string
	settle, workers         int
	dosesExpire, skipBad    bool
	given                   func(flag string) bool
}

func (l *listFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	l.given = f.Changed
	f.StringVar(&l.form, "format", "", "csv or jsonl (default: what the list looks like)")
	f.StringVar(&l.asOf, "as-of", "", "day of the list; what is dated later is ignored (default: today in Vietnam)")
	f.IntVar(&l.settle, "settle", people.DefaultSettle, "days after the completing dose from which it alone counts; at least what policies ask\n(default: as the folder was built before, else 14)")
	f.Lookup("settle").DefValue = "0" // said by the text
	f.BoolVar(&l.dosesExpire, "doses-expire", false, "for policies that set max_dose_age_days or ask for no vaccination: keep the last dose, and\nrecovery and tests of the vaccinated too (default: as the folder was built before)")
	f.StringVar(&l.memory, "memory", "512MiB", "memory to use; what is more is sorted on the disk")
	f.StringVar(&l.tmp, "tmp", "", "folder to sort in (default: the folder that is written to)")
	f.IntVar(&l.workers, "workers", 0, "how many lines to read at the same time (default: one a processor)")
	f.BoolVar(&l.skipBad, "skip-bad", false, "leave out lines that cannot be used")
}

// leastMemory is what sorting needs for anything to fit.
const leastMemory = 16 << 20

// options gives what the flags say of the list.
func (l *listFlags) options(now time.Time, folder string) (o dataset.Options, err error) {
	if l.settle < 0 || l.settle > 365 {
		return o, fmt.Errorf("--settle %d is not within 0 to 365 days", l.settle)
	}
	if l.workers < 0 || l.workers > 256 {
		return o, fmt.Errorf("--workers %d is not within 1 to 256", l.workers)
	}
	if o.Rule, err = l.rule(dataset.NewFolder(folder)); err != nil {
		return o, err
	}
	o.Workers, o.Temp = l.workers, l.tmp
	if o.Temp == "" {
		o.Temp = folder
	}
	if o.Rule.AsOf, err = l.day(now); err != nil {
		return o, err
	}
	if o.Memory, err = parseSize(l.memory); err != nil || o.Memory < leastMemory {
		return o, hint.New("512MiB, for example; 16MiB at least", "--memory: %q is no amount of memory", l.memory)
	}
	return o, nil
}

// rule gives the rule by which people become facts: what the flags say, and for
// the rest that by which the folder was written before. Another one would turn
// the facts of half a nation at once.
func (l *listFlags) rule(folder dataset.Folder) (people.Rule, error) {
	r, err := folder.Rule()
	if err != nil {
		return r, hint.Wrap(err, "without that file --settle and --doses-expire say it")
	}
	if l.given("settle") {
		r.Settle = l.settle
	}
	if l.given("doses-expire") {
		r.DosesExpire = l.dosesExpire
	}
	return r, nil
}

// day gives the day of the list.
func (l *listFlags) day(now time.Time) (gate.Day, error) {
	if l.asOf != "" {
		d, err := gate.ParseDay(l.asOf)
		if err != nil {
			return 0, fmt.Errorf("--as-of: %w", err)
		}
		return d, nil
	}
	zone, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		return 0, fmt.Errorf("find the day in Vietnam: %w", err)
	}
	return gate.DayOf(now.In(zone)), nil
}

// parseSize reads "512MiB", "2GiB" or a number of bytes.
func parseSize(s string) (int64, error) {
	shift := 0
	for unit, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if cut, ok := strings.CutSuffix(s, unit); ok {
			s, shift = strings.TrimSpace(cut), by
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, fmt.Errorf("%q is no size", s)
	}
	return n << shift, nil
}

// read takes the list into the builder and reports what cannot be used.
func (l *listFlags) read(cmd *cobra.Command, builder *dataset.Builder, path string, cards bool) error {
	in, size := cmd.InOrStdin(), int64(0)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read the list: %w", err)
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		in = f
	}
	src, err := people.Open(in, people.Options{Format: people.Format(l.form), Cards: cards})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	bad, err := builder.ReadAll(cmd.Context(), src, size)
	for _, p := range bad {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", path, p)
	}
	if errors.Is(err, dataset.ErrLists) {
		return hint.Wrap(err, fmt.Sprintf("%d are the most; a set of its own has its own lists", gate.MaxListNames))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	n := builder.Bad()
	if rest := n - len(bad); rest > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: and %d more\n", path, rest)
	}
	if n > 0 && !l.skipBad {
		return hint.New("mend the list, or leave these lines out with --skip-bad", "%s cannot be used; nothing was written", count(n, "line"))
	}
	return nil
}

// adviseSpace adds advice to the error of a disk that is full.
func adviseSpace(err error) error {
	if hint.Of(err) != "" {
		return err
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) {
			return hint.Wrap(err, "nothing has changed; make room, or sort on another disk with --tmp FOLDER (25 bytes a person)")
		}
	}
	return err
}

// reportCounts writes what went into a version.
func reportCounts(out io.Writer, c dataset.Counts, asOf gate.Day) {
	line := func(n int, what string) { fmt.Fprintf(out, "%10d  %s\n", n, what) }
	line(c.People, "people")
	for kind := gate.FactNothing; kind <= gate.FactQuarantine; kind++ {
		line(c.ByKind[kind], kind.String())
	}
	line(c.Extras, "of these say more than one date: extras")
	if c.Cards > 0 {
		line(c.Cards, "have check bits of their card")
		line(c.CardTwice, "have none because records name different cards")
	}
	line(c.Duplicates, "duplicates, left out")
	line(c.Conflicts, "people whose records contradict each other: UNKNOWN")
	line(c.Collisions, "collisions of pseudonyms: UNKNOWN")
	line(c.Future, "dates after "+asOf.String()+", ignored")
	line(c.Bad, "lines left out")
}
