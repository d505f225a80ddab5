package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// Lang is a language of sentences.
type Lang uint8

// The languages.
const (
	Vietnamese Lang = iota
	English
)

// ParseLang reads "vi" or "en".
func ParseLang(s string) (Lang, error) {
	switch s {
	case "vi":
		return Vietnamese, nil
	case "en":
		return English, nil
	}
	return 0, fmt.Errorf("%q is not vi or en", s)
}

func (l Lang) of(t Text) string {
	if l == English {
		return t.EN
	}
	return t.VI
}

// sayf fills the sentence of a language.
func (l Lang) sayf(t Text, args ...any) string { return fmt.Sprintf(l.of(t), args...) }

// Sentences tells the explanation in plain sentences: the outcome, what
// decided and what else was found, the facts with their age, data and clock,
// and what would have changed the outcome.
func (e Explanation) Sentences(l Lang) []string {
	a := e.Account(l)
	return slices.Concat([]string{a.Outcome}, a.Steps, a.Facts, []string{a.Data}, a.Changes)
}

func (l Lang) verdict(v gate.Verdict) string {
	if t, ok := verdictWords[v]; ok {
		return l.of(t)
	}
	return v.String()
}

// reason gives the words for a reason; unknown ones stay as they are.
func (l Lang) reason(r gate.Reason) string {
	if t, ok := reasonWords[r]; ok {
		return l.of(t)
	}
	return strings.ReplaceAll(string(r), "_", " ")
}

func (l Lang) outcome(e *Explanation) string {
	at := e.At.Format("2006-01-02 15:04:05")
	if e.Policy == (gate.PolicyRef{}) && e.Decision.N == 0 {
		return l.sayf(Text{"%s: %s. Không có chính sách nào: không ai được qua.", "%s: %s. There is no policy: nobody passes."}, at, l.verdict(e.Decision.Verdict))
	}
	return l.sayf(Text{
		"%s: %s. Chính sách %s phiên bản %d, cấp độ %d.",
		"%s: %s. Policy %s version %d, site at level %d.",
	}, at, l.verdict(e.Decision.Verdict), e.Policy.ID, e.Policy.Version, e.Level)
}

func (l Lang) step(s Step, level int, test bool) string {
	why := l.reason(s.Reason) + l.measured(s, test)
	switch {
	case s.First && s.Row > 0:
		return l.sayf(Text{
			"Điều kiện %d quyết định: %s. Nhóm %v ở cấp độ %d: %s.",
			"Row %d decided: %s. Class %v at level %d: %s.",
		}, s.Row, why, s.Class, level, l.verdict(s.To))
	case s.First && s.Class != gate.ClassNone:
		return l.sayf(Text{
			"Điều quyết định: %s. Nhóm %v ở cấp độ %d: %s.",
			"What decided: %s. Class %v at level %d: %s.",
		}, why, s.Class, level, l.verdict(s.To))
	case s.First:
		return l.sayf(Text{"Điều quyết định: %s: %s.", "What decided: %s: %s."}, why, l.verdict(s.To))
	case s.Changed():
		return l.sayf(Text{"Sau đó: %s: %s thay vì %s.", "Then: %s: %s instead of %s."}, why, l.verdict(s.To), l.verdict(s.From))
	}
	return l.sayf(Text{"Ghi nhận, không đổi kết quả: %s.", "Noted, without changing the outcome: %s."}, why)
}

// measured says by how much a passport is too young or too old; of a test in
// hours.
func (l Lang) measured(s Step, test bool) string {
	unit := l.of(Text{"ngày", "days"})
	if test {
		unit = l.of(Text{"giờ", "hours"})
	}
	switch s.Reason {
	case gate.ReasonPassportTooYoung:
		return l.sayf(Text{" (%d %s, cần %d)", " (%d %s, needs %d)"}, s.Age, unit, s.Bound)
	case gate.ReasonPassportTooOld:
		return l.sayf(Text{" (%d %s, nhiều nhất %d)", " (%d %s, at most %d)"}, s.Age, unit, s.Bound)
	}
	return ""
}

// days says how long ago a day was.
func (l Lang) days(n int64) string {
	switch {
	case n == 0:
		return l.of(Text{"hôm đó", "that day"})
	case n == 1:
		return l.of(Text{"1 ngày trước", "1 day before"})
	case n > 1:
		return l.sayf(Text{"%d ngày trước", "%d days before"}, n)
	case n == -1:
		return l.of(Text{"còn 1 ngày", "1 day ahead"})
	}
	return l.sayf(Text{"còn %d ngày", "%d days ahead"}, -n)
}

// minutes says how long ago an instant was, in hours where that is clearer.
func (l Lang) minutes(n int64) string {
	switch {
	case n < 0:
		return l.of(Text{"sau lúc đó", "later than that"})
	case n < 120:
		return l.sayf(Text{"%d phút trước", "%d minutes before"}, n)
	}
	return l.sayf(Text{"%d giờ trước", "%d hours before"}, n/60)
}

func (l Lang) fact(f Fact) string {
	inForce := l.of(Text{"đang có hiệu lực", "in force"})
	if !f.InForce {
		inForce = l.of(Text{"không có hiệu lực lúc đó", "not in force at that moment"})
	}
	switch f.Kind {
	case FactList:
		return l.sayf(Text{"Có tên trong danh sách %q: %s.", "On the list %q: %s."}, f.List, inForce)
	case FactWindow:
		return l.sayf(Text{"Khung ngày giờ riêng: %s.", "Own days and hours: %s."}, inForce)
	case FactTest:
		result := Text{"âm tính", "negative"}
		if f.Positive {
			result = Text{"dương tính", "positive"}
		}
		return l.sayf(Text{
			"Xét nghiệm %s %s, lấy mẫu %v: %s.", "A %s test, %s, sampled on %v: %s.",
		}, l.of(testWords[f.Test]), l.of(result), f.Day, l.minutes(f.Minutes))
	case FactLastEntry, FactLastExit:
		return fmt.Sprintf("%s: %s.", l.of(factWords[f.Kind]), l.minutes(f.Minutes))
	}
	what := l.of(factWords[f.Kind])
	if f.Day == 0 {
		return what + "."
	}
	return fmt.Sprintf("%s: %v (%s).", what, f.Day, l.days(f.Days))
}

func (l Lang) data(e *Explanation) string {
	clock := e.Inputs.Clock
	if e.Inputs.DataAge < 0 {
		return l.sayf(Text{"Không có dữ liệu được hỏi; đồng hồ: %v.", "No data were there or asked; clock: %v."}, clock)
	}
	age := time.Duration(min(e.Inputs.DataAge, int64(100*366*24*3600))) * time.Second
	return l.sayf(Text{"Dữ liệu cũ %d giờ %d phút; đồng hồ: %v.", "The data were %d h %d min old; clock: %v."},
		int64(age/time.Hour), int64(age%time.Hour/time.Minute), clock)
}

func (l Lang) change(c Change) string {
	then := l.verdict(c.Decision.Verdict)
	if len(c.Decision.ReasonList()) > 0 {
		then += " (" + l.reason(c.Decision.Reasons[0]) + ")"
	}
	at := c.At.Format("2006-01-02 15:04")
	switch c.Kind {
	case ChangeCard:
		if c.Decision.N == 0 {
			return l.of(Text{"Nếu đưa chính thẻ căn cước thì có thể khác.", "The ID card itself might have given another outcome."})
		}
		return l.sayf(Text{"Nếu đưa chính thẻ căn cước: %s.", "With the ID card itself: %s."}, then)
	case ChangeLater:
		return l.sayf(Text{"Từ %s: %s.", "From %s on: %s."}, at, then)
	case ChangeUntil:
		return l.sayf(Text{"Kết quả này giữ đến %s, sau đó: %s.", "This outcome holds until %s, then: %s."}, at, then)
	case ChangePCR, ChangeAntigen:
		kind := gate.TestPCR
		if c.Kind == ChangeAntigen {
			kind = gate.TestAntigen
		}
		return l.sayf(Text{"Với xét nghiệm %s âm tính trong %d giờ: %s.", "With a negative %s test within %d hours: %s."}, l.of(testWords[kind]), c.Hours, then)
	case ChangeCompleted:
		return l.sayf(Text{"Nếu đã tiêm đủ liều từ %d ngày trước: %s.", "With the series completed %d days before: %s."}, c.Days, then)
	case ChangeRecovered:
		if c.AfterPositive {
			return l.sayf(Text{
				"Nếu khỏi bệnh sau kết quả dương tính đó, trong %d ngày: %s.", "With a recovery after that positive result, within %d days: %s.",
			}, c.Days, then)
		}
		return l.sayf(Text{"Nếu khỏi bệnh trong %d ngày: %s.", "With a recovery within %d days: %s."}, c.Days, then)
	case ChangePassport:
		return l.sayf(Text{
			"Với hộ chiếu vắc xin hợp lệ của chính người này, đã đủ liều từ %d ngày trước hoặc có mũi nhắc lại: %s.",
			"With a vaccine passport of the same person, of a series completed at least %d days before or of a booster: %s.",
		}, c.Days, then)
	case ChangeLowerLevel, ChangeHigherLevel:
		return l.sayf(Text{"Ở cấp độ %d: %s.", "With the site at level %d: %s."}, c.Level, then)
	}
	return fmt.Sprintf("%s: %s.", l.of(changeWords[c.Kind]), then)
}
