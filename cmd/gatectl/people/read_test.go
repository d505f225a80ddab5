package people

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gateagent/agent/gate"
	"gateagent/agent/hostile"
)

// readAll reads a list to its end: people, and what was wrong with lines.
func readAll(t testing.TB, list string, o Options) (all []Person, bad []string, err error) {
	t.Helper()
	l, err := Open(strings.NewReader(list), o)
	if err != nil {
		return nil, nil, err
	}
	x := l.Parser()
	for b := new(Batch); ; {
		if err := l.Next(b); errors.Is(err, io.EOF) {
			return all, bad, nil
		} else if err != nil {
			return all, bad, err
		}
		for p, problem := range x.People(b) {
			if problem != nil {
				bad = append(bad, problem.String())
				continue
			}
			q := *p
			q.Doses = append([]Dose(nil), p.Doses...)
			q.Tests = append([]Test(nil), p.Tests...)
			q.Lists = append([]gate.Membership(nil), p.Lists...)
			q.Others = append([]gate.Other(nil), p.Others...)
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
	Tests:      []Test{{Kind: gate.TestPCR, Sampled: time.Date(2021, 12, 16, 8, 30, 0, 0, time.FixedZone("", 7*3600))}},
	Quarantine: true, QuarantineUntil: mustDay("2021-12-30"),
	Lists:  []gate.Membership{{List: "staff"}, {List: "visitors"}},
	Window: gate.Window{To: mustDay("2022-01-31")},
}

const heads = "id,doses,positive,recovered,tests,flags,quarantine_until,lists,valid_to\n"

func TestBothFormsSayTheSame(t *testing.T) {
	lists := map[Format]string{
		CSV: heads + `001090000123,1/2@2021-06-01;2/2@2021-08-10,2021-09-20,2021-10-05,pcr:neg@2021-12-16T08:30:00+07:00,quarantine,2021-12-30,staff;visitors,2022-01-31` + "\n",
		JSONL: `{"id":"001090000123","rev":42,"doses":[{"n":1,"of":2,"on":"2021-06-01"},{"n":2,"of":2,"on":"2021-08-10"}],` +
			`"pos":{"on":"2021-09-20"},"recovered":{"on":"2021-10-05"},"tests":[{"kind":"pcr","result":"neg","sampled":"2021-12-16T08:30:00+07:00"}],` +
			`"flags":["quarantine"],"quarantine_until":"2021-12-30","lists":["staff","visitors"],"valid_to":"2022-01-31","src":"broker","as_of":"2021-12-17T06:00:00+07:00"}` + "\n",
	}
	for form, list := range lists {
		for _, mark := range []string{"", "\xef\xbb\xbf"} {
			for _, named := range []Format{form, ""} {
				all, bad, err := readAll(t, mark+list, Options{Format: named})
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
			"csv", CSV, heads +
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
			heads + "001090000123,\",,,,,,,\n001090000124,,,,,,,\"staff;visitors\",\n\"001090000125\",,,,,,,,\r\n",
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
			all, bad, err := readAll(t, tc.list, Options{Format: tc.form})
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
		{"unknown column", "id,dosis\n", "", `header line: unknown column "dosis"; known: id, doses, positive, recovered, tests, flags, quarantine_until, lists, valid_to, name, born, issued, valid_from, hours, facts`},
		{"twice", "id,id\n", "", `header line: column "id" stands twice`},
		{"utf-16", "\xff\xfei\x00d\x00", "", "the list is UTF-16; save it as UTF-8"},
		{"form", "id\n", "xlsx", `unknown form of list "xlsx"; known: csv, jsonl`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Open(strings.NewReader(tc.list), Options{Format: tc.form})
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
}

// FuzzRead holds that no list breaks the reader or makes a person whose number
// or days are not what they say.
func FuzzRead(f *testing.F) {
	f.Add(heads + "001090000123,1/2@2021-06-01,,,,,,,\n\"")
	f.Add(`{"id":"001090000123","doses":[{"n":1,"of":2,"on":"2021-06-01"}]}` + "\n{")
	for _, p := range hostile.Payloads("/tmp/canary") {
		f.Add(heads + "001090000123,1/2@2021-06-01,,,,\"" + strings.ReplaceAll(p.Text, "\"", "\"\"") + "\",,,\n")
	}
	f.Fuzz(func(t *testing.T, list string) {
		all, _, err := readAll(t, list, Options{})
		if err != nil {
			return
		}
		rule := Rule{AsOf: asOf, Settle: DefaultSettle}
		for i := range all {
			if !all[i].Number.Valid() {
				t.Fatal("a person without a number")
			}
			var e gate.Extras
			f, _ := rule.Reduce(&all[i], &e)
			if f.Word(BaseDay(asOf)).Extras() != (e != gate.Extras{}) {
				t.Fatalf("%+v with extras %+v", f, e)
			}
			if e.Beyond {
				t.Fatal("more extras than there is room for")
			}
		}
	})
}

// TestWindows: the bounds of a list and of a person, in both forms.
func TestWindows(t *testing.T) {
	dec := gate.Window{From: mustDay("2021-12-01"), To: mustDay("2022-01-31"), Weekdays: 0b11111, Start: 7*60 + 30, End: 18 * 60}
	for _, tc := range []struct {
		text string
		want gate.Window
	}{
		{"2021-12-01..2022-01-31 mon-fri 07:30-18:00", dec},
		{"07:30-18:00 mon+tue+wed+thu+fri 2021-12-01..2022-01-31", dec},
		{"2021-12-01..", gate.Window{From: mustDay("2021-12-01")}},
		{"..2022-01-31", gate.Window{To: mustDay("2022-01-31")}},
		{"sat-mon+wed", gate.Window{Weekdays: 0b1100101}},
		{"22:00-06:00", gate.Window{Start: 22 * 60, End: 6 * 60}},
		{"18:00-24:00", gate.Window{Start: 18 * 60, End: 24 * 60}},
		{"mon-sun 00:00-24:00", gate.Window{}},
	} {
		all, bad, err := readAll(t, "id,lists\n001090000123,first;staff@"+tc.text+"\n", Options{})
		if err != nil || len(bad) > 0 || len(all) != 1 || len(all[0].Lists) != 2 {
			t.Errorf("%q: %v, %v", tc.text, err, bad)
			continue
		}
		if diff := cmp.Diff(gate.Membership{List: "staff", Window: tc.want}, all[0].Lists[1]); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tc.text, diff)
		}
	}
	for text, want := range map[string]string{
		"":                             "nothing behind the @",
		"..":                           "days like 2021-12-01..2022-01-31 need one end at least",
		"2022-01-31..2021-12-01":       "it ends on 2021-12-01, before it begins",
		"2021-13-01..":                 "not a date like 2021-12-31",
		"2021-12-01.. ..2022-01-31":    "days stand twice",
		"mon tue":                      "weekdays stand twice",
		"monday":                       "not weekdays like mon-fri or mon+wed, nor hours like 07:30-18:00",
		"07:30-18:00 19:00-20:00":      "hours stand twice",
		"7:30-18:00":                   "not hours like 07:30-18:00",
		"24:00-08:00":                  "not hours like 07:30-18:00",
		"08:00-08:00":                  "hours that end when they begin",
		"08:00":                        "not hours like 07:30-18:00",
		"24:01-25:00":                  "not hours like 07:30-18:00",
		"2021-12-01..2021-12-31 hours": "not weekdays like mon-fri or mon+wed, nor hours like 07:30-18:00",
	} {
		_, bad, err := readAll(t, "id,lists\n001090000123,staff@"+text+"\n", Options{})
		if err != nil || len(bad) != 1 || bad[0] != "line 2: list 1: "+want {
			t.Errorf("%q: %v, %v; want %q", text, err, bad, want)
		}
	}
	own := gate.Window{From: mustDay("2021-12-01"), To: mustDay("2022-01-31"), Weekdays: 0b11111, Start: 8 * 60, End: 17 * 60}
	want := Person{
		Number: "001090000123", Window: own, Lists: []gate.Membership{{List: "staff", Window: dec}, {List: "parking"}},
		Others: []gate.Other{
			{Provider: gate.ProviderSchool, Code: 3, Day: mustDay("2021-09-01")}, {Provider: gate.ProviderSocialSecurity, Code: 0},
		},
		Name: "Nguyễn Văn Mẫu", Born: gate.Date{Year: 1990, Month: 7}, Issued: gate.Date{Year: 2021, Month: 8, DayOfMonth: 20},
	}
	for form, list := range map[Format]string{
		CSV: "id,lists,valid_from,valid_to,hours,facts,name,born,issued\n" +
			"001090000123,staff@2021-12-01..2022-01-31 mon-fri 07:30-18:00;parking,2021-12-01,2022-01-31,mon-fri 08:00-17:00," +
			"school:3@2021-09-01;social-security:0,Nguyễn Văn Mẫu,1990-07,2021-08-20\n",
		JSONL: `{"id":"001090000123","lists":[{"name":"staff","from":"2021-12-01","to":"2022-01-31","hours":"mon-fri 07:30-18:00"},"parking"],` +
			`"valid_from":"2021-12-01","valid_to":"2022-01-31","hours":"mon-fri 08:00-17:00",` +
			`"facts":[{"by":"school","code":3,"on":"2021-09-01"},{"by":"social-security","code":0}],` +
			`"name":"Nguyễn Văn Mẫu","born":"1990-07-00","issued":"2021-08-20"}`,
	} {
		all, bad, err := readAll(t, list, Options{Cards: true})
		if err != nil || len(bad) > 0 {
			t.Fatalf("%s: %v, %v", form, err, bad)
		}
		if diff := cmp.Diff([]Person{want}, all, numbers, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
		all, _, _ = readAll(t, list, Options{})
		if len(all) != 1 || all[0].Name != "" || !all[0].Born.IsZero() {
			t.Errorf("%s: what the card says was read without being asked for", form)
		}
	}
}

// TestBadExtras: what goes wrong beyond PAYLOADS §6 names its line and quotes
// no cell.
func TestBadExtras(t *testing.T) {
	list := "id,lists,valid_from,valid_to,hours,facts,name,born,issued\n" +
		"001090000123,Nguyen Van Mau,,,,,,,\n" +
		"001090000123,a;a,,,,,,,\n" +
		"001090000123,a;b;c;d;e;f;g;h;i,,,,,,,\n" +
		"001090000123,,2022-01-01,2021-01-01,,,,,\n" +
		"001090000123,,,,always,,,,\n" +
		"001090000123,,,,,church:1,,,\n" +
		"001090000123,,,,,school:256,,,\n" +
		"001090000123,,,,,school:1@,,,\n" +
		"001090000123,,,,,school:1;school:1,,,\n" +
		"001090000123,,,,,,,1990-02-30,\n" +
		"001090000123,,,,,,,,20/08/2021\n" +
		"001090000123,,,,,," + strings.Repeat("M", 300) + ",,\n"
	want := []string{
		"line 2: list 1: a name of a list is like staff or visitors-2: a to z, 0 to 9, -, at most 32 characters",
		"line 3: list 2: stands twice",
		"line 4: more than 8 lists",
		"line 5: valid_to: it ends on 2021-01-01, before it begins",
		"line 6: hours: not weekdays like mon-fri or mon+wed, nor hours like 07:30-18:00",
		"line 7: fact 1: the provider is none of social-security, health-insurance, school",
		"line 8: fact 1: not like school:3@2021-09-01, the code 0 to 255",
		"line 9: fact 1: nothing behind the @",
		"line 10: fact 2: stands twice",
		"line 11: born: not a date like 1990-12-31, nor 1990-12 or 1990 where the rest is unknown",
		"line 12: issued: not a date like 1990-12-31, nor 1990-12 or 1990 where the rest is unknown",
		"line 13: name: longer than 256 bytes",
	}
	all, bad, err := readAll(t, list, Options{Cards: true})
	if err != nil || len(all) != 0 {
		t.Fatalf("%v, %d people", err, len(all))
	}
	if diff := cmp.Diff(want, bad); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	jsons := `{"id":"001090000123","lists":[{"name":"staff","until":"2021-12-01"}]}
{"id":"001090000123","lists":[7]}
{"id":"001090000123","facts":[{"by":"school"}]}
{"id":"001090000123","facts":[{"by":"school","code":1090000123}]}
{"id":"001090000123","born":1990}`
	want = []string{
		`line 1: list 1: unknown member "until"`,
		"line 2: list 1: not a JSON object",
		"line 3: fact 1: no code",
		"line 4: facts.code: a number is not what belongs here",
		"line 5: born: not a text",
	}
	_, bad, err = readAll(t, jsons, Options{Cards: true})
	if diff := cmp.Diff(want, bad); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := Open(strings.NewReader("id,name,born\n"), Options{Cards: true}); err == nil ||
		err.Error() != `header line: no column "issued"; check bits need name, born and issued` {
		t.Errorf("a list without issued: %v", err)
	}
}

// TestBatches: lines and their numbers hold across batches, whatever the
// reader gives at a time.
func TestBatches(t *testing.T) {
	const n = 50_000
	var b strings.Builder
	b.WriteString("\n id , positive \r\n")
	for i := range n {
		if i%1000 == 999 {
			fmt.Fprintf(&b, "bad%d\n\n", i)
			continue
		}
		fmt.Fprintf(&b, "%012d,\n", i)
	}
	list := strings.TrimSuffix(b.String(), "\n\n") // the last line has no end
	for name, in := range map[string]io.Reader{
		"whole": strings.NewReader(list), "halves": iotest.HalfReader(strings.NewReader(list)), "bytes": iotest.OneByteReader(strings.NewReader(list)),
	} {
		l, err := Open(in, Options{})
		if err != nil {
			t.Fatal(err)
		}
		x, seen := l.Parser(), 0
		for b := new(Batch); ; {
			err := l.Next(b)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for p, problem := range x.People(b) {
				if problem != nil {
					if want := 3 + seen + seen/1000; problem.Line != want {
						t.Fatalf("%s: %v, want line %d", name, problem, want)
					}
				} else if string(p.Number) != fmt.Sprintf("%012d", seen) {
					t.Fatalf("%s: person %d is another", name, seen)
				}
				seen++
			}
		}
		if seen != n || l.Bytes() != int64(len(list)) {
			t.Errorf("%s: %d records, %d bytes of %d", name, seen, l.Bytes(), len(list))
		}
	}
}

// TestDays holds the short cut to the time package.
func TestDays(t *testing.T) {
	for d := mustDay("2000-01-01"); d.Date().Year < 2200; d++ {
		got, err := day([]byte(d.String()))
		if err != nil || got != d {
			t.Fatalf("%v came back as %v, %v", d, got, err)
		}
	}
	for _, bad := range []string{"2021-02-29", "2021-00-10", "2021-1-1", "2021-12-3x", "+021-12-31", "2021/12/31", "1999-12-31", "2200-01-01", ""} {
		if _, err := day([]byte(bad)); err == nil {
			t.Errorf("%q is a day", bad)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	list := []byte(heads + strings.Repeat("001090000123,1/2@2021-06-01;2/2@2021-08-10,,,,,,,\n", 1000))
	b.SetBytes(int64(len(list)) / 1000)
	b.ReportAllocs()
	for n := 0; n < b.N; n += 1000 {
		l, err := Open(bytes.NewReader(list), Options{})
		if err != nil {
			b.Fatal(err)
		}
		x, rule := l.Parser(), Rule{AsOf: asOf, Settle: DefaultSettle}
		var e gate.Extras
		for batch := new(Batch); l.Next(batch) == nil; {
			for p, problem := range x.People(batch) {
				if problem != nil {
					b.Fatal(problem)
				}
				rule.Reduce(p, &e)
			}
		}
	}
}
