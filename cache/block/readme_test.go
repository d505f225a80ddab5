package block

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// fieldNames are the names of the fields in cache/README.md.
var fieldNames = map[fieldNumber]string{
	fieldFirstDose: "first_dose", fieldCompleted: "completed", fieldLastDose: "last_dose", fieldPositive: "positive",
	fieldRecovered: "recovered", fieldQuarantine: "quarantine", fieldTest: "test", fieldWindow: "window",
	fieldList: "list", fieldOther: "other",
}

// The table of fields in cache/README.md is the one in the code.
func TestReadmeListsTheFields(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		var number fieldNumber
		if _, err := fmt.Sscanf(line, "| %d | `", &number); err == nil {
			rows++
			want := fmt.Sprintf("| %d | `%s` ", number, fieldNames[number])
			if number.repeats() {
				want += "* "
			}
			if !strings.HasPrefix(line, want+"|") {
				t.Errorf("field %d: %s", number, line)
			}
		}
	}
	if rows != int(lastKnown) || len(fieldNames) != rows {
		t.Errorf("%d fields in the table, %d in the code", rows, lastKnown)
	}
	for _, want := range []string{
		fmt.Sprintf("| %d–%d | not given yet | must not be passed over |", lastKnown+1, firstPassable-1),
		fmt.Sprintf("| %d–31 | not given yet | may be passed over |", firstPassable),
		fmt.Sprintf("counted from %d days before `base_day`. A day", earliest),
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("missing: %s", want)
		}
	}
}
