package gate

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// The zero values must be the safe ones: nothing opens a gate by being
// forgotten.
func TestZeroValuesRefuse(t *testing.T) {
	var d Decision
	if d.Verdict != Deny || d.Verdict.Opens() {
		t.Errorf("zero decision is %v", d.Verdict)
	}
	var f OnFault
	if f != OnFaultClosed {
		t.Errorf("zero on_fault is %v", f)
	}
	if (Facts{}).Found {
		t.Error("zero facts know somebody")
	}
	for _, v := range Verdicts() {
		if want := v == Allow || v == AllowNotice; v.Opens() != want {
			t.Errorf("%v opens: %v", v, v.Opens())
		}
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for i := range verdictNames {
		roundTrip(t, Verdict(i), ParseVerdict)
	}
	for i := range classNames {
		roundTrip(t, Class(i), ParseClass)
	}
	for i := range directionNames {
		roundTrip(t, Direction(i), ParseDirection)
	}
	for i := range clockNames {
		roundTrip(t, ClockLevel(i), ParseClockLevel)
	}
	for i := range onFaultNames {
		roundTrip(t, OnFault(i), ParseOnFault)
	}
	for i := range credentialNames {
		roundTrip(t, CredentialKind(i), ParseCredentialKind)
	}
	for i := range doorNames {
		roundTrip(t, Door(i), ParseDoor)
	}
	if got := Verdict(99).String(); got != "Verdict(99)" {
		t.Errorf("a number without a name prints %q", got)
	}
}

func roundTrip[T interface {
	comparable
	fmt.Stringer
}](t *testing.T, v T, parse func(string) (T, error)) {
	t.Helper()
	if got, err := parse(v.String()); err != nil || got != v {
		t.Errorf("%v came back as %v, %v", v, got, err)
	}
	if _, err := parse("no such name"); err == nil {
		t.Errorf("%T: a foreign name was taken", v)
	}
}

// No way of printing a claim or a key may show the person or the secret.
func TestNothingPrintsTheNumber(t *testing.T) {
	const secret = "001090012345"
	c := Claim{Kind: KindCCCD, Number: secret, Name: "Nguyễn Văn Mẫu"}
	j, err := json.Marshal(struct{ N Number }{secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%v %#v", c.Number, c.Number), string(j),
		fmt.Sprintf("%v %#v %s", Key{1, 2}, Key{1, 2}, Key{1, 2}),
	} {
		if strings.Contains(s, secret) || strings.Contains(s, "0090012") || strings.Contains(s, "Nguyễn") || strings.Contains(s, "1 2") {
			t.Errorf("shown in the clear: %q", s)
		}
	}
	if got := Number(secret).String(); got != "001*******45" {
		t.Errorf("masked number is %q", got)
	}
	if got := Number("12").String(); got != "**" {
		t.Errorf("a short number shows %q", got)
	}
}

func TestNumberValid(t *testing.T) {
	for n, want := range map[Number]bool{
		"001090012345": true, "": false, "00109001234": false, "0010900123456": false,
		"00109001234a": false, "٠٠١٠٩٠": false,
	} {
		if n.Valid() != want {
			t.Errorf("%q valid: %v", string(n), n.Valid())
		}
	}
}

func TestDays(t *testing.T) {
	ict := time.FixedZone("ICT", 7*3600)
	if got := DayOf(time.Date(2021, 12, 17, 23, 30, 0, 0, time.UTC).In(ict)); got.String() != "2021-12-18" {
		t.Errorf("half past eleven UTC is %v in Hà Nội", got)
	}
	for _, s := range []string{"1970-01-02", "2000-02-29", "2021-08-20", "1899-12-31"} {
		d, err := ParseDay(s)
		if err != nil || d.String() != s || d.Date().Day() != d {
			t.Errorf("%s came back as %v, %v", s, d, err)
		}
	}
	for _, d := range []Date{{2021, 2, 29}, {2021, 0, 1}, {2021, 1, 0}, {2021, 13, 1}, {}} {
		if d.Valid() || d.Day() != 0 {
			t.Errorf("%+v is taken for a date", d)
		}
	}
	if _, err := ParseDay("20-08-2021"); err == nil {
		t.Error("a day in another order was taken")
	}
}

func TestWord(t *testing.T) {
	base, _ := ParseDay("2021-01-01")
	for kind := FactKind(0); kind <= 7; kind++ {
		for _, off := range []Day{0, 1, 365, MaxWordDay} {
			for _, extras := range []bool{false, true} {
				w, err := NewWord(kind, base+off, base, extras)
				if err != nil {
					t.Fatal(err)
				}
				f := Facts{Found: true, Word: w, Base: base}
				if w.Kind() != kind || w.Offset() != int(off) || w.Extras() != extras || f.Day() != base+off {
					t.Errorf("kind %v day %v extras %v came back as %v %v %v", kind, off, extras, w.Kind(), w.Offset(), w.Extras())
				}
			}
		}
	}
	for name, day := range map[string]Day{"before the base": base - 1, "after the end": base + MaxWordDay + 1, "no day": 0} {
		if _, err := NewWord(FactCompleted, day, base, false); err == nil {
			t.Errorf("a day %s was packed", name)
		}
	}
	if _, err := NewWord(8, base, base, false); err == nil {
		t.Error("kind 8 fits three bits?")
	}
}

// The pseudonym is part of every file and message: its bytes never change.
func TestPseudonymGolden(t *testing.T) {
	var k Key
	for i := range k {
		k[i] = byte(i)
	}
	p := NewPseudonymer(k)
	first := p.Of("001090012345")
	// printf 001090012345 | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102…1f
	if got, want := first.String(), "b353f0f89b4f2dea"; got != want {
		t.Errorf("pseudonym %s, want %s", got, want)
	}
	if back, err := ParsePseudonym(first.String()); err != nil || back != first {
		t.Errorf("came back as %v, %v", back, err)
	}
	if p.Of("001090012346") == first || p.Of("001090012345") != first {
		t.Error("the state of one number leaks into the next")
	}
	if n := testing.AllocsPerRun(100, func() { p.Of("001090012345") }); n != 0 {
		t.Errorf("%v allocations a pseudonym", n)
	}
	for _, s := range []string{"", "b353", "zzzzzzzzzzzzzzzz", "b353f0f89b4f2dea0"} {
		if _, err := ParsePseudonym(s); err == nil {
			t.Errorf("%q was taken for a pseudonym", s)
		}
	}
}

func TestReasonsAreBoundedAndUnique(t *testing.T) {
	var d Decision
	d.Add(ReasonStaleData)
	d.Add(ReasonStaleData)
	if len(d.ReasonList()) != 1 {
		t.Errorf("a repeat was kept: %v", d.ReasonList())
	}
	for i := range 3 * MaxReasons {
		d.Add(Reason(fmt.Sprint("r", i)))
	}
	if len(d.ReasonList()) != MaxReasons {
		t.Errorf("%d reasons", len(d.ReasonList()))
	}
}

func TestClaimFlags(t *testing.T) {
	f := FlagSexMismatch | FlagExtraFields | FlagUnknownPlaceCode
	if got := fmt.Sprint(f.AppendReasons(nil)); got != "[sex_mismatch unknown_place_code extra_fields]" {
		t.Errorf("reasons %v", got)
	}
	if f.Doubts() != 2 {
		t.Errorf("%d doubts: the shape of a card is none", f.Doubts())
	}
}

func TestReceipt(t *testing.T) {
	r := NewReceipt()
	select {
	case <-r.Done():
		t.Fatal("done before it was fulfilled")
	default:
	}
	go r.Fulfil(7, nil)
	if seq, err := r.Wait(); seq != 7 || err != nil {
		t.Errorf("seq %d, err %v", seq, err)
	}
}
