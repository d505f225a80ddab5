package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/policy"

	"github.com/google/go-cmp/cmp"
)

// TestRuleProblems: each fault of the rules is named in words, with its place.
func TestRuleProblems(t *testing.T) {
	doc, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	level := func(from string, n int) map[string]any { return map[string]any{"from": from, "level": n} }
	window := func(kv ...any) []any {
		w := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			w[kv[i].(string)] = kv[i+1]
		}
		return []any{w}
	}
	for _, tt := range []struct {
		name    string
		changes map[string]any
		want    []string
	}{
		{"levels turned round", map[string]any{"levels": []any{level("2022-02-01T00:00:00Z", 2), level("2022-01-01T00:00:00Z", 3)}}, []string{
			"levels[1].from: is not after the change before it",
		}},
		{"a level nobody has", map[string]any{"levels": []any{level("soon", 5), map[string]any{"level": 1}, 3}}, []string{
			`levels[0].from: "soon" is not a time like 2021-12-31T00:00:00+07:00`,
			"levels[0].level: has to be a whole number from 1 to 4, not 5",
			"levels[1].from: is missing",
			"levels[2]: has to be an object, not a number",
		}},
		{"what blocks comes late", map[string]any{"order": []any{"deny_list", "positive", "vaccinated", "quarantine"}}, []string{
			"order[3]: quarantine blocks and has to come before vaccinated, which lets in",
		}},
		{"what blocks is left out", map[string]any{"order": []any{"deny_list", "deny_list", "cheerful", 4}}, []string{
			"order[1]: deny_list is given twice",
			`order[2]: "cheerful" is not one of deny_list, positive, quarantine, vaccinated, recovered, partly_vaccinated, tested`,
			"order[3]: has to be a text, not number",
			"order: leaves out positive, which blocks",
			"order: leaves out quarantine, which blocks",
		}},
		{"a longest age below the least", map[string]any{"params.max_dose_age_days": 20}, []string{
			"params.max_dose_age_days: is below dose_days: nobody would ever count as vaccinated",
		}},
		{"credentials", map[string]any{"credentials": map[string]any{"bhyt": "judge", "cccd": "manual", "passport": "judge"}}, []string{
			`credentials.cccd: "manual" is not one of retry, judge`,
			`credentials.bhyt: "judge" is not one of retry, manual`,
			"credentials.passport: is not known here; known are bhyt, cc, cccd, dcc, pass, qrqg, qrqg_masked",
		}},
		{"lifts what blocks", map[string]any{"passport": map[string]any{"lifts": []any{"BLOCK", "RED", "RED"}}}, []string{
			`passport.lifts[0]: "BLOCK" is not one of YELLOW, RED, UNKNOWN`,
			"passport.lifts[2]: RED is given twice",
		}},
		{"lists", map[string]any{"lists": map[string]any{
			"Staff": map[string]any{}, "a": map[string]any{"effect": "allow"}, "b": map[string]any{"effect": "let"}, "c": map[string]any{},
			"d": map[string]any{"effect": "block", "levels": []any{1}}, "e": map[string]any{"effect": "allow", "classes": []any{"BLOCK"}, "levels": []any{0, 2, 2}},
		}}, []string{
			"lists.Staff: is no name of a list: 1 to 32 of a-z, 0-9, '_' and '-', beginning with a letter",
			"lists.a.classes: is missing: which of YELLOW, RED, UNKNOWN the list lets in; [] for none, so that it opens closed hours only",
			`lists.b.effect: "let" is not one of none, allow, notice, manual, block, alert`,
			"lists.c.effect: is missing",
			"lists.d.levels: means something with the effect allow only",
			`lists.e.classes[0]: "BLOCK" is not one of GREEN, YELLOW, RED, UNKNOWN`,
			"lists.e.levels[0]: has to be a whole number from 1 to 4",
			"lists.e.levels[2]: 2 is given twice",
		}},
		{"lists that deny or watch and let in", map[string]any{"lists": map[string]any{
			"deny": map[string]any{"effect": "allow", "classes": []any{"RED"}}, "watch": map[string]any{"effect": "allow", "classes": []any{}},
		}}, []string{
			"lists.deny.effect: allow cannot be meant for a list called deny; use block, alert, or another name for the list",
			"lists.watch.effect: allow cannot be meant for a list called watch; use notice, manual, block, alert, or another name for the list",
		}},
		{"lists that deny or watch and do nothing", map[string]any{"lists": map[string]any{
			"deny": map[string]any{"effect": "none"}, "watch": map[string]any{"effect": "none"},
		}}, []string{
			"lists.deny.effect: none cannot be meant for a list called deny; use block, alert, or another name for the list",
			"lists.watch.effect: none cannot be meant for a list called watch; use notice, manual, block, alert, or another name for the list",
		}},
		{"a list that denies and leaves it to the guard", map[string]any{"lists": map[string]any{
			"deny": map[string]any{"effect": "manual"}, "watch": map[string]any{"effect": "manual"},
		}}, []string{
			"lists.deny.effect: manual cannot be meant for a list called deny; use block, alert, or another name for the list",
		}},
		{"holidays", map[string]any{"holidays": []any{"2022-01-02", "2022-01-01", "2022-02-30", 4}}, []string{
			"holidays[1]: is not after the day before it",
			`holidays[2]: "2022-02-30" is not a date like 2022-01-01`,
			"holidays[3]: has to be a text, not number",
		}},
		{"hours", map[string]any{"hours": map[string]any{"open": append(window("from", "8:00", "to", "24:00"),
			append(window("from", "09:00"), window("weekdays", []any{"mo", "mon", "mon"}, "from", "24:00", "to", "24:00")...)...)}}, []string{
			`hours.open[0].from: "8:00" is not a time of day like 08:30`,
			"hours.open[1].from: and to belong together",
			`hours.open[2].weekdays[0]: "mo" is not one of mon, tue, wed, thu, fri, sat, sun`,
			"hours.open[2].weekdays[2]: mon is given twice",
			"hours.open[2].from: 24:00 is the end of a day, not a beginning",
		}},
		{"outside opens for the blocked", map[string]any{"hours.outside": map[string]any{"BLOCK": "ALLOW", "RED": "RETRY"}}, []string{
			`hours.outside.RED: "RETRY" is not one of ALLOW, ALLOW_NOTICE, MANUAL_CHECK, DENY`,
			"hours.outside.BLOCK: is not known here; known are GREEN, PASS, RED, UNKNOWN, YELLOW",
		}},
		{"bad passes that open", map[string]any{"passes.bad": map[string]any{"pass_forged": "ALLOW"}, "passes.clock": "none"}, []string{
			`passes.clock: "none" is not one of floor, rtc, ntp, central`,
			`passes.bad.pass_forged: "ALLOW" is not one of RETRY, MANUAL_CHECK, DENY, DENY_ALERT`,
		}},
		{"passes laxer at the higher level", map[string]any{"passes.actions.child": map[string]any{"1": "DENY", "2": "ALLOW", "3": "ALLOW"}}, []string{
			"passes.actions.child: is laxer at level 2 than at level 1",
			"passes.actions.child.4: is missing",
		}},
		{"passages without an end", map[string]any{"passback": map[string]any{"in": "hard", "reentry": "soft", "out": "alert"}}, []string{
			`passback.out: "alert" is not one of off, soft, hard`,
			"passback.forgive_minutes: has to say after how long a passage is forgotten, 1 to 10080",
			"passback.interval_minutes: has to say how soon is too soon, 1 to 10080",
		}},
		{"a hint that refuses", map[string]any{"hints.effect": "deny"}, []string{"hints.effect: a hint never refuses; use manual"}},
		{"a hint nobody has", map[string]any{"hints": map[string]any{"effect": "shout", "weights": map[string]any{"masked": 3, "proxy": 21}}}, []string{
			`hints.effect: "shout" is not one of note, notice, manual`,
			"hints.weights.proxy: has to be a whole number from 0 to 20, not 21",
			"hints.weights.masked: is not known here; known are birth_year_mismatch, card_data_mismatch, extra_fields, proxy, sex_mismatch, six_fields, unknown_place_code",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := policy.ParseDraft(edited(t, doc, tt.changes))
			problems, ok := errors.AsType[policy.Problems](err)
			if p != nil || !ok {
				t.Fatalf("policy %v, error %v", p, err)
			}
			if diff := cmp.Diff(tt.want, strings.Split(problems.Error(), "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestOldDocument: what a policy of before this form leaves unsaid is as it
// was built in.
func TestOldDocument(t *testing.T) {
	b, err := policy.Default().Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	old := edited(t, b, map[string]any{
		"order": nil, "credentials": nil, "passport": nil, "passes": nil, "passback": nil, "hints": nil, "params.max_dose_age_days": nil,
	})
	p, err := policy.Parse(old)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(b), string(again)); diff != "" {
		t.Errorf("-built in +read:\n%s", diff)
	}
}

// TestAnnouncedLevels: the level in force is a function of the moment.
func TestAnnouncedLevels(t *testing.T) {
	p := statedPolicies(t)["everything"].policy
	partly := func(at time.Time, clock gate.ClockLevel) gate.Inputs {
		in := inputs(fact(gate.FactBegun, 30))
		in.Now, in.Clock, in.Direction = at.UnixMilli(), clock, gate.DirectionOut
		return in
	}
	at := func(s string) time.Time {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, tt := range []struct {
		at    string
		level int
		since string
		want  gate.Verdict
	}{
		{"2021-12-17T12:00:00+07:00", 2, "", gate.Allow},
		{"2022-01-09T23:59:59+07:00", 2, "", gate.Allow},
		{"2022-01-10T00:00:00+07:00", 3, "2022-01-10T00:00:00+07:00", gate.AllowNotice},
		{"2022-01-31T23:59:59+07:00", 3, "2022-01-10T00:00:00+07:00", gate.AllowNotice},
		{"2022-02-01T00:00:00+07:00", 1, "2022-02-01T00:00:00+07:00", gate.Allow},
		{"2031-02-01T00:00:00+07:00", 1, "2022-02-01T00:00:00+07:00", gate.Allow},
	} {
		when := at(tt.at)
		level, since := p.LevelAt(when)
		if level != tt.level || tt.since == "" != since.IsZero() || tt.since != "" && !since.Equal(at(tt.since)) {
			t.Errorf("%s: level %d since %v", tt.at, level, since)
		}
		if d := p.Decide(partly(when, gate.ClockCentral)); d.Verdict != tt.want {
			t.Errorf("%s: %v %v", tt.at, d.Verdict, d.ReasonList())
		}
		if e := p.Explain(partly(when, gate.ClockCentral)); e.Level != tt.level {
			t.Errorf("%s: explained at level %d", tt.at, e.Level)
		}
		// By a clock that cannot tell nobody passes, whatever is announced.
		if d := p.Decide(partly(when, gate.ClockFloor)); d.Verdict != gate.ManualCheck {
			t.Errorf("%s, no clock: %v %v", tt.at, d.Verdict, d.ReasonList())
		}
	}
	if level, _ := p.AtLevel(4).LevelAt(at("2022-02-01T00:00:00+07:00")); level != 4 {
		t.Errorf("set to level 4, and at level %d", level)
	}
}

// TestHours takes the edges of opening hours, over midnight and on holidays.
func TestHours(t *testing.T) {
	b, err := policy.Default().Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse(edited(t, b, map[string]any{
		"holidays": []string{"2021-12-25"},
		"hours": map[string]any{
			"open": []any{
				map[string]any{"weekdays": []string{"mon", "fri"}, "from": "08:00", "to": "17:00"},
				map[string]any{"weekdays": []string{"fri", "sat"}, "from": "20:00", "to": "02:00"},
			},
			"holidays": "closed",
		},
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   string // Vietnam
		open bool
	}{
		{"2021-12-17 07:59", false}, // Friday
		{"2021-12-17 08:00", true},
		{"2021-12-17 16:59", true},
		{"2021-12-17 17:00", false},
		{"2021-12-17 20:00", true},
		{"2021-12-18 01:59", true}, // still Friday's
		{"2021-12-18 02:00", false},
		{"2021-12-18 12:00", false},
		{"2021-12-19 01:59", true}, // still Saturday's
		{"2021-12-19 20:00", false},
		{"2021-12-20 08:00", true}, // Monday
		{"2021-12-21 08:00", false},
		{"2021-12-25 01:00", true},  // a holiday, but Friday's evening
		{"2021-12-25 20:30", false}, // the holiday's own evening
		{"2021-12-26 01:00", false}, // and the night that belongs to it
	} {
		at, err := time.ParseInLocation("2006-01-02 15:04", tt.at, p.Zone())
		if err != nil {
			t.Fatal(err)
		}
		in := inputs(fact(gate.FactCompleted, 400))
		in.Now = at.UnixMilli()
		want := gate.ManualCheck
		if tt.open {
			want = gate.Allow
		}
		if d := p.Decide(in); d.Verdict != want {
			t.Errorf("%s: %v %v", tt.at, d.Verdict, d.ReasonList())
		}
		in.Direction = gate.DirectionOut
		if d := p.Decide(in); d.Verdict != gate.Allow {
			t.Errorf("%s, on the way out: %v %v", tt.at, d.Verdict, d.ReasonList())
		}
	}
}

func TestPassageWindow(t *testing.T) {
	if got := policy.Default().PassageWindow(); got != 0 {
		t.Errorf("built in: %v", got)
	}
	if got := statedPolicies(t)["everything"].policy.PassageWindow(); got != time.Hour {
		t.Errorf("everything: %v", got)
	}
	var none *policy.Policy
	if none.PassageWindow() != 0 {
		t.Error("no policy remembers")
	}
}
