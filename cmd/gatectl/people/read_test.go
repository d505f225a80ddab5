package people

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
)

// readAll reads a list to its end: people, and what was wrong with lines.
func readAll(t testing.TB, list string, form Format) (all []Person, bad []string, err error) {
	t.Helper()
	src, err := Open(strings.NewReader(list), form)
	if err != nil {
		return nil, nil, err
	}
	var p Person
	for {
		err := src.Next(&p)
		var le *LineError
		switch {
		case errors.Is(err, io.EOF):
			return all, bad, nil
		case errors.As(err, &le):
			bad = append(bad, le.Error())
		case err != nil:
			return all, bad, err
		default:
			q := p
			q.Doses = append([]Dose(nil), p.Doses...)
			q.Tests = append([]Test(nil), p.Tests...)
			q.Lists = append([]string(nil), p.Lists...)
			all = append(all, q)
		}
	}
}

// number compares whole numbers; gate.Number masks itself when printed.
var numbers = cmp.Comparer(func(a, b gate.Number) bool { return a == b })

var sample = Person{
	Number:   "001090000123",
	Doses:    []Dose{{1, 2, mustDay("2021-06-01")}, {2, 2, mustDay("2021-08-10")}},
	Positive: mustDay("2021-09-20"), Recovered: mustDay("2021-10-05"),
	Tests:      []Test{{PCR: true, Sampled: time.Date(2021, 12, 16, 8, 30, 0, 0, time.FixedZone("", 7*3600))}},
	Quarantine: true, QuarantineUntil: mustDay("2021-12-30"),
	Lists: []string{"staff", "visitors"}, ValidTo: mustDay("2022-01-31"),
}

const header = "id,doses,positive,recovered,tests,flags,quarantine_until,lists,valid_to\n"

func TestBothFormsSayTheSame(t *testing.T) {
	lists := map[Format]string{
		CSV: header + `001090000123,1/2@2021-06-01;2/2@2021-08-10,2021-09-20,2021-10-05,pcr:neg@2021-12-16T08:30:00+07:00,quarantine,2021-12-30,staff;visitors,2022-01-31` + "\n",
		JSONL: `{"id":"001090000123","rev":42,"doses":[{"n":1,"of":2,"on":"2021-06-01"},{"n":2,"of":2,"on":"2021-08-10"}],` +
			`"pos":{"on":"2021-09-20"},"recovered":{"on":"2021-10-05"},"tests":[{"kind":"pcr","result":"neg","sampled":"2021-12-16T08:30:00+07:00"}],` +
			`"flags":["quarantine"],"quarantine_until":"2021-12-30","lists":["staff","visitors"],"valid_to":"2022-01-31","src":"broker","as_of":"2021-12-17T06:00:00+07:00"}` + "\n",
	}
	for form, list := range lists {
		for _, mark := range []string{"", "\xef\xbb\xbf"} {
			for _, named := range []Format{form, ""} {
				all, bad, err := readAll(t, mark+list, named)
				if err != nil || len(bad) > 0 {
					t.Fatalf("%s: %v, %v", form, err, bad)
				}
				if diff := cmp.Diff([]Person{sample}, all, numbers); diff != "" {
					t.Errorf("%s (-want +got):\n%s", form, diff)
				}
			}
		}
	}
}

func TestBadLines(t *testing.T) {
	tests := []struct {
		name string
		form Format
		list string
		good int
		bad  []string
	}{
		{
			"csv", CSV, header +
				"001090000123,,,,,,,,\n" +
				"1090000123,,,,,,,,\n" + // leading zeros lost
				"NGUYEN VAN MAU,,,,,,,,\n" +
				"001090000124,2/2,,,,,,,\n" +
				"001090000124,,31/12/2021,,,,,,\n" +
				"001090000124,,,,pcr:maybe@2021-12-16T08:30:00+07:00,,,,\n" +
				"001090000124,,,,,isolated,,,\n" +
				"001090000124,1/2@1821-06-01,,,,,,,\n" +
				"001090000124,0/2@2021-06-01,,,,,,,\n" +
				"001090000124,,\n" +
				"001090000124,\"a\"b,,,,,,,\n" +
				"\n" +
				"001090000125,,,,,,,,\n",
			2,
			[]string{
				"line 3: id: not 12 digits but 10 characters; a spreadsheet may have dropped leading zeros",
				"line 4: id: not 12 digits but 14 characters",
				"line 5: dose 1: not like 2/2@2021-08-10",
				"line 6: positive: not a date like 2021-12-31",
				"line 7: test 1: the result is neither pos nor neg",
				"line 8: flag 1: unknown; known: quarantine",
				"line 9: dose 1: 1821-06-01 is not within 2000 to 2199",
				"line 10: dose 1: 0/2 is not a number of 1 to 20 in a series of 1 to 10",
				"line 11: 3 cells, the header line has 9",
				"line 12: a quotation mark in the wrong place",
			},
		},
		{
			"jsonl", JSONL, `{"id":"001090000123"}
{"id":1090000123}
{"doses":[]}
{"id":"001090000123","dose":[]}

{"id":"001090000123","doses":[{"n":1,"of":2,"on":"yesterday"}]}
{"id":"001090000123","pos":{"on":""}}
{"id":"001090000123"
{"id":"001090000123"} {"id":"001090000124"}
[]
{"id":"001090000124"}`,
			2,
			[]string{
				"line 2: id: a number is not what belongs here",
				"line 3: id: missing",
				`line 4: unknown member "dose"`,
				"line 6: dose 1: not a date like 2021-12-31",
				"line 7: pos: not a date like 2021-12-31",
				"line 8: not JSON: the line ends too early",
				"line 9: more than one object on the line",
				"line 10: not a JSON object",
			},
		},
		{
			"csv with a quotation mark that is never closed", CSV,
			header + "001090000123,\",,,,,,,\n001090000124,,,,,,,\"staff;visitors\",\n\"001090000125\",,,,,,,,\r\n",
			2,
			[]string{"line 2: a quotation mark in the wrong place"},
		},
		{
			"a line without end", JSONL, `{"id":"001090000123"}` + "\n{" + strings.Repeat(" ", 2*maxLine) + "}\n" + `{"id":"001090000124"}`,
			2,
			[]string{"line 2: longer than 65536 bytes"},
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			all, bad, err := readAll(t, tc.list, tc.form)
			if err != nil {
				t.Fatal(err)
			}
			if len(all) != tc.good {
				t.Errorf("%d people, want %d", len(all), tc.good)
			}
			if diff := cmp.Diff(tc.bad, bad); diff != "" {
				t.Errorf("bad lines (-want +got):\n%s", diff)
			}
			for _, b := range bad {
				if strings.Contains(b, "0900001") || strings.Contains(b, "NGUYEN") {
					t.Errorf("%q quotes the record", b)
				}
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := []struct {
		name, list string
		form       Format
		want       string
	}{
		{"empty", "", "", "the list is empty: a CSV list begins with a header line"},
		{"no id", "doses,positive\n", "", `header line: no column "id"`},
		{"unknown column", "id,dosis\n", "", `header line: unknown column "dosis"; known: id, doses, positive, recovered, tests, flags, quarantine_until, lists, valid_to, name, born, issued`},
		{"twice", "id,id\n", "", `header line: column "id" stands twice`},
		{"utf-16", "\xff\xfei\x00d\x00", "", "the list is UTF-16; save it as UTF-8"},
		{"form", "id\n", "xlsx", `unknown form of list "xlsx"; known: csv, jsonl`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Open(strings.NewReader(tc.list), tc.form)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// FuzzRead holds that no list breaks the reader or makes a person whose number
// or days are not what they say.
func FuzzRead(f *testing.F) {
	f.Add(header + "001090000123,1/2@2021-06-01,,,,,,,\n\"")
	f.Add(`{"id":"001090000123","doses":[{"n":1,"of":2,"on":"2021-06-01"}]}` + "\n{")
	f.Fuzz(func(t *testing.T, list string) {
		all, _, err := readAll(t, list, "")
		if err != nil {
			return
		}
		rule := Rule{AsOf: asOf, Settle: DefaultSettle}
		for i := range all {
			if !all[i].Number.Valid() {
				t.Fatal("a person without a number")
			}
			f, _ := rule.Reduce(&all[i])
			w := f.Word(BaseDay(asOf))
			if f.Extras && w != 1<<15 {
				t.Fatalf("extras with more: %#x", w)
			}
		}
	})
}
