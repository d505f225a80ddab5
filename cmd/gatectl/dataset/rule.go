package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gateagent/cmd/gatectl/people"
)

// keptRule is the file of a [Folder] that says by which rule its people became
// facts, so that the next list is read by the same one.
type keptRule struct {
	Settle      int  `json:"settle_days"`
	DosesExpire bool `json:"doses_expire"`
}

func (f Folder) rule() string { return filepath.Join(f.dir, "rule.json") }

// Rule gives the rule by which the versions of the folder were made, without
// its day; the one of old where the folder says nothing.
func (f Folder) Rule() (people.Rule, error) {
	k := keptRule{Settle: people.DefaultSettle}
	b, err := os.ReadFile(f.rule())
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return people.Rule{}, fmt.Errorf("read %s: %w", f.rule(), err)
	}
	return people.Rule{Settle: k.Settle, DosesExpire: k.DosesExpire}, nil
}

// KeepRule notes the rule by which a version is made. The folder is there.
func (f Folder) KeepRule(r people.Rule) error {
	b, err := json.Marshal(keptRule{r.Settle, r.DosesExpire})
	if err != nil {
		return fmt.Errorf("write %s: %w", f.rule(), err)
	}
	return writeFile(f.rule(), append(b, '\n'))
}
