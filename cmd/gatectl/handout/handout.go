// Package handout is the rule by which central hands keys to gates: which data
// sets' secrets, and whether the site's entry key, go to the gates of which
// sites.
//
// It owns the rule and reads the folder of keys by it, again and again, so that
// a new secret is handed out without a restart. Of each set the newest two go
// out: both are in use while a set changes from one to the next. To whom they
// are sealed, and who is refused, is sync/central's.
package handout

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gateagent/agent/record"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

const (
	// newest is how many secrets of a set are handed out.
	newest = 2
	// readAgain is how long what was read of the folder counts.
	readAgain = 3 * time.Second
)

// Rule says which gates may have which keys.
type Rule struct {
	grants []grant
	sites  []string // empty: all
}

// grant is one set, or "entry", for all sites or one.
type grant struct{ set, site string }

// ParseRule reads what to hand out, each SET or SET@SITE, where the set "entry"
// stands for the entry key of the gate's own site; and the sites whose gates
// get anything, none for all.
func ParseRule(what, sites []string) (Rule, error) {
	var r Rule
	for _, text := range what {
		set, site, only := strings.Cut(text, "@")
		switch {
		case !wire.ValidSet(set):
			return Rule{}, fmt.Errorf("%q is neither a data set nor %s", set, signed.EntrySet)
		case only && !wire.ValidSite(site):
			return Rule{}, fmt.Errorf("%q: %q is no name of a site", text, site)
		case only && len(sites) > 0 && !slices.Contains(sites, site):
			return Rule{}, fmt.Errorf("%q: the site %s is not among those that get keys", text, site)
		}
		r.grants = append(r.grants, grant{set, site})
	}
	for _, site := range sites {
		if !wire.ValidSite(site) {
			return Rule{}, fmt.Errorf("%q is no name of a site", site)
		}
	}
	r.sites = sites
	return r, nil
}

// IsZero says whether nothing is handed out.
func (r Rule) IsZero() bool { return len(r.grants) == 0 }

// Sets gives the sets whose keys a gate of a site may have, "entry" among them.
func (r Rule) Sets(site string) []string {
	if len(r.sites) > 0 && !slices.Contains(r.sites, site) {
		return nil
	}
	var out []string
	for _, g := range r.grants {
		if (g.site == "" || g.site == site) && !slices.Contains(out, g.set) {
			out = append(out, g.set)
		}
	}
	return out
}

// Keys reads a folder of keys by a rule. It is safe for concurrent use.
type Keys struct {
	rule Rule
	ring keyring.Ring
	now  func() time.Time

	mu   sync.Mutex // guards the following
	read map[string]reading
}

// reading is what the folder held of one set, or of one site's entry key.
type reading struct {
	at      time.Time
	secrets []sealed.Secret
}

// New makes a reader of a folder. It fails when the folder lacks a secret that
// the rule names.
func New(ring keyring.Ring, rule Rule) (*Keys, error) {
	k := &Keys{rule: rule, ring: ring, now: time.Now, read: map[string]reading{}}
	for _, g := range rule.grants {
		switch {
		case g.set != signed.EntrySet:
			if err := k.there(keyring.SetFile(g.set), func() ([]sealed.Secret, error) { return ring.Secrets(g.set, newest) }); err != nil {
				return nil, err
			}
		case g.site != "":
			if err := k.there(keyring.EntryFile(g.site), func() ([]sealed.Secret, error) { return ring.EntrySecrets(g.site, newest) }); err != nil {
				return nil, err
			}
		default:
			if any, err := filepath.Glob(ring.Path(keyring.EntryFile("*"))); err != nil || len(any) == 0 {
				return nil, errors.Join(fmt.Errorf("no entry key in %s: %w", ring.Path(""), fs.ErrNotExist), err)
			}
		}
	}
	return k, nil
}

func (k *Keys) there(file string, read func() ([]sealed.Secret, error)) error {
	all, err := read()
	clear(all)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%s: %w", k.ring.Path(file), fs.ErrNotExist)
	}
	return err
}

// For gives the keys that a gate may have, of each set the newest last. The
// caller may clear what it is given.
func (k *Keys) For(o record.Origin) ([]sealed.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []sealed.Secret
	for _, set := range k.rule.Sets(o.Site) {
		var secrets []sealed.Secret
		var err error
		if set == signed.EntrySet {
			secrets, err = k.cached(keyring.EntryFile(o.Site), func() ([]sealed.Secret, error) { return k.ring.EntrySecrets(o.Site, newest) })
		} else {
			secrets, err = k.cached(keyring.SetFile(set), func() ([]sealed.Secret, error) { return k.ring.Secrets(set, newest) })
		}
		if err != nil {
			clear(out)
			return nil, err
		}
		out = append(out, secrets...)
	}
	return out, nil
}

// cached reads what was not read lately. mu is held.
func (k *Keys) cached(name string, read func() ([]sealed.Secret, error)) ([]sealed.Secret, error) {
	have, ok := k.read[name]
	if now := k.now(); !ok || now.Sub(have.at) >= readAgain || now.Before(have.at) {
		secrets, err := read()
		if err != nil {
			return nil, err
		}
		clear(have.secrets)
		have = reading{now, secrets}
		k.read[name] = have
	}
	return have.secrets, nil
}
