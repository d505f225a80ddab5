package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gateagent/agent/gate"
)

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
