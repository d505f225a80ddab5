package record

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// README.md is the published table: it is held to the code.
func TestReadmeListsEveryKey(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := string(b)
	for _, d := range detailKeys {
		if cell := fmt.Sprintf("| %d | `%s` | ", d.key, d.name); !strings.Contains(readme, cell) {
			t.Errorf("README.md lacks %q", cell)
		}
	}
	for kind, names := range eventKinds {
		if row := fmt.Sprintf("| `%s` | `%s` |\n", kind, strings.Join(names, "` `")); !strings.Contains(readme, row) {
			t.Errorf("README.md lacks %q", row)
		}
	}
	for _, tab := range []table{verdictNames, classNames, credentialNames, directionNames, clockNames, timingNames, doorNames} {
		words := make([]string, len(tab))
		for i, w := range tab {
			words[i] = fmt.Sprintf("%d `%s`", i, w)
		}
		if row := "| " + strings.Join(words, ", ") + " |"; !strings.Contains(readme, row) {
			t.Errorf("README.md lacks %q", row)
		}
	}
}
