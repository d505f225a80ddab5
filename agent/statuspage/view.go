package statuspage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/config"
	"gateagent/agent/feed"
	"gateagent/agent/gate"
	"gateagent/agent/health"
)

// tone is the colour and the sign of a thing; never the colour alone.
type tone string

const (
	good tone = "good"
	warn tone = "warn"
	bad  tone = "bad"
	note tone = "note"
)

// view is everything the page shows, as texts.
type view struct {
	title      string
	style      string // address of the stylesheet
	site, gate string
	now        string
	tone       tone
	answer     health.Text // the large words on top
	question   health.Text // what they answer
	why        health.Text
	faults     []faultView
	moreFaults int           // not shown, beyond maxFaults
	working    []health.Text // titles of the components that work
	broken     *brokenView   // a configuration with problems; nil when there is none
	decisions  []decisionView
	data       []fact
	lanes      []laneView
	box        []fact
	theft      fact // its value is empty: the sentence stands in more
	only       bool // only the report of the configuration is served
}

type faultView struct {
	tone         tone
	title        health.Text
	cause, next  health.Text
	code, detail string
	since        health.Text
}

type decisionView struct {
	time, lane, class, reasons, took string
	tone                             tone
	verdict                          health.Text
	code                             string
	relay                            health.Text
}

type fact struct {
	label health.Text
	value string
	more  health.Text
	tone  tone
}

type laneView struct {
	name, devices string
	direction     health.Text
	counts        []countView
	picture       health.Text
}

type countView struct {
	label health.Text
	tone  tone
	n     string
}

type brokenView struct {
	file    string
	command string
	intro   health.Text
	list    []config.Problem
	more    int // not shown, beyond maxProblems
}

var verdicts = map[gate.Verdict]struct {
	text health.Text
	tone tone
}{
	gate.Allow:       {health.Text{VI: "Cho qua", EN: "Allow"}, good},
	gate.AllowNotice: {health.Text{VI: "Cho qua, nhắc nhở", EN: "Allow, notice"}, good},
	gate.Retry:       {health.Text{VI: "Quét lại", EN: "Retry"}, note},
	gate.ManualCheck: {health.Text{VI: "Kiểm tra thủ công", EN: "Manual check"}, warn},
	gate.Deny:        {health.Text{VI: "Từ chối", EN: "Deny"}, bad},
	gate.DenyAlert:   {health.Text{VI: "Từ chối, báo động", EN: "Deny, alert"}, bad},
}

var clocks = map[gate.ClockLevel]struct {
	text health.Text
	tone tone
}{
	gate.ClockNone:    {health.Text{VI: "chắc chắn sai", EN: "certainly wrong"}, bad},
	gate.ClockFloor:   {health.Text{VI: "chưa xác nhận", EN: "not confirmed"}, warn},
	gate.ClockRTC:     {health.Text{VI: "đồng hồ pin", EN: "battery clock"}, good},
	gate.ClockNTP:     {health.Text{VI: "đồng bộ mạng", EN: "synchronised"}, good},
	gate.ClockCentral: {health.Text{VI: "trung tâm xác nhận", EN: "confirmed by central"}, good},
}

// maxDecisions bounds the table of last decisions.
const maxDecisions = 15

// maxFaults bounds the list of faults.
const maxFaults = 20

// maxProblems bounds the list of configuration problems on the page.
const maxProblems = 25

// viewOf turns the state of the box into what the page shows.
func viewOf(b health.Box, recent []feed.Decision, zone *time.Location) view {
	v := view{
		title: b.Gate + " · " + b.Site, site: b.Site, gate: b.Gate,
		now:      b.Now.In(zone).Format("02/01/2006 15:04:05"),
		question: health.Text{VI: "Cổng này có quyết định được không?", EN: "Can this gate decide?"},
		why:      b.Why,
	}
	switch {
	case !b.CanDecide:
		v.tone, v.answer = bad, health.Text{VI: "Không", EN: "No"}
	case b.Level != health.OK:
		v.tone, v.answer = warn, health.Text{VI: "Có, có giới hạn", EN: "Yes, with limits"}
	default:
		v.tone, v.answer = good, health.Text{VI: "Có", EN: "Yes"}
	}
	v.addComponents(b)
	for _, d := range recent[:min(len(recent), maxDecisions)] {
		v.decisions = append(v.decisions, decisionOf(d, zone))
	}
	v.addData(b, zone)
	for _, l := range b.Lanes {
		v.lanes = append(v.lanes, laneOf(l))
	}
	v.addBox(b, zone)
	v.theft = fact{label: health.Text{VI: "Nếu mất thiết bị này", EN: "If this box is stolen"}, more: b.Theft.Text(), tone: good}
	if b.Theft.OnDisk() {
		v.theft.tone = warn
	}
	return v
}

// addComponents lists the faults, the gravest first, and names what works.
func (v *view) addComponents(b health.Box) {
	for _, c := range b.Components {
		if c.Level == health.OK {
			v.working = append(v.working, health.Title(c.Name))
			continue
		}
		f := faultView{
			tone: warn, title: health.Title(c.Name), cause: c.Fault.Cause, next: c.Fault.NextStep,
			code: string(c.Fault.Code), detail: c.Fault.Detail, since: since(b.Now, c.Since),
		}
		if c.Level == health.Failed {
			f.tone = bad
		}
		v.faults = append(v.faults, f)
	}
	slices.SortStableFunc(v.faults, func(a, c faultView) int {
		return strings.Compare(string(a.tone), string(c.tone)) // "bad" < "warn"
	})
	if len(v.faults) > maxFaults {
		v.moreFaults = len(v.faults) - maxFaults
		v.faults = v.faults[:maxFaults]
	}
}

func decisionOf(d feed.Decision, zone *time.Location) decisionView {
	out := decisionView{
		time: d.Time.In(zone).Format("15:04:05"), lane: d.Lane, code: d.Verdict.String(),
		took: strconv.FormatFloat(float64(d.Took.Microseconds())/1000, 'f', 0, 64) + " ms",
		tone: verdicts[d.Verdict].tone, verdict: verdicts[d.Verdict].text,
	}
	if d.Class != gate.ClassNone {
		out.class = d.Class.String()
	}
	words := make([]string, len(d.Reasons))
	for i, r := range d.Reasons {
		words[i] = string(r)
	}
	out.reasons = strings.Join(words, ", ")
	switch {
	case d.RelayFault != "":
		out.relay = health.Text{VI: "rơ-le không mở", EN: "relay did not open"}
		out.tone = bad
	case d.Verdict.Opens() && !d.Opened:
		out.relay = health.Text{VI: "không mở", EN: "not opened"}
		out.tone = bad
	case d.Late:
		out.relay = health.Text{VI: "ghi muộn", EN: "recorded late"}
	}
	return out
}

func (v *view) addData(b health.Box, zone *time.Location) {
	for _, s := range b.Sets {
		f := fact{label: health.Text{VI: "Dữ liệu " + s.Set, EN: "Data " + s.Set}, tone: good}
		switch {
		case s.Version == 0:
			f.value, f.tone, f.more = "–", warn, health.Text{VI: "chưa có", EN: "none yet"}
		case !s.HasKey:
			f.value, f.tone = fmt.Sprintf("v%d", s.Version), bad
			f.more = health.Text{VI: "thiếu khóa: mọi người kiểm tra thủ công", EN: "no key: everybody is checked by hand"}
		default:
			a := span(b.Now.Sub(s.Issued))
			f.value = fmt.Sprintf("v%d", s.Version)
			f.more = health.Text{
				VI: fmt.Sprintf("%s người · cách đây %s", grouped(s.People, "."), a.VI),
				EN: fmt.Sprintf("%s people · age %s", grouped(s.People, ","), a.EN),
			}
			switch s.Hold {
			case health.HoldFile:
				f.more.VI += " · khóa từ tệp"
				f.more.EN += " · key from a file"
			case health.HoldMemory:
				f.more.VI += " · khóa trong bộ nhớ"
				f.more.EN += " · key in memory"
			}
		}
		if s.Fetch.Version > 0 {
			if !s.Fetch.At.IsZero() {
				s.Fetch.At = s.Fetch.At.In(zone)
			}
			t := s.Fetch.Text()
			f.more.VI += " · " + t.VI
			f.more.EN += " · " + t.EN
		}
		v.data = append(v.data, f)
	}
	if len(b.Sets) == 0 {
		v.data = append(v.data, fact{
			label: health.Text{VI: "Dữ liệu", EN: "Data"}, value: "–", tone: warn,
			more: health.Text{VI: "chưa cấu hình tập nào", EN: "no set configured"},
		})
	}
	p := fact{
		label: health.Text{VI: "Quy tắc", EN: "Policy"}, tone: good, value: b.Policy.ID,
		more: health.Text{
			VI: fmt.Sprintf("bản %d · mức %d", b.Policy.Version, b.Policy.Level),
			EN: fmt.Sprintf("version %d · level %d", b.Policy.Version, b.Policy.Level),
		},
	}
	switch {
	case b.Policy.ID == "":
		p.value, p.tone, p.more = "–", warn, health.Text{VI: "chưa có", EN: "none yet"}
	case b.Policy.BuiltIn:
		p.tone = warn
		p.more = health.Text{
			VI: fmt.Sprintf("có sẵn · mức %d", b.Policy.Level),
			EN: fmt.Sprintf("built in · level %d", b.Policy.Level),
		}
	case !b.Policy.Issued.IsZero():
		a := span(b.Now.Sub(b.Policy.Issued))
		p.more.VI += " · cách đây " + a.VI
		p.more.EN += " · age " + a.EN
	}
	if sh := b.Policy.Shadow; sh.ID != "" {
		p.more.VI += fmt.Sprintf(" · chạy thử %s bản %d", sh.ID, sh.Version)
		p.more.EN += fmt.Sprintf(" · on trial %s version %d", sh.ID, sh.Version)
	}
	t := fact{label: health.Text{VI: "Khóa tin cậy", EN: "Trusted keys"}, value: fmt.Sprintf("v%d", b.Trust.Version), tone: good}
	if b.Trust.Version == 0 {
		t.value, t.tone, t.more = "–", warn, health.Text{VI: "chưa có", EN: "none yet"}
	} else if !b.Trust.Issued.IsZero() {
		a := span(b.Now.Sub(b.Trust.Issued))
		t.more = health.Text{VI: "cách đây " + a.VI, EN: "age " + a.EN}
	}
	v.data = append(v.data, p, t)
	if pr := b.Proofs; pr.PassportKeys+pr.PassKeys > 0 {
		v.data = append(v.data, fact{
			label: health.Text{VI: "Thẻ và hộ chiếu", EN: "Passes and passports"}, tone: good,
			value: fmt.Sprintf("%d + %d", pr.PassKeys, pr.PassportKeys),
			more: health.Text{
				VI: fmt.Sprintf("khóa · %d thẻ đã dùng ở đây · thu hồi bản %d", pr.Spent, pr.Revoked.Version),
				EN: fmt.Sprintf("keys · %d passes used here · revoked: version %d", pr.Spent, pr.Revoked.Version),
			},
		})
	}
	clock := clocks[b.Clock]
	v.data = append(v.data, fact{
		label: health.Text{VI: "Đồng hồ", EN: "Clock"}, value: b.Clock.String(), more: clock.text, tone: clock.tone,
	})
	v.addLink(b)
}

// addLink says how the way to central and the queue stand.
func (v *view) addLink(b health.Box) {
	link := fact{
		label: health.Text{VI: "Kết nối", EN: "Link"}, tone: good, value: b.Link.Broker,
		more: health.Text{VI: "đã nối", EN: "connected"},
	}
	if !b.Link.Connected {
		link.tone, link.more = warn, health.Text{VI: "mất kết nối", EN: "not connected"}
	}
	if !b.Link.Since.IsZero() {
		a := span(b.Now.Sub(b.Link.Since))
		link.more.VI += " " + a.VI
		link.more.EN += " for " + a.EN
	}
	q := fact{label: health.Text{VI: "Hàng đợi", EN: "Queue"}, value: grouped(b.Journal.Queue(), " "), tone: good}
	q.more = health.Text{VI: "lượt chưa được trung tâm nhận", EN: "entries central has not taken"}
	if b.Journal.Queue() == 0 {
		q.more = health.Text{VI: "trung tâm đã nhận hết", EN: "central has everything"}
	} else if !b.Journal.Oldest.IsZero() {
		a := span(b.Now.Sub(b.Journal.Oldest))
		q.more.VI += ", từ " + a.VI
		q.more.EN += ", oldest " + a.EN
	}
	v.data = append(v.data, link, q)
}

func laneOf(l health.LaneState) laneView {
	out := laneView{name: l.Name, devices: l.Scanner + " → " + l.Relay, direction: health.Text{VI: "vào", EN: "in"}}
	if l.Direction == gate.DirectionOut {
		out.direction = health.Text{VI: "ra", EN: "out"}
	}
	for _, k := range gate.Verdicts() {
		out.counts = append(out.counts, countView{label: verdicts[k].text, tone: verdicts[k].tone, n: grouped(l.Decisions[k], " ")})
	}
	if l.Picture >= 0 {
		a := span(l.Picture)
		out.picture = health.Text{VI: "hình " + a.VI + " trước", EN: "picture " + a.EN + " old"}
	}
	return out
}

func (v *view) addBox(b health.Box, zone *time.Location) {
	up := span(b.Now.Sub(b.Started))
	v.box = []fact{
		{label: health.Text{VI: "Phiên bản", EN: "Version"}, value: b.Version},
		{label: health.Text{VI: "Chạy từ", EN: "Running since"}, value: b.Started.In(zone).Format("02/01 15:04"), more: up},
		{label: health.Text{VI: "Nhật ký", EN: "Journal"}, value: fmt.Sprintf("%s / %d", b.Journal.Epoch, b.Journal.Seq), more: health.Text{
			VI: fmt.Sprintf("%s trên %s", size(b.Journal.Bytes), size(b.Journal.Max)),
			EN: fmt.Sprintf("%s of %s", size(b.Journal.Bytes), size(b.Journal.Max)),
		}},
		{label: health.Text{VI: "Lần khởi động", EN: "Boot"}, value: b.Boot},
	}
	if b.Identity != "" {
		v.box = append(v.box, fact{label: health.Text{VI: "Danh tính", EN: "Identity"}, value: b.Identity})
	}
}

// brokenOf lists the problems of a configuration.
func brokenOf(r *config.Report, only bool) *brokenView {
	if r == nil {
		return nil
	}
	out := &brokenView{
		file: r.File, command: "gateagent check --config " + r.File,
		list: r.Problems[:min(len(r.Problems), maxProblems)], more: max(len(r.Problems)-maxProblems, 0),
		intro: health.Text{
			VI: "Đang chạy với bản cấu hình tốt gần nhất. Sửa các dòng sau rồi khởi động lại:",
			EN: "The last good configuration is in force. Mend these lines, then restart:",
		},
	}
	if only {
		out.intro = health.Text{
			VI: "Sửa các dòng sau rồi khởi động lại:",
			EN: "Mend these lines, then restart:",
		}
	}
	return out
}

// onlyConfig is the view when there is no configuration to run with.
func onlyConfig(r *config.Report, now time.Time, zone *time.Location) view {
	return view{
		title: "gateagent", now: now.In(zone).Format("02/01/2006 15:04:05"), only: true, tone: bad,
		question: health.Text{VI: "Cổng này có quyết định được không?", EN: "Can this gate decide?"},
		answer:   health.Text{VI: "Không", EN: "No"},
		why:      health.NewFault(health.ConfigBroken, "").Cause,
		broken:   brokenOf(r, true),
	}
}

// since says for how long and from when something lasts.
func since(now, t time.Time) health.Text {
	a := span(now.Sub(t))
	return health.Text{VI: "từ " + a.VI + " trước", EN: "for " + a.EN}
}

// span puts a time span into words of one unit.
func span(d time.Duration) health.Text {
	d = max(d, 0)
	switch {
	case d < time.Second:
		n := d.Milliseconds()
		return health.Text{VI: fmt.Sprintf("%d ms", n), EN: fmt.Sprintf("%d ms", n)}
	case d < 2*time.Minute:
		n := int(d.Seconds())
		return health.Text{VI: fmt.Sprintf("%d giây", n), EN: fmt.Sprintf("%d s", n)}
	case d < 2*time.Hour:
		n := int(d.Minutes())
		return health.Text{VI: fmt.Sprintf("%d phút", n), EN: fmt.Sprintf("%d min", n)}
	case d < 48*time.Hour:
		n := int(d.Hours())
		return health.Text{VI: fmt.Sprintf("%d giờ", n), EN: fmt.Sprintf("%d h", n)}
	default:
		n := int(d.Hours() / 24)
		return health.Text{VI: fmt.Sprintf("%d ngày", n), EN: fmt.Sprintf("%d days", n)}
	}
}

// size writes bytes in MiB.
func size(n int64) string {
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
}

// grouped writes a number with a sign between each three digits.
func grouped(n uint64, sign string) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + sign + s[i:]
	}
	return s
}
