package main

import (
	"fmt"
	"strings"
	"time"
)

// Names of the bench's site.
const (
	siteName = "bench"
	gateName = "gate-1"
	setName  = "vn"
)

// manyCards is how many different people take turns behind the latency: so
// many that nobody comes again within the lane's repeat time, which would make
// it the same scan.
const manyCards = 16

// person is somebody fictional.
type person struct {
	number  string
	name    string
	allowed bool
}

// people are those on the bench, by the name of their card.
func people() map[string]person {
	all := map[string]person{
		"allowed": {"001199000001", "Trần Thị Thử", true},
		"refused": {"001090000002", "Nguyễn Văn Mẫu", false},
		"first":   {"001199000003", "Phạm Thị Giả", true},
		"second":  {"001099000004", "Hoàng Văn Tưởng", true},
	}
	for i := range manyCards {
		all[fmt.Sprintf("turn%d", i)] = person{fmt.Sprintf("0011990001%02d", i), "Lê Thị Ví Dụ", true}
	}
	return all
}

// cards are what may be held before a camera, by name; empty: nothing.
func cards() map[string]string {
	all := map[string]string{"wall": ""}
	for name, p := range people() {
		sex := "Nam"
		if p.number[3] == '1' {
			sex = "Nữ"
		}
		all[name] = fmt.Sprintf("%s||%s|0101%s|%s|Số 1 Phố Mẫu, Phường Mẫu, Hà Nội|20082021", p.number, p.name, "19"+p.number[4:6], sex)
	}
	return all
}

// peopleList is what central knows about them, in the form of `gatectl
// snapshot build`: two doses long ago, or a positive result.
func peopleList(now time.Time) string {
	day := func(ago int) string { return now.AddDate(0, 0, -ago).Format(time.DateOnly) }
	var b strings.Builder
	b.WriteString("id,doses,positive\n")
	for _, p := range people() {
		if p.allowed {
			fmt.Fprintf(&b, "%s,1/2@%s;2/2@%s,\n", p.number, day(90), day(60))
		} else {
			fmt.Fprintf(&b, "%s,,%s\n", p.number, day(3))
		}
	}
	return b.String()
}
