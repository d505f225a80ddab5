package main

import (
	"log/slog"

	"gateagent/agent/config"
	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/sync/signed"
)

// keys are the secrets of the box that are not its identity: those of the data
// sets, and the site's entry key.
type keys struct {
	sets       []cache.SetKey
	entry      *gate.Key // nil while it is missing
	entryCause string    // why it is missing
}

// loadKeys reads the key files that the config names. A key that cannot be read
// is a fault of what needs it, not of the program.
func loadKeys(cfg *config.Config, log *slog.Logger) keys {
	var k keys
	for _, s := range cfg.Sets {
		set := cache.SetKey{Name: s.Name}
		if s.KeyFile == "" {
			log.Error("a data set has no key", "set", s.Name)
		} else if kid, key, err := signed.LoadSecret(s.KeyFile, s.Name); err != nil {
			log.Error("the key of a data set cannot be used", "set", s.Name, "error", err)
		} else {
			set.KeyID, set.Key, set.HasKey = kid, key, true
		}
		k.sets = append(k.sets, set)
	}
	switch {
	case cfg.Keys.EntryFile == "":
		k.entryCause = "keys.entry_file is not set"
	default:
		_, key, err := signed.LoadSecret(cfg.Keys.EntryFile, signed.EntrySet)
		if err != nil {
			k.entryCause = "the file cannot be used"
			log.Error("the entry key cannot be used: entries carry no subject", "error", err)
			break
		}
		k.entry = &key
	}
	return k
}

// has says whether there is a key for a set.
func (k keys) has(set string) bool {
	for _, s := range k.sets {
		if s.Name == set {
			return s.HasKey
		}
	}
	return false
}

// entryKey gives the key under which subjects are named.
func (k keys) entryKey() (gate.Key, bool) {
	if k.entry == nil {
		return gate.Key{}, false
	}
	return *k.entry, true
}
