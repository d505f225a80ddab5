package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gateagent/agent/gate"
)

// Marshal gives the document that [Parse] reads back, or with an incomplete
// header the draft that [ParseDraft] does. The version in the header replaces
// the policy's own.
func (p *Policy) Marshal(h Header) ([]byte, error) {
	if p == nil || !p.built {
		return nil, errors.New("marshal policy: the zero policy has no document")
	}
	doc := document{
		Aud: h.Audience, Ver: h.Version,
		ID: p.ref.ID, Level: p.level, TimeZone: p.zone.String(),
		Params: paramsDoc{
			DoseDays: p.params.DoseDays, MaxDoseAge: p.params.MaxDoseAge, RecoveredDays: p.params.RecoveredDays,
			PCRHours: p.params.PCRHours, AntigenHours: p.params.AntigenHours,
			SoftAgeHours: int(p.params.SoftAge / time.Hour), HardAgeHours: int(p.params.HardAge / time.Hour),
			Clock: p.params.Clock.String(), Doubts: p.params.Doubts, ExpiredCard: p.params.ExpiredCard.String(),
		},
		Actions: map[string]map[string]string{},
		Texts:   p.texts,
	}
	if !h.Issued.IsZero() {
		doc.Iat = h.Issued.Unix()
	}
	if !h.Expires.IsZero() {
		doc.Exp = h.Expires.Unix()
	}
	if !p.from.IsZero() {
		doc.ValidFrom = p.from.UTC().Format(time.RFC3339)
	}
	if !p.to.IsZero() {
		doc.ValidTo = p.to.UTC().Format(time.RFC3339)
	}
	for _, c := range judgedClasses {
		doc.Actions[c.String()] = p.action[c].doc()
	}
	p.writeRules(&doc)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return nil, fmt.Errorf("marshal policy: %w", err)
	}
	return b.Bytes(), nil
}

// document is the JSON form, in the order in which it is written.
type document struct {
	Aud         string                       `json:"aud,omitempty"`
	Ver         uint64                       `json:"ver,omitempty"`
	Iat         int64                        `json:"iat,omitempty"`
	Exp         int64                        `json:"exp,omitempty"`
	ID          string                       `json:"id"`
	Level       int                          `json:"level"`
	TimeZone    string                       `json:"time_zone"`
	Levels      []levelDoc                   `json:"levels,omitempty"`
	ValidFrom   string                       `json:"valid_from,omitempty"`
	ValidTo     string                       `json:"valid_to,omitempty"`
	Params      paramsDoc                    `json:"params"`
	Actions     map[string]map[string]string `json:"actions"`
	Order       []string                     `json:"order"`
	Credentials map[string]string            `json:"credentials"`
	Passport    passportDoc                  `json:"passport"`
	Lists       map[string]listDoc           `json:"lists,omitempty"`
	Holidays    []string                     `json:"holidays,omitempty"`
	Hours       *hoursDoc                    `json:"hours,omitempty"`
	Passes      passesDoc                    `json:"passes"`
	Passback    passbackDoc                  `json:"passback"`
	Hints       hintsDoc                     `json:"hints"`
	Texts       map[string]Text              `json:"texts"`
}

type paramsDoc struct {
	DoseDays      int    `json:"dose_days"`
	MaxDoseAge    int    `json:"max_dose_age_days"`
	RecoveredDays int    `json:"recovered_days"`
	PCRHours      int    `json:"pcr_hours"`
	AntigenHours  int    `json:"antigen_hours"`
	SoftAgeHours  int    `json:"soft_age_hours"`
	HardAgeHours  int    `json:"hard_age_hours"`
	Clock         string `json:"clock"`
	Doubts        int    `json:"doubts"`
	ExpiredCard   string `json:"expired_card"`
}

type levelDoc struct {
	From  string `json:"from"`
	Level int    `json:"level"`
}

type passportDoc struct {
	Lifts []string `json:"lifts"`
}

type listDoc struct {
	Effect   string      `json:"effect"`
	Hours    []windowDoc `json:"hours,omitempty"`
	Holidays string      `json:"holidays,omitempty"`
	Classes  *[]string   `json:"classes,omitempty"` // there, perhaps empty, with effect allow
	Levels   []int       `json:"levels,omitempty"`
	Note     string      `json:"note,omitempty"`
}

type windowDoc struct {
	Weekdays []string `json:"weekdays,omitempty"`
	From     string   `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
}

type hoursDoc struct {
	Open     []windowDoc       `json:"open,omitempty"`
	Holidays string            `json:"holidays"`
	Outside  map[string]string `json:"outside"`
}

type passesDoc struct {
	Clock   string                       `json:"clock"`
	Actions map[string]map[string]string `json:"actions"`
	Bad     map[string]string            `json:"bad"`
}

type passbackDoc struct {
	In              string `json:"in"`
	Out             string `json:"out"`
	ForgiveMinutes  int    `json:"forgive_minutes"`
	Reentry         string `json:"reentry"`
	IntervalMinutes int    `json:"interval_minutes"`
}

type hintsDoc struct {
	Effect  string         `json:"effect"`
	Weights map[string]int `json:"weights"`
}

// writeRules fills what the document says beside parameters and actions.
func (p *Policy) writeRules(doc *document) {
	for _, c := range p.changes {
		doc.Levels = append(doc.Levels, levelDoc{c.From.UTC().Format(time.RFC3339), c.Level})
	}
	doc.Order = []string{}
	for _, r := range p.order {
		doc.Order = append(doc.Order, r.String())
	}
	doc.Credentials = map[string]string{}
	for i, rule := range credentialRules {
		doc.Credentials[rule.name] = p.accept[i].String()
	}
	doc.Passport.Lifts = classNames(p.lifts)
	for i := range p.lists {
		if doc.Lists == nil {
			doc.Lists = map[string]listDoc{}
		}
		doc.Lists[p.lists[i].Name] = p.lists[i].doc()
	}
	for _, day := range p.holidays {
		doc.Holidays = append(doc.Holidays, day.String())
	}
	if !p.hours.always() {
		doc.Hours = p.hours.doc()
	}
	doc.Passes = passesDoc{Clock: p.passes.clock.String(), Actions: map[string]map[string]string{}, Bad: map[string]string{}}
	for _, k := range passKinds {
		doc.Passes.Actions[k.String()] = p.passes.actions[k].doc()
	}
	for i := range badPasses {
		doc.Passes.Bad[string(badPasses[i].reason)] = p.passes.bad[i].String()
	}
	doc.Passback = passbackDoc{
		In: p.passback.In.String(), Out: p.passback.Out.String(), ForgiveMinutes: int(p.passback.Forgive / time.Minute),
		Reentry: p.passback.Reentry.String(), IntervalMinutes: int(p.passback.Interval / time.Minute),
	}
	doc.Hints = hintsDoc{Effect: p.hints.Effect.String(), Weights: map[string]int{}}
	for i := range hintRules {
		doc.Hints.Weights[string(hintRules[i].reason)] = p.hints.Weight[i]
	}
}

func (l *perLevel) doc() map[string]string {
	row := map[string]string{}
	for level := MinLevel; level <= MaxLevel; level++ {
		row[strconv.Itoa(level)] = l[level].String()
	}
	return row
}

func classNames(s classSet) []string {
	names := []string{}
	for _, c := range judgedClasses {
		if s.has(c) {
			names = append(names, c.String())
		}
	}
	return names
}

func (l *ListRule) doc() listDoc {
	d := listDoc{Effect: l.Effect.String(), Hours: windowDocs(l.Hours), Note: l.Note}
	if l.NotOnHolidays {
		d.Holidays = "closed"
	}
	if l.Effect == ListAllow {
		names := classNames(l.Classes)
		d.Classes = &names
		for level := MinLevel; l.Levels != 0 && level <= MaxLevel; level++ {
			if l.Levels.has(level) {
				d.Levels = append(d.Levels, level)
			}
		}
	}
	return d
}

func (h *Hours) doc() *hoursDoc {
	d := hoursDoc{Open: windowDocs(h.Open), Holidays: "open", Outside: map[string]string{}}
	if h.ClosedOnHolidays {
		d.Holidays = "closed"
	}
	for _, c := range outsideClasses {
		d.Outside[outsideName(c)] = h.Outside[c].String()
	}
	return &d
}

func windowDocs(windows []gate.Window) (docs []windowDoc) {
	for _, w := range windows {
		d := windowDoc{}
		for i, day := range weekdays {
			if w.Weekdays>>i&1 != 0 {
				d.Weekdays = append(d.Weekdays, day)
			}
		}
		if w.Start != w.End {
			d.From, d.To = clockTime(w.Start), clockTime(w.End)
		}
		docs = append(docs, d)
	}
	return docs
}

// clockTime writes a minute of the day as "08:30"; its end is "24:00".
func clockTime(minute uint16) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
