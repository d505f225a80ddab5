package main_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"regexp"
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/agent/record"
)

// person is fictional.
type person struct {
	number  gate.Number
	name    string
	address string
}

// someone gives the n-th of 100,000 fictional men born in Hà Nội in 1990.
func someone(n int) person {
	return person{
		number:  gate.Number(fmt.Sprintf("00109%07d", n)),
		name:    fmt.Sprintf("Nguyễn Văn Thứ %d", n),
		address: fmt.Sprintf("Số %d, Phố Không Có Thật, Hà Nội", n),
	}
}

// card is what the code on the person's ID card says.
func (p person) card() string {
	return fmt.Sprintf("%s||%s|15071990|Nam|%s|20082021", string(p.number), p.name, p.address)
}

// policies are the rules that were in force while a test ran.
type policies map[gate.PolicyRef]*policy.Policy

func rulesOf(ps ...*policy.Policy) policies {
	m := policies{policy.Default().Ref(): policy.Default()}
	for _, p := range ps {
		if p != nil {
			m[p.Ref()] = p
		}
	}
	return m
}

// replay holds every entry to its recorded inputs: under the policy that it
// names they give the recorded decision. It reads the CloudEvent as anybody
// would who has nothing else.
func replay(t testing.TB, events []record.Event, rules policies) (judged int) {
	t.Helper()
	for _, e := range events {
		if e.Type() != record.TypeEntry {
			continue
		}
		body, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var entry struct {
			Data struct {
				Seq     uint64   `json:"seq"`
				Verdict string   `json:"verdict"`
				Class   string   `json:"class"`
				Reasons []string `json:"reasons"`
				Inputs  string   `json:"inputs"`
				Policy  named    `json:"policy"`
				Shadow  *struct {
					Policy  named    `json:"policy"`
					Verdict string   `json:"verdict"`
					Reasons []string `json:"reasons"`
				} `json:"shadow"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &entry); err != nil {
			t.Fatal(err)
		}
		d := entry.Data
		if slices.Contains(d.Reasons, string(gate.ReasonStoreFault)) || slices.Contains(d.Reasons, string(gate.ReasonRecordFault)) {
			continue // decided by on_fault, not by a policy
		}
		p := rules[gate.PolicyRef(d.Policy)]
		if p == nil {
			t.Errorf("entry %d was decided by %+v, which was never in force", d.Seq, d.Policy)
			continue
		}
		cbor, err := base64.RawURLEncoding.DecodeString(d.Inputs)
		if err != nil {
			t.Fatal(err)
		}
		in, err := record.DecodeInputs(cbor)
		if err != nil {
			t.Fatalf("entry %d: %v", d.Seq, err)
		}
		again, reasons := decide(p, in)
		if again.Verdict.String() != d.Verdict || again.Class.String() != d.Class || !slices.Equal(reasons, d.Reasons) {
			t.Errorf("entry %d says %s %s %v; its inputs give %v %v %v", d.Seq, d.Verdict, d.Class, d.Reasons, again.Verdict, again.Class, reasons)
		}
		if s := d.Shadow; s != nil {
			again, reasons := decide(rules[gate.PolicyRef(s.Policy)], in)
			if again.Verdict.String() != s.Verdict || !slices.Equal(reasons, s.Reasons) {
				t.Errorf("the shadow of entry %d says %s %v; its inputs give %v %v", d.Seq, s.Verdict, s.Reasons, again.Verdict, reasons)
			}
		}
		judged++
	}
	return judged
}

// named is a policy as entries name it.
type named struct {
	ID      string `json:"id"`
	Version uint64 `json:"version"`
}

func decide(p *policy.Policy, in gate.Inputs) (d gate.Decision, reasons []string) {
	d, reasons = p.Decide(in), []string{}
	for _, r := range d.ReasonList() {
		reasons = append(reasons, string(r))
	}
	return d, reasons
}

// passages says what is wrong with the passages of a journal, "" for nothing:
// each entry that opens has one, and no other has any. A kill may come between
// an entry and its passage.
func passages(events []record.Event, killed bool) string {
	opens := map[uint64]bool{} // whether the passage is there already
	for _, e := range events {
		switch l := e.Link(); e.Type() {
		case record.TypeEntry:
			if v, err := l.Record.Entry(); err != nil {
				return err.Error()
			} else if v.Verdict.Opens() {
				opens[l.Seq] = false
			}
		case record.TypePassage:
			p, err := l.Record.Passage()
			if err != nil {
				return err.Error()
			}
			if seen, ok := opens[p.Ref]; !ok || seen {
				return fmt.Sprintf("passage %d is the second of entry %d, or that one opens nothing", l.Seq, p.Ref)
			}
			opens[p.Ref] = true
		}
	}
	for seq, done := range opens {
		if !done && !killed {
			return fmt.Sprintf("entry %d opens and has no passage", seq)
		}
	}
	return ""
}

// wholeChain holds a journal to being gap-free, once and unbroken from record
// 1 of its epoch.
func wholeChain(t testing.TB, events []record.Event) record.Position {
	t.Helper()
	var at record.Position
	for i, e := range events {
		l := e.Link()
		if i == 0 {
			at.Epoch = e.Epoch()
		}
		if e.Epoch() != at.Epoch || l.Seq != uint64(i)+1 || l.Prev != at.Head {
			t.Fatalf("record %d of epoch %s does not follow record %d of %s", l.Seq, e.Epoch(), at.Seq, at.Epoch)
		}
		if err := l.Record.Check(); err != nil {
			t.Fatalf("record %d: %v", l.Seq, err)
		}
		at.Seq, at.Head = l.Seq, l.Hash()
	}
	return at
}

var tags = regexp.MustCompile(`<[^>]*>`)

// plain gives what a reader of a page sees.
func plain(page string) string {
	return html.UnescapeString(tags.ReplaceAllString(page, " "))
}
