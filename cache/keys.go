package cache

import (
	"fmt"
	"slices"

	"gateagent/agent/gate"
)

// maxHeldKeys is how many keys of one set are held at once: during a change of
// keys the one in use and the next.
const maxHeldKeys = 2

// heldKey is a key of a set, in memory only. It never changes.
type heldKey struct {
	id  string
	key gate.Key
}

// PutKey gives a set the key by that id, at run time: the generation in force
// answers at once if it is its key. Two keys of a set are held, so that its next
// generation may have another one; a third takes the place of the one that the
// generation in force does not need. A key by the same id is replaced.
func (s *Sets) PutKey(set, keyID string, key gate.Key) error {
	t := s.byName(set)
	if t == nil {
		return fmt.Errorf("key %q of data set %s: %w", keyID, set, ErrUnknownSet)
	}
	if keyID == "" || len(keyID) > maxKeyID {
		return fmt.Errorf("key of data set %s: an id of %d bytes", set, len(keyID))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.closed.Load() {
		return fmt.Errorf("key %q of data set %s: %w", keyID, set, ErrClosed)
	}
	if held := t.held(keyID); held != nil && held.key == key {
		return nil
	}
	t.dropKey(keyID)
	if len(t.keys) == maxHeldKeys {
		spare := 0
		if g := t.current.Load(); g != nil && t.keys[spare].id == g.info.KeyID {
			spare++
		}
		t.dropKey(t.keys[spare].id)
	}
	t.keys = append(t.keys, &heldKey{keyID, key})
	if g := t.current.Load(); g != nil && g.info.KeyID == keyID {
		g.useKey(t.held(keyID))
		s.log.Info("the key of a data set is there", "set", set, "version", g.info.Version, "key", keyID)
	}
	return nil
}

// DropKey forgets a key; without it the generation that it belongs to counts as
// missing. A key that is not held is no error.
func (s *Sets) DropKey(set, keyID string) error {
	t := s.byName(set)
	if t == nil {
		return fmt.Errorf("key %q of data set %s: %w", keyID, set, ErrUnknownSet)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropKey(keyID)
	if g := t.current.Load(); g != nil && g.info.KeyID == keyID {
		g.useKey(nil)
	}
	return nil
}

// held gives a key of the set by its id. The caller holds t.mu.
func (t *set) held(keyID string) *heldKey {
	i := slices.IndexFunc(t.keys, func(k *heldKey) bool { return k.id == keyID })
	if i < 0 {
		return nil
	}
	return t.keys[i]
}

func (t *set) dropKey(keyID string) {
	t.keys = slices.DeleteFunc(t.keys, func(k *heldKey) bool { return k.id == keyID })
}

// keyIDs gives the ids of the keys held. The caller holds t.mu.
func (t *set) keyIDs() []string {
	ids := make([]string, 0, len(t.keys))
	for _, k := range t.keys {
		ids = append(ids, k.id)
	}
	return ids
}
