package base45

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The examples of RFC 9285 §4.3 and §4.4.
func TestExamplesOfTheRFC(t *testing.T) {
	for plain, text := range map[string]string{
		"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": "",
	} {
		if got := Encode([]byte(plain)); got != text {
			t.Errorf("%q is %q, not %q", plain, got, text)
		}
		if got, err := Decode([]byte(text)); err != nil || string(got) != plain {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, text := range map[string]string{
		"one digit":               "B",
		"a digit too many":        "BB8B",
		"lower case":              "bb8",
		"another character":       "BB_",
		"another character, two":  "B_",
		"not ASCII":               "BB\xc4\x90",
		"NUL":                     "BB\x00",
		"line feed":               "BB8\n0",
		"65536":                   "GGW", // RFC 9285 §6
		"the largest of three":    ":::",
		"256 in two":              "V5",
		"the largest of two":      "::",
		"trailing line feed":      "BB8BB\n",
		"a comma":                 "BB,",
		"a character behind the:": "BB;",
	} {
		if got, err := Decode([]byte(text)); !errors.Is(err, ErrSyntax) {
			t.Errorf("%s: %q was taken for %q (%v)", name, text, got, err)
		} else if strings.Contains(err.Error(), text) && len(text) > 3 {
			t.Errorf("%s: the error quotes the text", name)
		}
	}
}

func TestEveryPair(t *testing.T) {
	for n := range 1 << 16 {
		in := []byte{byte(n >> 8), byte(n)}
		if got, err := Decode([]byte(Encode(in))); err != nil || !bytes.Equal(got, in) {
			t.Fatalf("%x became %x, %v", in, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "BB8", "%69 VD92EX0", "GGW", "::", "FGW", "U5", "a"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Decode(text)
		if err != nil {
			return
		}
		if len(text) != EncodedLen(len(b)) || Encode(b) != string(text) {
			t.Fatalf("%q and %q are the same bytes", text, Encode(b))
		}
	})
}
