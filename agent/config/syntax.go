package config

import (
	"fmt"
	"strings"
)

// explainSyntax says in plain words why a line cannot be read. line is the
// text of the line, col where reading stopped (from 1, in characters), and
// later is true when the thing that cannot be read began on an earlier line.
// reason is the parser's own word; it chooses among our texts and is never
// shown.
func explainSyntax(line string, col int, later bool, reason string) (what, hint string) {
	rs := []rune(strings.TrimRight(line, "\r"))
	var rest string
	if col-1 < len(rs) {
		rest = string(rs[col-1:])
	}
	key, after, hasEquals := strings.Cut(line, "=")
	key, after = strings.TrimSpace(key), strings.TrimSpace(after)
	bare, _, _ := strings.Cut(after, "#")
	bare = strings.TrimSpace(bare)

	if i := strings.IndexAny(line, "“”‘’„«»"); i >= 0 && !strings.Contains(line[:i], `"`) {
		return "has a curly quotation mark; only straight ones count",
			`type the quotation marks again: " and not “ or ”`
	}
	switch {
	case has(reason, "expected '=' after key"):
		if name, val, ok := strings.Cut(line, ":"); ok && !strings.ContainsAny(name, `"'= `) {
			return "a colon stands where an equals sign must",
				fmt.Sprintf("write %s = %s", strings.TrimSpace(name), strings.TrimSpace(val))
		}
		return "the equals sign after the key is missing", "write key = value, one a line"
	case has(reason, "to close table name", "to close array table name"):
		return "the closing bracket of the section name is missing",
			"write [name], or [[name]] for things there can be several of"
	case has(reason, "at start of key", "expected key"):
		if strings.HasPrefix(rest, "=") {
			return "the key before the equals sign is missing", "write key = value, one a line"
		}
		return "a line cannot begin like this", "a line is key = value, [section], [[section]] or # comment"
	case has(reason, "expected value", "at start of value", "expected keyword", "strings must be quoted",
		"expected number after sign", "expected newline", "expected digit") && hasEquals && !later:
		return explainValue(key, bare, rest)
	case has(reason, "expected newline"):
		return "there is more on this line than one thing", "put one thing on each line"
	case has(reason, "unterminated", "cannot have new lines", "not terminated"):
		return "the closing quotation mark is missing", "end the text with the same quotation mark that begins it"
	case has(reason, "too many quotes"):
		return "there are too many quotation marks", `write one " before the text and one behind it`
	case has(reason, "escape", `character after \`):
		return `a backslash in double quotation marks has a special meaning, and not this one`,
			`write \\ for one backslash, or put the text in single quotation marks: 'like this'`
	case has(reason, "array is incomplete", "after array value", "expected value but got") || later && strings.HasPrefix(rest, `"`):
		return "a comma or the closing ] of the list is missing", `write ["first", "second"]`
	case has(reason, "inline table", "unexpected comma"):
		return "a comma or the closing } is missing", `write { key = "value", other = 1 }, or a section of its own`
	case has(reason, "leading zeroes"):
		return "a number must not begin with a zero", "delete the zeros in front"
	case has(reason, "digit", "radix", "decimal point", "exponent"):
		return "is not a number as it must be written", "write digits only, for example 1280"
	case has(reason, "nested more than"):
		return "there are too many brackets within brackets", "delete the brackets"
	default:
		return "this line cannot be understood", "a line is key = value, [section], [[section]] or # comment"
	}
}

// explainValue says what is wrong with what stands behind an equals sign.
func explainValue(key, bare, rest string) (what, hint string) {
	switch strings.ToLower(bare) {
	case "":
		return "the value after the equals sign is missing", fmt.Sprintf("write a value, for example %s = \"text\", or delete the line", key)
	case "true", "yes", "on", "false", "no", "off":
		word := "true"
		if l := strings.ToLower(bare); l == "false" || l == "no" || l == "off" {
			word = "false"
		}
		return "yes and no are written true and false, in small letters", fmt.Sprintf("write %s = %s", key, word)
	}
	if bare[0] == '"' || bare[0] == '\'' || bare[0] == '[' || bare[0] == '{' || rest == "" {
		return "there is more on this line than one value", "put each key on a line of its own; a comment begins with #"
	}
	if !strings.ContainsAny(bare, "\"'\\") {
		return "text, and a number with a unit, must stand in quotation marks", fmt.Sprintf("write %s = \"%s\"", key, bare)
	}
	return "the value cannot be understood", `put text in straight quotation marks: "like this"`
}

func has(s string, any ...string) bool {
	for _, a := range any {
		if strings.Contains(s, a) {
			return true
		}
	}
	return false
}
