package health

import (
	"strings"
	"testing"
)

func TestTheft(t *testing.T) {
	seen := map[Text]string{}
	for _, tc := range []struct {
		name   string
		theft  Theft
		onDisk bool
		en     []string // what the sentence must say
		not    []string // and what it must not
	}{
		{
			"set and entry keys in files",
			Theft{Sets: []string{"vn", "hn01-lists"}, EntryKey: true},
			true,
			[]string{"vn, hn01-lists", "what is recorded", "which entries are that person's", "at once"},
			[]string{"memory", "nobody"},
		},
		{
			"a set's key in a file, the entry key missing or in memory",
			Theft{Sets: []string{"vn"}},
			true,
			[]string{"data vn", "not whose the entries are"},
			[]string{"memory", "nobody"},
		},
		{
			"one set in a file, another in memory",
			Theft{Sets: []string{"hn01-lists"}, Memory: true},
			true,
			[]string{"data hn01-lists", "not whose the entries are"},
			[]string{"memory", "nobody"},
		},
		{
			"the entry key alone in a file",
			Theft{EntryKey: true, Memory: true},
			true,
			[]string{"which entries are that person's", "nobody can be found in the data"},
			[]string{"memory"},
		},
		{"memory only", Theft{Memory: true}, false, []string{"can find nobody", "memory only", "no more keys"}, nil},
		{"no key at all", Theft{}, false, []string{"no key on this box", "can find nobody"}, []string{"memory"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := tc.theft.Text()
			if tc.theft.OnDisk() != tc.onDisk {
				t.Errorf("on disk: %v", !tc.onDisk)
			}
			for _, want := range tc.en {
				if !strings.Contains(text.EN, want) {
					t.Errorf("%q does not say %q", text.EN, want)
				}
			}
			for _, never := range tc.not {
				if strings.Contains(text.EN, never) {
					t.Errorf("%q says %q", text.EN, never)
				}
			}
			// One sentence in each language.
			for _, s := range []string{text.VI, text.EN} {
				if strings.Count(s, ".") != 1 || !strings.HasSuffix(s, ".") {
					t.Errorf("%q is not one sentence", s)
				}
			}
			for _, set := range tc.theft.Sets {
				if !strings.Contains(text.VI, set) {
					t.Errorf("%q does not name %s", text.VI, set)
				}
			}
			if other, twice := seen[text]; twice && other != tc.name && tc.theft.Sets == nil {
				t.Errorf("the same sentence as %q", other)
			}
			seen[text] = tc.name
		})
	}
}
