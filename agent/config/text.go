package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxFile bounds a configuration; the annotated sample has about 8 KiB.
const maxFile = 64 << 10

// maxTextProblems bounds how many wrong characters of one file are named.
const maxTextProblems = 10

// plainText brings a file to clean UTF-8 and names what stood in the way.
// Wrong characters are replaced by spaces, so that the rest can be read; stop
// is true when there is no sense in reading on.
func plainText(raw []byte) (text []byte, problems []Problem, stop bool) {
	if p, is := wideText(raw); is {
		return nil, []Problem{p}, true
	}
	if len(raw) > maxFile {
		return nil, []Problem{{
			Line: 1, Col: 1, Key: "file",
			What: fmt.Sprintf("is larger than %d KiB, which no configuration is", maxFile>>10),
			Hint: "look at the file: it is probably something else",
		}}, true
	}
	raw = bytes.TrimPrefix(raw, []byte("\xef\xbb\xbf"))
	text = bytes.Clone(raw)
	line, col := 1, 1
	for i := 0; i < len(raw); {
		c, size := utf8.DecodeRune(raw[i:])
		var what, hint string
		switch {
		case c == utf8.RuneError && size == 1:
			what = fmt.Sprintf("has the byte 0x%02X, which is not UTF-8 text", raw[i])
			hint = "save the file with the encoding UTF-8"
		case c == '\n':
			i, line, col = i+1, line+1, 1
			continue
		case c == '\r' && i+1 < len(raw) && raw[i+1] == '\n', c == '\t':
		case c == '\r':
			what = "has a carriage return without a line feed"
			hint = "save the file with Unix line ends (LF)"
		case c < 0x20 || c == 0x7F || c >= 0x80 && c < 0xA0:
			what = fmt.Sprintf("has the control character U+%04X (%s)", c, controlName(c))
			hint = "delete it: it cannot be seen in most editors; type the line again"
		default:
			if name, is := unseen[c]; is {
				what = fmt.Sprintf("has the invisible character U+%04X (%s)", c, name)
				hint = "delete it: it comes from copying out of a document; type the line again"
			}
		}
		if what != "" {
			if len(problems) < maxTextProblems {
				problems = append(problems, Problem{Line: line, Col: col, Key: "file", What: what, Hint: hint})
			}
			for j := range size {
				text[i+j] = ' '
			}
		}
		i += size
		col++
	}
	lines := strings.Split(string(text), "\n")
	for i := range problems {
		problems[i].Key = keyAt(lines, problems[i].Line)
	}
	return text, problems, false
}

// keyAt gives the full name of the key on a line (from 1), by its looks alone;
// "file" where there is none.
func keyAt(lines []string, line int) string {
	section, counts := "", map[string]int{}
	for _, l := range lines[:line-1] {
		m := headerLine.FindStringSubmatch(l)
		if m == nil {
			continue
		}
		section = m[2]
		if m[1] == "[[" {
			counts[section]++
		}
		first, rest, _ := strings.Cut(section, ".")
		if n := counts[first]; n > 0 {
			section = strings.TrimSuffix(fmt.Sprintf("%s[%d].%s", first, n, rest), ".")
		}
	}
	l := lines[line-1]
	if m := headerLine.FindStringSubmatch(l); m != nil {
		return m[2]
	}
	if m := keyLine.FindStringSubmatch(l); m != nil {
		return strings.TrimPrefix(section+"."+m[1], ".")
	}
	return "file"
}

// wideText recognises UTF-16 and UTF-32 by their mark, or UTF-16 without one
// by the zero bytes beside ASCII letters.
func wideText(raw []byte) (Problem, bool) {
	var form string
	switch {
	case bytes.HasPrefix(raw, []byte{0xFF, 0xFE, 0, 0}), bytes.HasPrefix(raw, []byte{0, 0, 0xFE, 0xFF}):
		form = "UTF-32"
	case bytes.HasPrefix(raw, []byte{0xFF, 0xFE}):
		form = "UTF-16LE"
	case bytes.HasPrefix(raw, []byte{0xFE, 0xFF}):
		form = "UTF-16BE"
	default:
		even, odd, pairs := 0, 0, min(len(raw), 512)/2
		for i := range pairs {
			if raw[2*i] == 0 && raw[2*i+1] != 0 {
				even++
			}
			if raw[2*i] != 0 && raw[2*i+1] == 0 {
				odd++
			}
		}
		switch {
		case pairs >= 2 && even > pairs*3/4:
			form = "UTF-16BE"
		case pairs >= 2 && odd > pairs*3/4:
			form = "UTF-16LE"
		default:
			return Problem{}, false
		}
	}
	return Problem{
		Line: 1, Col: 1, Key: "file",
		What: fmt.Sprintf("is saved as %s; it must be UTF-8", form),
		Hint: fmt.Sprintf("choose UTF-8 when saving, or convert it: iconv -f %s -t UTF-8 OLD > NEW", form),
	}, true
}

// unseen are characters that editors show as a space or not at all.
var unseen = map[rune]string{
	0x00A0: "no-break space", 0x00AD: "soft hyphen", 0x200B: "zero-width space",
	0x200C: "zero-width non-joiner", 0x200D: "zero-width joiner", 0x200E: "left-to-right mark",
	0x200F: "right-to-left mark", 0x2028: "line separator", 0x2029: "paragraph separator",
	0x202A: "text direction", 0x202B: "text direction", 0x202C: "text direction",
	0x202D: "text direction", 0x202E: "text direction", 0x202F: "narrow no-break space",
	0x2060: "word joiner", 0x2066: "text direction", 0x2067: "text direction",
	0x2068: "text direction", 0x2069: "text direction", 0x3000: "wide space", 0xFEFF: "byte order mark",
}

var controlNames = [...]string{
	"null", "start of heading", "start of text", "end of text", "end of transmission", "enquiry",
	"acknowledge", "bell", "backspace", "tab", "line feed", "vertical tab", "form feed",
	"carriage return", "shift out", "shift in", "data link escape", "device control 1",
	"device control 2", "device control 3", "device control 4", "negative acknowledge",
	"synchronous idle", "end of block", "cancel", "end of medium", "substitute", "escape",
	"file separator", "group separator", "record separator", "unit separator",
}

func controlName(c rune) string {
	switch {
	case int(c) < len(controlNames):
		return controlNames[c]
	case c == 0x7F:
		return "delete"
	default:
		return "control"
	}
}
