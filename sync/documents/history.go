package documents

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gateagent/sync/signed"
)

// historyDir holds the policies that were in force, as <version>.json: what was
// signed, without the signature. Nothing is decided by them; they only explain
// entries that are older than the policy in force.
const historyDir = "policies"

// keptPolicies is how many of them are kept, the one in force included. The
// journal keeps acknowledged entries for a day, and policies change less often
// than every three hours.
const keptPolicies = 8

// remember keeps a policy that came into force. What goes wrong is logged and
// no more: the gate decides as well without.
func (k *Keeper) remember(d signed.Document) {
	dir := store{k.store.path(historyDir)}
	name := strconv.FormatUint(d.Ver, 10) + ".json"
	if _, err := os.Stat(dir.path(name)); err == nil {
		return
	}
	err := os.MkdirAll(dir.dir, 0o700)
	if err == nil {
		err = dir.write(name, d.Payload)
	}
	if err != nil {
		k.log.Warn("a policy is not kept: its entries cannot be explained once it is replaced", "version", d.Ver, "err", err)
		return
	}
	for _, v := range k.olderPolicies() {
		if err := os.Remove(dir.path(strconv.FormatUint(v, 10) + ".json")); err != nil {
			k.log.Warn("an old policy cannot be removed", "version", v, "err", err)
		}
	}
}

// olderPolicies gives the versions that are no longer kept.
func (k *Keeper) olderPolicies() []uint64 {
	names, err := filepath.Glob(k.store.path(filepath.Join(historyDir, "*.json")))
	if err != nil {
		return nil
	}
	var versions []uint64
	for _, name := range names {
		if v, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), ".json"), 10, 64); err == nil {
			versions = append(versions, v)
		}
	}
	slices.Sort(versions)
	return versions[:max(0, len(versions)-keptPolicies)]
}

// ErrNoPolicy says that a policy is not kept here (any more).
var ErrNoPolicy = errors.New("that policy is not kept here")

// Policy gives the document of a policy that is or was in force, without its
// signature. It fails with [ErrNoPolicy] where it is not kept.
func (k *Keeper) Policy(version uint64) ([]byte, error) {
	b, err := store{k.store.path(historyDir)}.read(strconv.FormatUint(version, 10) + ".json")
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("version %d: %w", version, ErrNoPolicy)
	}
	return b, err
}
