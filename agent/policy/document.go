package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gateagent/agent/gate"
)

// Bounds of a policy document.
const (
	MaxDocument = 64 << 10 // bytes
	maxText     = 300      // bytes of one sentence
	maxID       = 64
)

// Header is what the publisher adds to a draft: the claims that every signed
// document has (DESIGN §4.3). Zero members are left out.
type Header struct {
	Audience string // the site
	Version  uint64 // from 1 on
	Issued   time.Time
	Expires  time.Time // last instant at which it may be taken into force
}

// Parse reads the payload of a signed policy. Signature, audience and expiry
// are the caller's business; that the claims are there is checked here. The
// error is a [Problems] that lists all that is wrong.
func Parse(payload []byte) (*Policy, error) { return parse(payload, false) }

// ParseDraft reads a policy that is being written: like [Parse], but aud, ver,
// iat and exp may be missing.
func ParseDraft(payload []byte) (*Policy, error) { return parse(payload, true) }

func parse(payload []byte, draft bool) (*Policy, error) {
	if len(payload) > MaxDocument {
		return nil, Problems{{Text: fmt.Sprintf("a policy has at most %d bytes; this one has %d", MaxDocument, len(payload))}}
	}
	root, problems := readTree(payload)
	if root == nil {
		return nil, problems
	}
	r := &reader{problems: problems}
	p := r.policy(root, draft)
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	p.compile()
	return p, nil
}

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
			DoseDays: p.params.DoseDays, RecoveredDays: p.params.RecoveredDays,
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
		row := map[string]string{}
		for level := MinLevel; level <= MaxLevel; level++ {
			row[strconv.Itoa(level)] = p.action[c][level].String()
		}
		doc.Actions[c.String()] = row
	}
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
	Aud       string                       `json:"aud,omitempty"`
	Ver       uint64                       `json:"ver,omitempty"`
	Iat       int64                        `json:"iat,omitempty"`
	Exp       int64                        `json:"exp,omitempty"`
	ID        string                       `json:"id"`
	Level     int                          `json:"level"`
	TimeZone  string                       `json:"time_zone"`
	ValidFrom string                       `json:"valid_from,omitempty"`
	ValidTo   string                       `json:"valid_to,omitempty"`
	Params    paramsDoc                    `json:"params"`
	Actions   map[string]map[string]string `json:"actions"`
	Texts     map[string]Text              `json:"texts"`
}

type paramsDoc struct {
	DoseDays      int    `json:"dose_days"`
	RecoveredDays int    `json:"recovered_days"`
	PCRHours      int    `json:"pcr_hours"`
	AntigenHours  int    `json:"antigen_hours"`
	SoftAgeHours  int    `json:"soft_age_hours"`
	HardAgeHours  int    `json:"hard_age_hours"`
	Clock         string `json:"clock"`
	Doubts        int    `json:"doubts"`
	ExpiredCard   string `json:"expired_card"`
}

// judgedClasses are the classes that the action table has a row for.
var judgedClasses = [...]gate.Class{gate.Green, gate.Yellow, gate.Red, gate.Unknown, gate.Block}

// policy reads the whole document; what is wrong goes to r.problems.
func (r *reader) policy(root *node, draft bool) *Policy {
	p := &Policy{}
	doc := r.object(root, "")
	if doc == nil {
		return p
	}
	need := required
	if draft {
		need = optional
	}
	if aud, ok := doc.text("aud", need); ok && aud == "" {
		doc.problem("aud", "is empty; it names the site")
	}
	p.ref.Version = uint64(doc.integer("ver", need, 1, 1<<53))
	iat := doc.integer("iat", need, 1, 1<<40)
	exp := doc.integer("exp", need, 1, 1<<40)
	if iat != 0 && exp != 0 && exp <= iat {
		doc.problem("exp", "is not after iat")
	}

	id, ok := doc.text("id", required)
	if p.ref.ID = id; ok && !validID(id) {
		doc.problem("id", "has to be 1 to 64 of a-z, 0-9, '.', '-', beginning with a letter or digit")
	}
	p.level = int(doc.integer("level", required, MinLevel, MaxLevel))
	if name, ok := doc.text("time_zone", required); ok {
		zone, err := loadZone(name)
		if err != nil || name == "" || name == "Local" {
			doc.problem("time_zone", fmt.Sprintf("%q is not a time zone like %q", name, vietnamZone))
		}
		p.zone = zone
	}
	p.from = doc.instant("valid_from")
	p.to = doc.instant("valid_to")
	if !p.from.IsZero() && !p.to.IsZero() && !p.from.Before(p.to) {
		doc.problem("valid_to", "is not after valid_from")
	}
	p.params = r.params(doc.object("params", required))
	p.action = r.actions(doc.object("actions", required))
	p.texts = r.texts(doc.object("texts", optional))
	doc.end()
	return p
}

func validID(s string) bool {
	if s == "" || len(s) > maxID || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

const (
	maxDays  = 10 * 366
	maxHours = 24 * 366
)

func (r *reader) params(o *object) Params {
	p := Params{}
	if o == nil {
		return p
	}
	p.DoseDays = int(o.integer("dose_days", required, 0, maxDays))
	p.RecoveredDays = int(o.integer("recovered_days", required, 0, maxDays))
	p.PCRHours = int(o.integer("pcr_hours", required, 0, maxHours))
	p.AntigenHours = int(o.integer("antigen_hours", required, 0, maxHours))
	p.SoftAge = time.Duration(o.integer("soft_age_hours", required, 1, maxHours)) * time.Hour
	p.HardAge = time.Duration(o.integer("hard_age_hours", required, 1, maxHours)) * time.Hour
	if p.SoftAge > 0 && p.HardAge > 0 && p.HardAge < p.SoftAge {
		o.problem("hard_age_hours", "is below soft_age_hours")
	}
	if s, ok := o.text("clock", required); ok {
		level, err := gate.ParseClockLevel(s)
		if err != nil || level == gate.ClockNone {
			o.problem("clock", fmt.Sprintf("%q is not one of floor, rtc, ntp, central", s))
		}
		p.Clock = level
	}
	p.Doubts = int(o.integer("doubts", required, 1, 4))
	if s, ok := o.text("expired_card", required); ok {
		i := slices.Index(expiredCardNames[:], s)
		if i < 0 {
			o.problem("expired_card", fmt.Sprintf("%q is not one of %s", s, strings.Join(expiredCardNames[:], ", ")))
		}
		p.ExpiredCard = ExpiredCard(max(i, 0))
	}
	o.end()
	return p
}

// laxness orders verdicts by how far they open; alert or not is no difference.
func laxness(v gate.Verdict) int {
	switch v {
	case gate.Allow:
		return 3
	case gate.AllowNotice:
		return 2
	case gate.ManualCheck:
		return 1
	}
	return 0
}

// actions reads the table class → level → verdict, and refuses tables that
// cannot be meant: one that lets a blocked person in, that refuses for want of
// data, or that is laxer for the worse class or at the higher level.
func (r *reader) actions(o *object) actions {
	var a actions
	if o == nil {
		return a
	}
	complete := true
	for _, c := range judgedClasses {
		row := o.object(c.String(), required)
		if row == nil {
			complete = false
			continue
		}
		for level := MinLevel; level <= MaxLevel; level++ {
			key := strconv.Itoa(level)
			s, ok := row.text(key, required)
			if !ok {
				complete = false
				continue
			}
			v, err := gate.ParseVerdict(s)
			switch {
			case err != nil || v == gate.Retry:
				row.problem(key, fmt.Sprintf("%q is not one of ALLOW, ALLOW_NOTICE, MANUAL_CHECK, DENY, DENY_ALERT", s))
				complete = false
			case c == gate.Block && v.Opens():
				row.problem(key, "would open the gate for a person who is blocked")
			case c == gate.Unknown && laxness(v) == 0:
				row.problem(key, "would refuse a person only because nothing is known; use MANUAL_CHECK")
			}
			a[c][level] = v
		}
		row.end()
	}
	o.end()
	if !complete {
		return a
	}
	for _, c := range judgedClasses {
		for level := MinLevel + 1; level <= MaxLevel; level++ {
			if laxness(a[c][level]) > laxness(a[c][level-1]) {
				o.problem(c.String(), fmt.Sprintf("is laxer at level %d than at level %d", level, level-1))
			}
		}
	}
	for level := MinLevel; level <= MaxLevel; level++ {
		for _, pair := range [...][2]gate.Class{{gate.Green, gate.Yellow}, {gate.Yellow, gate.Red}} {
			if laxness(a[pair[1]][level]) > laxness(a[pair[0]][level]) {
				o.problem(pair[1].String(), fmt.Sprintf("is laxer than %v at level %d", pair[0], level))
			}
		}
	}
	return a
}

// texts reads the sentences; those not given are the built-in ones.
func (r *reader) texts(o *object) map[string]Text {
	all := defaultTexts()
	if o == nil {
		return all
	}
	for _, key := range o.keys() {
		if !validTextKey(key) {
			o.problem(key, `is no outcome; keys are a verdict ("DENY") or a verdict and a reason ("DENY/card_expired")`)
			o.take(key)
			continue
		}
		t := o.object(key, required)
		if t == nil {
			continue
		}
		var text Text
		text.VI = t.sentence("vi")
		text.EN = t.sentence("en")
		t.end()
		all[key] = text
	}
	return all
}

func validTextKey(key string) bool {
	verdict, reason, hasReason := strings.Cut(key, "/")
	if _, err := gate.ParseVerdict(verdict); err != nil {
		return false
	}
	return !hasReason || slices.Contains(gate.Reasons(), gate.Reason(reason))
}

func (o *object) sentence(key string) string {
	s, ok := o.text(key, required)
	switch {
	case !ok:
	case strings.TrimSpace(s) == "":
		o.problem(key, "is empty")
	case len(s) > maxText:
		o.problem(key, fmt.Sprintf("has more than %d bytes", maxText))
	case strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) || c == utf8.RuneError }):
		o.problem(key, "holds a character that cannot be shown")
	}
	return s
}
