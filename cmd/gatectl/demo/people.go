package demo

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
)

// crowd is how many fictional people are on the list beside those who come to
// the gate.
const crowd = 100_000

// visitor is one who comes to the gate: a row of the truth with a card.
type visitor struct {
	row     row
	number  gate.Number
	payload string // empty until central has signed it, where it is signed
	seed    uint64

	family, given string
	born          time.Time
	then          *visitor // what the same person shows next; nil: nothing
}

// shows gives all that a visitor holds before the camera, in order.
func (v *visitor) shows() (all []*visitor) {
	for ; v != nil; v = v.then {
		all = append(all, v)
	}
	return all
}

// The names are made up of common parts; any likeness is chance.
var (
	surnames = []string{"Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đặng", "Bùi", "Đỗ", "Ngô"}
	middles  = []string{"Văn", "Thị", "Minh", "Ngọc", "Thử", "Đức"}
	givens   = []string{"Mẫu", "Ví Dụ", "Nghiệm", "Thử", "Giả", "Định", "Tưởng", "Bịa"}
	streets  = []string{"Phố Thử Nghiệm", "Ngõ Ví Dụ", "Đường Mẫu", "Ấp Tưởng Tượng"}
	places   = []string{"001", "079", "048", "031", "092", "038", "040"}
	towns    = []string{"Hà Nội", "TP. Hồ Chí Minh", "Đà Nẵng", "Hải Phòng", "Cần Thơ", "Thanh Hóa", "Nghệ An"}
)

// number draws a fictional personal number: place, century and sex, year, six
// digits.
func number(r *rand.Rand, year int, female bool) gate.Number {
	g := (year - 1900) / 100 * 2
	if female {
		g++
	}
	return gate.Number(fmt.Sprintf("%s%d%02d%06d", places[r.IntN(len(places))], g, year%100, r.IntN(1_000_000)))
}

// visitors makes everybody who comes at one level, in a shuffled order that the
// seed fixes. round keeps the numbers of different rounds apart.
func visitors(seed uint64, round, each int) []visitor {
	r := rand.New(rand.NewPCG(seed, uint64(round)))
	var all []visitor
	for range each {
		for _, row := range truth {
			all = append(all, newVisitor(r, row))
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func newVisitor(r *rand.Rand, row row) visitor {
	year, female := 1950+r.IntN(55), r.IntN(2) == 1
	v := visitor{row: row, number: number(r, year, female), seed: r.Uint64()}
	v.family, v.given = pick(r, surnames), pick(r, middles)+" "+pick(r, givens)
	v.born = time.Date(year, time.Month(1+r.IntN(12)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
	v.show(r, female)
	if row.then != nil {
		next := v
		next.row, next.seed, next.then = *row.then, r.Uint64(), nil
		next.show(r, female)
		v.then = &next
	}
	return v
}

// show makes what is in the visitor's code.
func (v *visitor) show(r *rand.Rand, female bool) {
	row := v.row
	switch row.show {
	case phone:
		// Everybody's phone shows another code: the same one again within a few
		// seconds would be the same scan.
		v.payload, v.number = fmt.Sprintf(row.text, r.IntN(1_000_000)), ""
	case personalQR:
		v.payload = fmt.Sprintf("******%s|%s|%d-**-**|0|VIDU%012d|", string(v.number[6:]),
			credential.FoldName(v.family+" "+v.given), v.born.Year(), r.IntN(1_000_000_000_000))
	case insurance:
		sex := 1
		if female {
			sex = 2
		}
		v.payload = fmt.Sprintf("%010d|%x|%s|%d|-|01 - 001|01/01/2024|-|05/01/2024|-|-|4|01/01/2029|0123456789abcdef-0000|4|-|$",
			r.IntN(10_000_000_000), v.family+" "+v.given, v.born.Format("02/01/2006"), sex)
	case vaccinePass, visitorPass: // signed later
	default:
		v.payload = v.card(r, female)
	}
}

// card gives what is printed on the visitor's ID card.
func (v *visitor) card(r *rand.Rand, female bool) string {
	sex, born := "Nam", v.born
	if v.row.text != "" { // two contradictions: the other sex and another year
		female = !female
		born = born.AddDate(1, 0, 0)
	}
	if female {
		sex = "Nữ"
	}
	issued := time.Date(2021, time.Month(2+r.IntN(10)), 1+r.IntN(28), 0, 0, 0, 0, time.UTC)
	old := ""
	if r.IntN(2) == 0 {
		old = fmt.Sprintf("%09d", r.IntN(1_000_000_000))
	}
	text := fmt.Sprintf("%s|%s|%s %s|%s|%s|Số %d, %s, %s|%s", string(v.number), old,
		v.family, v.given, born.Format("02012006"), sex,
		1+r.IntN(200), pick(r, streets), pick(r, towns), issued.Format("02012006"))
	if r.IntN(3) == 0 { // the card of 2024 has four more fields
		text += "||||"
	}
	return text
}

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// writePeople writes the list that central publishes, as the CSV that
// `gatectl snapshot build` takes: the crowd, and those visitors who are on it.
func writePeople(w io.Writer, seed uint64, today time.Time, come []visitor) (people int, err error) {
	buf := bufio.NewWriter(w)
	out := csv.NewWriter(buf)
	if err := out.Write([]string{"id", "doses", "positive", "recovered", "tests", "flags", "quarantine_until", "lists", "valid_to"}); err != nil {
		return 0, err
	}
	used := map[gate.Number]bool{}
	for _, v := range come {
		used[v.number] = true // nobody in the crowd has a visitor's number
		if f := v.row.facts; f != nil {
			people++
			if err := out.Write(line(v.number, *f, today)); err != nil {
				return 0, err
			}
		}
	}
	r := rand.New(rand.NewPCG(seed, 1<<32))
	for n := 0; n < crowd; {
		id := number(r, 1940+r.IntN(70), r.IntN(2) == 1)
		if used[id] {
			continue
		}
		used[id] = true
		n++
		people++
		if err := out.Write(line(id, someFacts(r), today)); err != nil {
			return 0, err
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return 0, err
	}
	return people, buf.Flush()
}

// someFacts draws facts in proportions of late 2021: most have two doses.
func someFacts(r *rand.Rand) facts {
	switch n := r.IntN(100); {
	case n < 70:
		second := 20 + r.IntN(200)
		return facts{doses: []dose{{1, 2, second + 28}, {2, 2, second}}}
	case n < 85:
		return facts{doses: []dose{{1, 2, 1 + r.IntN(60)}}}
	case n < 90:
		return facts{recovered: 1 + r.IntN(300)}
	case n < 92:
		return facts{positive: 1 + r.IntN(20)}
	case n < 94:
		return facts{quarantine: 1 + r.IntN(14)}
	default:
		return facts{}
	}
}

func line(id gate.Number, f facts, today time.Time) []string {
	day := func(ago int) string {
		if ago == 0 {
			return ""
		}
		return today.AddDate(0, 0, -ago).Format(time.DateOnly)
	}
	doses := make([]string, 0, len(f.doses))
	for _, d := range f.doses {
		doses = append(doses, strconv.Itoa(d.n)+"/"+strconv.Itoa(d.of)+"@"+day(d.ago))
	}
	return []string{string(id), strings.Join(doses, ";"), day(f.positive), day(f.recovered), "", "", day(-f.quarantine), "", ""}
}
