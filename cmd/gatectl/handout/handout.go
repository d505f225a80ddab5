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
type grant struct {
	set, site string
	wide      bool // for all sites, whatever the name of the set says
}

// everywhere stands for all sites, also where the name of a set says one.
const everywhere = "*"

// ParseRule reads what to hand out, each SET, SET@SITE or SET@*, where the set
// "entry" stands for the entry key of the gate's own site; and the sites whose
// gates get anything, none for all.
func ParseRule(what, sites []string) (Rule, error) {
	var r Rule
	for _, text := range what {
		set, site, only := strings.Cut(text, "@")
		switch {
		case !wire.ValidSet(set):
			return Rule{}, fmt.Errorf("%q is neither a data set nor %s", set, signed.EntrySet)
		case only && site == everywhere:
			r.grants = append(r.grants, grant{set: set, wide: true})
			continue
		case only && !wire.ValidSite(site):
			return Rule{}, fmt.Errorf("%q: %q is no name of a site", text, site)
		case only && len(sites) > 0 && !slices.Contains(sites, site):
			return Rule{}, fmt.Errorf("%q: the site %s is not among those that get keys", text, site)
		}
		r.grants = append(r.grants, grant{set: set, site: site})
	}
	for _, site := range sites {
		if !wire.ValidSite(site) {
			return Rule{}, fmt.Errorf("%q is no name of a site", site)
		}
	}
	r.sites = sites
	return r, nil
}

// narrow binds to one site each set that is handed to all and named after that
// site ("hn01-lists"): a gate does not say which sets it has, and nobody else
// has a use for the lists of a site. Of several sites the longest name counts.
func (r *Rule) narrow(sites []string) {
	for i := range r.grants {
		g := &r.grants[i]
		if g.site != "" || g.wide {
			continue
		}
		for _, site := range sites {
			if strings.HasPrefix(g.set, site+"-") && len(site) > len(g.site) {
				g.site = site
			}
		}
	}
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
// the rule names. A set that is named after a site, of those that the rule names
// or that have an entry key in the folder, goes to this site alone, unless the
// rule says SET@*.
func New(ring keyring.Ring, rule Rule) (*Keys, error) {
	rule.grants = slices.Clone(rule.grants)
	sites, err := sitesOf(ring)
	if err != nil {
		return nil, err
	}
	rule.narrow(append(sites, rule.sites...))
	for _, g := range rule.grants {
		if g.site != "" && len(rule.sites) > 0 && !slices.Contains(rule.sites, g.site) {
			return nil, fmt.Errorf("%s is for the gates of %s by its name, and %s is not among the sites that get keys; %s@%s hands it to all of them",
				g.set, g.site, g.site, g.set, everywhere)
		}
	}
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

// sitesOf gives the sites that have an entry key in the folder, and some that do
// not exist: a file of a later key, entry-hn01-2.jwk, may be the first of a site
// hn01-2. A name that no set begins with does no harm.
func sitesOf(ring keyring.Ring) ([]string, error) {
	files, err := filepath.Glob(ring.Path(keyring.EntryFile("*")))
	if err != nil {
		return nil, err
	}
	before, after, _ := strings.Cut(keyring.EntryFile("*"), "*")
	var sites []string
	for _, file := range files {
		if site := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), before), after); wire.ValidSite(site) {
			sites = append(sites, site)
		}
	}
	return sites, nil
}

// Rule gives the rule that is gone by.
func (k *Keys) Rule() Rule { return k.rule }

// String says what goes where: "vn to all sites, hn01-lists to hn01".
func (r Rule) String() string {
	var parts []string
	for _, g := range r.grants {
		to := g.site
		switch {
		case to != "":
		case len(r.sites) > 0:
			to = strings.Join(r.sites, " and ")
		default:
			to = "all sites"
		}
		parts = append(parts, g.set+" to "+to)
	}
	return strings.Join(parts, ", ")
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
