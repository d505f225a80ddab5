package hostile

import (
	"strings"
	"testing"

	"gateagent/agent/gate"
)

// TestPayloads: a serial line and a code carry each of them whole, and names
// name one.
func TestPayloads(t *testing.T) {
	names, words, canaries := map[string]bool{}, map[string]bool{}, 0
	for _, p := range Payloads("/tmp/canary") {
		if p.Text == "" || len(p.Text) > gate.MaxPayload || strings.ContainsAny(p.Text, "\r\n") {
			t.Errorf("%s: %d bytes, or a line end in them", p.Name, len(p.Text))
		}
		if names[p.Name] || strings.Trim(p.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is no name, or of another one too", p.Name)
		}
		names[p.Name] = true
		if strings.Contains(p.Text, "/tmp/canary") {
			canaries++
		}
		if i := strings.Index(p.Text, "zq"); i >= 0 {
			if word := p.Text[i:min(i+4, len(p.Text))]; words[word] {
				t.Errorf("%s: %q is of another one too", p.Name, word)
			} else {
				words[word] = true
			}
		}
	}
	if canaries < 8 || len(words) < 50 || len(names) < 75 {
		t.Errorf("%d payloads, %d with a word, %d with the canary", len(names), len(words), canaries)
	}
}
