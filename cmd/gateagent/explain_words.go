package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/lane"
	"gateagent/agent/policy"
)

// say gives a sentence in one language.
func say(l policy.Lang, vi, en string, args ...any) string {
	if l == policy.English {
		vi = en
	}
	return fmt.Sprintf(vi, args...)
}

// title names the entry.
func (a *account) title(l policy.Lang) string {
	way := say(l, "vào", "in")
	if a.entry.Direction == gate.DirectionOut {
		way = say(l, "ra", "out")
	}
	return say(l, "Lượt %d tại cổng %s/%s, làn %s (%s), mã %s", "Entry %d at gate %s/%s, lane %s (%s), shown: %s",
		a.seq, a.origin.Site, a.origin.Gate, a.entry.Lane, way, a.entry.Credential)
}

// section is some sentences under a heading; the first has none.
type section struct {
	heading string
	lines   []string
}

// sections say all that is to be said about the entry.
func (a *account) sections(l policy.Lang) []section {
	e := &a.entry
	why := section{heading: say(l, "Vì sao", "Why")}
	known := section{heading: say(l, "Đã biết gì", "What was known")}
	other := section{heading: say(l, "Điều gì có thể làm khác đi", "What would have changed it")}
	first := section{}
	switch {
	case a.onFault():
		first.lines, why.lines = a.recorded(l)
		why.lines = append(why.lines, a.fault(l))
	case a.erased:
		first.lines, why.lines = a.recorded(l)
		known.lines = append(known.lines, say(l, "Dữ kiện của lượt này đã bị xóa theo yêu cầu; chỉ còn kết quả và lý do.",
			"The facts of this entry were erased as asked; only outcome and reasons are left."))
	case a.why == nil:
		first.lines, why.lines = a.recorded(l)
		why.lines = append(why.lines, say(l, "Chính sách đó không có ở đây: đây là những gì đã ghi lúc đó, không tính lại.",
			"That policy is not at hand here: this is what was recorded then, not worked out again."),
			say(l, "Với tệp của chính sách đó (--policy TỆP; gatectl policy publish --save giữ lại nó) sẽ biết quy tắc nào đã quyết định và điều gì có thể làm khác đi.",
				"With its file (--policy FILE; gatectl policy publish --save keeps it) this says which rule decided and what would have changed it."))
		// Facts and their age are the same under any policy.
		facts := policy.Default().Explain(e.Inputs).Account(l)
		known.lines = append(facts.Facts, facts.Data)
	default:
		told := a.why.Account(l)
		first.lines = []string{told.Outcome}
		if !a.agrees() {
			first.lines, _ = a.recorded(l)
			why.lines = append(why.lines, say(l, "CHÚ Ý: tính lại cho kết quả khác với kết quả đã ghi. Chính sách này có đúng là bản khi đó không?",
				"NOTE: worked out again, it comes out otherwise than recorded. Is this the very policy of that time?"), told.Outcome)
		}
		why.lines = append(why.lines, told.Steps...)
		if a.draft != "" {
			why.lines = append(why.lines, say(l, "Tính lại theo bản nháp %s, không ghi phiên bản.", "Worked out by the draft %s, which names no version.", a.draft))
		}
		known.lines = append(told.Facts, told.Data)
		other.lines = told.Changes
	}
	known.lines = append(known.lines, a.data(l)...)
	return []section{first, why, known, other, {say(l, "Thêm", "Besides"), a.around(l)}}
}

// fault says why no policy decided.
func (a *account) fault(l policy.Lang) string {
	switch {
	case a.entry.Policy.ID == "":
		return say(l, "Không có chính sách nào: không ai được qua.", "There was no policy: nobody passes.")
	case slices.Contains(a.entry.Reasons, gate.ReasonPass):
		return say(l, "Không ghi được rằng giấy một lần đã dùng, nên nhân viên quyết định.",
			"That a pass for one entry was used up could not be noted, so the guard decides.")
	}
	return say(l, "Không có chính sách nào quyết định: làn xử lý theo on_fault vì cổng gặp sự cố.",
		"No policy decided: the lane answered by on_fault, because the gate had a fault.")
}

// recorded tells outcome and reasons as they were recorded.
func (a *account) recorded(l policy.Lang) (outcome, why []string) {
	e := &a.entry
	outcome = []string{say(l, "%s: %s. Chính sách %s.", "%s: %s. Policy %s.",
		e.Time.In(policy.Default().Zone()).Format(time.DateTime), l.Verdict(e.Verdict), policyName(l, e.Policy))}
	if e.Class != gate.ClassNone {
		why = append(why, say(l, "Nhóm %v.", "Class %v.", e.Class))
	}
	if len(e.Reasons) == 0 {
		return outcome, append(why, say(l, "Không ghi lý do nào.", "No reason was recorded."))
	}
	return outcome, append(why, say(l, "Lý do đã ghi: %s.", "Recorded reasons: %s.", reasonWords(l, e.Reasons)))
}

func reasonWords(l policy.Lang, reasons []gate.Reason) string {
	words := make([]string, 0, len(reasons))
	for _, r := range reasons {
		words = append(words, l.Reason(r))
	}
	return strings.Join(words, "; ")
}

// data names the versions of the data that were asked.
func (a *account) data(l policy.Lang) []string {
	if len(a.entry.Data) == 0 {
		return nil
	}
	var sets []string
	for _, d := range a.entry.Data {
		if d.Version == 0 {
			sets = append(sets, say(l, "%s (chưa có)", "%s (none yet)", d.Set))
			continue
		}
		sets = append(sets, say(l, "%s phiên bản %d", "%s version %d", d.Set, d.Version))
	}
	return []string{say(l, "Dữ liệu đã hỏi: %s.", "Data asked: %s.", strings.Join(sets, ", "))}
}

// around tells what belongs to the entry beside the decision.
func (a *account) around(l policy.Lang) (out []string) {
	e := &a.entry
	if e.Ref > 0 {
		out = append(out, say(l, "Đây là nửa sau của lần quét hai bước bắt đầu ở lượt %d.", "This is the second half of a two-step scan that began with entry %d.", e.Ref))
	}
	switch e.Needs {
	case "":
	case lane.NeedsCard:
		out = append(out, say(l, "Nếu đưa thêm thẻ căn cước ngay sau đó, hai lần quét được xét cùng nhau.",
			"Had the ID card been shown right after it, the two would have been judged together."))
	case lane.NeedsPassport:
		out = append(out, say(l, "Nếu đưa thêm hộ chiếu vắc xin ngay sau đó, hai lần quét được xét cùng nhau.",
			"Had a vaccine passport been shown right after it, the two would have been judged together."))
	default:
		out = append(out, say(l, "Còn cần: %s.", "It still needed: %s.", e.Needs))
	}
	if e.Count > 1 {
		out = append(out, say(l, "Lượt này thay cho %d lần quét giống nhau.", "This entry stands for %d scans of its kind.", e.Count))
	}
	if s := e.Shadow; s != nil {
		out = append(out, say(l, "Theo chính sách đang thử %s (không áp dụng): %s (%s).", "By %s, which was only tried: %s (%s).",
			policyName(l, s.Policy), l.Verdict(s.Verdict), reasonWords(l, s.Reasons)))
	}
	if p := a.passage; p != nil {
		switch {
		case p.Opened:
			out = append(out, say(l, "Cổng đã mở.", "The gate was opened."))
		case p.RelayFault != "":
			out = append(out, say(l, "Cổng không mở được (%s).", "The gate could not be opened (%s).", p.RelayFault))
		default:
			out = append(out, say(l, "Cổng không mở.", "The gate was not opened."))
		}
	}
	if a.asked && a.inForce != e.Policy {
		out = append(out, say(l, "Hiện nay chính sách khác đang có hiệu lực: %s.", "Another policy is in force by now: %s.", policyName(l, a.inForce)))
	}
	return out
}

// accountJSON is the account for programs.
type accountJSON struct {
	Gate       string              `json:"gate"`
	Epoch      string              `json:"epoch"`
	Seq        uint64              `json:"seq"`
	Time       time.Time           `json:"time"`
	Lane       string              `json:"lane"`
	Direction  string              `json:"direction"`
	Credential string              `json:"credential"`
	Verdict    string              `json:"verdict"`
	Class      string              `json:"class"`
	Reasons    []gate.Reason       `json:"reasons"`
	Policy     policyJSON          `json:"policy"`
	Level      int                 `json:"level,omitempty"`
	Data       map[string]uint64   `json:"data"`
	DataAge    *int64              `json:"data_age_s"` // null: no data
	Clock      string              `json:"clock"`
	Steps      []stepJSON          `json:"steps"`
	Facts      []factJSON          `json:"facts"`
	Changes    []changeJSON        `json:"changes"`
	Sentences  map[string][]string `json:"sentences"`
}

type policyJSON struct {
	ID      string `json:"id"`
	Version uint64 `json:"version"`
	// Kept says whether it was at hand, Same whether it decides as recorded.
	Kept bool `json:"kept"`
	Same bool `json:"same"`
}

type stepJSON struct {
	Module string      `json:"module"`
	Reason gate.Reason `json:"reason"`
	Row    int         `json:"row,omitempty"`
	From   string      `json:"from,omitempty"`
	To     string      `json:"to"`
}

type factJSON struct {
	Kind    string `json:"kind"`
	Day     string `json:"day,omitempty"`
	Days    int64  `json:"days_ago"`
	Hours   int64  `json:"hours_ago,omitempty"`
	List    string `json:"list,omitempty"`
	InForce bool   `json:"in_force"`
}

type changeJSON struct {
	Kind    string    `json:"kind"`
	At      time.Time `json:"at,omitzero"`
	Hours   int       `json:"hours,omitempty"`
	Days    int       `json:"days,omitempty"`
	Level   int       `json:"level,omitempty"`
	Verdict string    `json:"verdict"`
}

func (a *account) forPrograms(langs []policy.Lang) accountJSON {
	e := &a.entry
	out := accountJSON{
		Gate: a.origin.Site + "/" + a.origin.Gate, Epoch: a.epoch.String(), Seq: a.seq, Time: e.Time.UTC(), Lane: e.Lane,
		Direction: e.Direction.String(), Credential: e.Credential.String(), Verdict: e.Verdict.String(), Class: e.Class.String(),
		Reasons: e.Reasons, Policy: policyJSON{ID: e.Policy.ID, Version: e.Policy.Version, Kept: a.policy != nil},
		Data: map[string]uint64{}, Clock: e.Clock.String(),
		Steps: []stepJSON{}, Facts: []factJSON{}, Changes: []changeJSON{}, Sentences: map[string][]string{},
	}
	for _, d := range e.Data {
		out.Data[d.Set] = d.Version
	}
	if e.DataAge >= 0 {
		out.DataAge = &e.DataAge
	}
	if why := a.why; why != nil {
		out.Policy.Same, out.Level = a.agrees(), why.Level
		for _, s := range why.Steps {
			step := stepJSON{Module: string(s.Module), Reason: s.Reason, Row: s.Row, To: s.To.String()}
			if !s.First {
				step.From = s.From.String()
			}
			out.Steps = append(out.Steps, step)
		}
		for _, f := range why.Facts {
			fact := factJSON{Kind: string(f.Kind), Days: f.Days, Hours: f.Hours, List: f.List, InForce: f.InForce}
			if f.Day != 0 {
				fact.Day = f.Day.String()
			}
			out.Facts = append(out.Facts, fact)
		}
		for _, c := range why.Changes {
			out.Changes = append(out.Changes, changeJSON{
				Kind: string(c.Kind), At: c.At.UTC(), Hours: c.Hours, Days: c.Days, Level: c.Level, Verdict: c.Decision.Verdict.String(),
			})
		}
	}
	for _, l := range langs {
		lines := []string{a.title(l) + "."}
		for _, s := range a.sections(l) {
			lines = append(lines, s.lines...)
		}
		out.Sentences[say(l, "vi", "en")] = lines
	}
	return out
}
