package soaktest

import (
	"os"
	"path/filepath"
	"testing"
)

// loseJournal deletes the journal's file, as a repairer or a bad card would.
func loseJournal(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "journal", "*.db"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no journal file: %v", err)
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			t.Fatal(err)
		}
	}
}
