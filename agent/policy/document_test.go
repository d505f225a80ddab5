package policy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"gateagent/agent/gate"
	"gateagent/agent/policy"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-update writes it anew) -want +got:\n%s", path, diff)
	}
}

var header = policy.Header{
	Audience: "hn01", Version: 12,
	Issued:  time.Date(2021, 12, 17, 5, 0, 0, 0, time.UTC),
	Expires: time.Date(2021, 12, 24, 5, 0, 0, 0, time.UTC),
}

// TestTable pins what the built-in policy does, as people read it.
func TestTable(t *testing.T) {
	golden(t, "testdata/vn-2021-default.txt", []byte(policy.Default().Table()))
}

// TestDocument pins the form in which a policy travels, and its way back.
func TestDocument(t *testing.T) {
	doc, err := policy.Default().AtLevel(3).Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/vn-2021-default.json", doc)

	p, err := policy.Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	if want := (gate.PolicyRef{ID: policy.DefaultID, Version: 12}); p.Ref() != want || p.Level() != 3 {
		t.Errorf("read back as %v level %d", p.Ref(), p.Level())
	}
	again, err := p.Marshal(header)
	if err != nil || !bytes.Equal(doc, again) {
		t.Errorf("written again it differs: %v\n%s", err, cmp.Diff(string(doc), string(again)))
	}
	product(func(kind, age int, found, extras bool, level int, clock gate.ClockLevel, dataAge int64) {
		in := productInputs(kind, age, found, extras, clock, dataAge)
		if a, b := policy.Default().AtLevel(3).Decide(in), p.Decide(in); a != b {
			t.Fatalf("%+v: built in %v, read %v", in, a, b)
		}
	})

	draft, err := policy.Default().Marshal(policy.Header{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.ParseDraft(draft); err != nil {
		t.Errorf("draft: %v", err)
	}
	if _, err := policy.Parse(draft); err == nil {
		t.Error("a draft was taken for a policy")
	}
	if _, err := new(policy.Policy).Marshal(header); err == nil {
		t.Error("the zero policy has a document")
	}
}

// edit gives the default document with some members replaced (or, for nil,
// removed) by path.
func edit(t *testing.T, changes map[string]any) []byte {
	t.Helper()
	doc, err := policy.Default().Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return edited(t, doc, changes)
}

// edited gives any document with such changes.
func edited(t testing.TB, doc []byte, changes map[string]any) []byte {
	t.Helper()
	var tree map[string]any
	if err := json.Unmarshal(doc, &tree); err != nil {
		t.Fatal(err)
	}
	for path, v := range changes {
		at, parts := tree, strings.Split(path, ".")
		for _, part := range parts[:len(parts)-1] {
			at = at[part].(map[string]any)
		}
		if last := parts[len(parts)-1]; v == nil {
			delete(at, last)
		} else {
			at[last] = v
		}
	}
	out, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestProblems: each fault is named in words, with its place, and all at once.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name string
		doc  []byte
		want []string
	}{
		{"empty", nil, []string{"not valid JSON: it ends too early"}},
		{"cut off", []byte(`{"aud":`), []string{"not valid JSON: it ends too early"}},
		{"not JSON", []byte("{\n  aud: 1}"), []string{"not valid JSON: line 2, column 3: invalid character 'a'"}},
		{"a list", []byte(`[1]`), []string{"a policy is a JSON object, not a list"}},
		{"two documents", []byte(`{} {}`), []string{"not valid JSON: line 1, column 5: something follows the end of the document"}},
		{"too long", bytes.Repeat([]byte(" "), policy.MaxDocument+1), []string{"a policy has at most 65536 bytes; this one has 65537"}},
		{"too deep", []byte(strings.Repeat(`{"a":`, 20)), []string{"not valid JSON: line 1, column 46: nested too deeply"}},
		{"misspelt", edit(t, map[string]any{"niveau": 3, "level": nil}), []string{
			"level: is missing",
			"niveau: is not known here; known are actions, aud, credentials, exp, hints, holidays, hours, iat, id, level, levels, lists, order, params, passback, passes, passport, texts, time_zone, valid_from, valid_to, ver",
		}},
		{"wrong types", edit(t, map[string]any{"level": "3", "id": 4, "params.doubts": 1.5, "actions.RED": "deny"}), []string{
			"id: has to be a text, not number",
			"level: has to be a number, not text",
			"params.doubts: has to be a whole number from 1 to 20, not 1.5",
			"actions.RED: has to be an object, not a text",
		}},
		{"out of bounds", edit(t, map[string]any{"level": 5, "ver": 0, "params.dose_days": -1, "params.hard_age_hours": 12}), []string{
			"ver: has to be a whole number from 1 to 9007199254740992, not 0",
			"level: has to be a whole number from 1 to 4, not 5",
			"params.dose_days: has to be a whole number from 0 to 3660, not -1",
			"params.hard_age_hours: is below soft_age_hours",
		}},
		{"words", edit(t, map[string]any{"time_zone": "Mars/Base", "params.clock": "none", "params.expired_card": "burn", "id": "A b", "exp": 5}), []string{
			"exp: is not after iat",
			"id: has to be 1 to 64 of a-z, 0-9, '.', '-', beginning with a letter or digit",
			`time_zone: "Mars/Base" is not a time zone like "Asia/Ho_Chi_Minh"`,
			`params.clock: "none" is not one of floor, rtc, ntp, central`,
			`params.expired_card: "burn" is not one of warn, manual, deny`,
		}},
		{"dates", edit(t, map[string]any{"valid_from": "2021-12-31", "valid_to": "2021-12-01T00:00:00Z"}), []string{
			`valid_from: "2021-12-31" is not a time like 2021-12-31T00:00:00+07:00`,
		}},
		{"dates turned round", edit(t, map[string]any{"valid_from": "2021-12-31T00:00:00Z", "valid_to": "2021-12-01T00:00:00Z"}), []string{
			"valid_to: is not after valid_from",
		}},
		{"a verdict nobody has", edit(t, map[string]any{"actions.RED.2": "OPEN", "actions.RED.3": "RETRY", "actions.RED.5": "DENY"}), []string{
			`actions.RED.2: "OPEN" is not one of ALLOW, ALLOW_NOTICE, MANUAL_CHECK, DENY, DENY_ALERT`,
			`actions.RED.3: "RETRY" is not one of ALLOW, ALLOW_NOTICE, MANUAL_CHECK, DENY, DENY_ALERT`,
			"actions.RED.5: is not known here; known are 1, 2, 3, 4",
		}},
		{"a class nobody has", edit(t, map[string]any{"actions.ORANGE": map[string]any{}, "actions.GREEN": nil}), []string{
			"actions.GREEN: is missing",
			"actions.ORANGE: is not known here; known are BLOCK, GREEN, RED, UNKNOWN, YELLOW",
		}},
		{"opens for the blocked", edit(t, map[string]any{"actions.BLOCK.1": "ALLOW"}), []string{
			"actions.BLOCK.1: would open the gate for a person who is blocked",
		}},
		{"refuses for want of data", edit(t, map[string]any{"actions.UNKNOWN.4": "DENY"}), []string{
			"actions.UNKNOWN.4: would refuse a person only because nothing is known; use MANUAL_CHECK",
		}},
		{"laxer at the higher level", edit(t, map[string]any{"actions.RED.4": "MANUAL_CHECK", "actions.RED.3": "DENY"}), []string{
			"actions.RED: is laxer at level 4 than at level 3",
		}},
		{"laxer for the worse class", edit(t, map[string]any{"actions.GREEN.3": "MANUAL_CHECK", "actions.GREEN.4": "MANUAL_CHECK"}), []string{
			"actions.YELLOW: is laxer than GREEN at level 3",
		}},
		{"texts", edit(t, map[string]any{
			"texts.HELLO": map[string]any{"vi": "a", "en": "b"}, "texts.DENY/no_such": "x",
			"texts.DENY": map[string]any{"vi": " ", "en": "x\u202ey", "fr": "z"}, "texts.ALLOW": map[string]any{"vi": strings.Repeat("x", 301)},
		}), []string{
			"texts.ALLOW.vi: has more than 300 bytes",
			"texts.ALLOW.en: is missing",
			"texts.DENY.vi: is empty",
			"texts.DENY.en: holds a character that cannot be shown",
			"texts.DENY.fr: is not known here; known are en, vi",
			`texts.DENY/no_such: is no outcome; keys are a verdict ("DENY") or a verdict and a reason ("DENY/card_expired")`,
			`texts.HELLO: is no outcome; keys are a verdict ("DENY") or a verdict and a reason ("DENY/card_expired")`,
		}},
		{"given twice", bytes.Replace(edit(t, map[string]any{"level": 7}), []byte(`"id":`), []byte(`"ver":3,"id":"x","id":`), 1), []string{
			"id: is given twice", "ver: is given twice",
			"level: has to be a whole number from 1 to 4, not 7",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := policy.Parse(tt.doc)
			if p != nil {
				t.Error("a policy came back")
			}
			problems, ok := errors.AsType[policy.Problems](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tt.want, strings.Split(problems.Error(), "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestOwnRules: what a document says is what holds.
func TestOwnRules(t *testing.T) {
	read := func(changes map[string]any) *policy.Policy {
		t.Helper()
		p, err := policy.Parse(edit(t, changes))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	green, block := fact(gate.FactCompleted, 40), fact(gate.FactPositive, 1)
	expired := func(in gate.Inputs) gate.Inputs { in.CardExpires = today; return in }
	at := func(in gate.Inputs, when string) gate.Inputs {
		w, err := time.Parse(time.RFC3339, when)
		if err != nil {
			t.Fatal(err)
		}
		in.Now = w.UnixMilli()
		return in
	}
	dated := map[string]any{"valid_from": "2021-12-10T00:00:00+07:00", "valid_to": "2021-12-20T00:00:00+07:00"}
	for _, tt := range []struct {
		name    string
		p       *policy.Policy
		in      gate.Inputs
		verdict gate.Verdict
		first   gate.Reason
	}{
		{"21 days after a dose", read(map[string]any{"params.dose_days": 21}), inputs(fact(gate.FactCompleted, 20)), gate.Deny, "no_fact_counts"},
		{"recovered for 90 days", read(map[string]any{"params.recovered_days": 90}), inputs(fact(gate.FactRecovered, 91)), gate.Deny, "no_fact_counts"},
		{"a card that expired goes to the guard", read(map[string]any{"params.expired_card": "manual"}), expired(inputs(green)), gate.ManualCheck, "card_expired"},
		{"a card that expired is refused", read(map[string]any{"params.expired_card": "deny"}), expired(inputs(green)), gate.Deny, "card_expired"},
		{"but an alert stays one", read(map[string]any{"params.expired_card": "deny"}), expired(inputs(block)), gate.DenyAlert, "positive"},
		{"one doubt is enough", read(map[string]any{"params.doubts": 1}), func() gate.Inputs { in := inputs(green); in.Flags = gate.FlagSexMismatch; return in }(), gate.ManualCheck, "doubtful_card"},
		{"green is seen by the guard, also on old data", read(map[string]any{
			"actions.GREEN.4": "MANUAL_CHECK",
		}), func() gate.Inputs { in := inputs(green); in.DataAge = 100 * 3600; return in }(), gate.ManualCheck, "vaccinated"},
		{"before its time", read(dated), at(inputs(green), "2021-12-09T23:59:59+07:00"), gate.ManualCheck, "policy_not_in_force"},
		{"at its first instant", read(dated), at(inputs(green), "2021-12-10T00:00:00+07:00"), gate.Allow, "vaccinated"},
		{"at its last second", read(dated), at(inputs(green), "2021-12-19T23:59:59+07:00"), gate.Allow, "vaccinated"},
		{"after its time", read(dated), at(inputs(green), "2021-12-20T00:00:00+07:00"), gate.ManualCheck, "policy_not_in_force"},
		{"after its time it still blocks", read(dated), at(inputs(block), "2021-12-20T00:00:00+07:00"), gate.DenyAlert, "positive"},
		{"another zone: still the day before", read(map[string]any{"time_zone": "Europe/Paris"}), at(inputs(fact(gate.FactCompleted, 13)), "2021-12-17T18:00:00Z"), gate.Deny, "no_fact_counts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := tt.p.Decide(tt.in)
			if d.Verdict != tt.verdict || d.Reasons[0] != tt.first {
				t.Errorf("%v %v, want %v %s", d.Verdict, reasonsOf(d), tt.verdict, tt.first)
			}
		})
	}
	if table := read(dated).Table(); !strings.Contains(table, "after valid_to") || !strings.Contains(table, "policy_not_in_force") {
		t.Error("the table does not tell the end of the policy")
	}
}

// TestTexts: every outcome has a sentence in both languages, none of which
// tells those who stand by about an illness.
func TestTexts(t *testing.T) {
	p := policy.Default()
	for _, v := range gate.Verdicts() {
		for _, r := range append(gate.Reasons(), "") {
			d := gate.Decision{Verdict: v}
			if r != "" {
				d.Add(r)
			}
			vi, en := p.Text(d)
			if vi == "" || en == "" || vi == en {
				t.Errorf("%v %s: %q, %q", v, r, vi, en)
			}
			for _, word := range []string{"dương tính", "F0", "cách ly", "positive", "quarantine", "infect", "Covid", "danh sách", "tiêm", " list", "vaccin", "illness", "bệnh nhân"} {
				if strings.Contains(vi+en, word) {
					t.Errorf("%v %s tells %q: %q, %q", v, r, word, vi, en)
				}
			}
		}
	}
	own, err := policy.Parse(edit(t, map[string]any{"texts": map[string]any{"DENY/card_expired": map[string]any{"vi": "Mời đổi thẻ.", "en": "Renew your card."}}}))
	if err != nil {
		t.Fatal(err)
	}
	d := gate.Decision{Verdict: gate.Deny}
	d.Add(gate.ReasonNoFactCounts)
	d.Add(gate.ReasonCardExpired)
	if vi, en := own.Text(d); vi != "Mời đổi thẻ." || en != "Renew your card." {
		t.Errorf("own text: %q, %q", vi, en)
	}
	if vi, _ := own.Text(gate.Decision{}); !slices.ContainsFunc([]rune(vi), unicode.IsLetter) {
		t.Errorf("no built-in text beside the own ones: %q", vi)
	}
	if vi, _ := new(policy.Policy).Text(gate.Decision{}); vi == "" {
		t.Error("the zero policy is silent")
	}
}

func FuzzParse(f *testing.F) {
	doc, err := policy.Default().Marshal(header)
	if err != nil {
		f.Fatal(err)
	}
	everything, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{string(doc), string(everything), `{`, `[]`, `{"actions":{"GREEN":{"1":"ALLOW"}}}`, `{"id":"x","id":"y"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, err := policy.ParseDraft(doc)
		if (p == nil) != (err != nil) {
			t.Fatalf("policy %v, error %v", p, err)
		}
		if p == nil {
			return
		}
		if d := p.Decide(inputs(fact(gate.FactPositive, 1))); d.Verdict.Opens() {
			t.Fatal("opens for the blocked")
		}
		written, err := p.Marshal(policy.Header{Version: p.Ref().Version})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := policy.ParseDraft(written); err != nil || again.Ref() != p.Ref() {
			t.Fatalf("not read back: %v\n%s", err, written)
		}
	})
}
