package signed

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gateagent/agent/record/strict"
)

// AlgEdDSA is the `alg` of keys that sign documents of this package. Keys of
// other roles name what they are for.
const AlgEdDSA = "EdDSA"

// Algorithms of passport keys: ECDSA on P-256 and RSASSA-PSS, both with
// SHA-256, as JWS and COSE name them.
const (
	AlgES256 = "ES256"
	AlgPS256 = "PS256"
)

// Bounds of a trust list: the keys in all, for the document signers of many
// countries are some hundreds; and the bytes of a passport key, which for RSA
// of 4096 bits has 550.
const (
	maxKeys        = 1100
	minPassportKey = 64
	maxPassportKey = 640
)

// Bytes is base64url without padding in JSON.
type Bytes []byte

// MarshalJSON writes base64url without padding.
func (b Bytes) MarshalJSON() ([]byte, error) {
	return []byte(`"` + base64.RawURLEncoding.EncodeToString(b) + `"`), nil
}

// UnmarshalText reads base64url without padding.
func (b *Bytes) UnmarshalText(text []byte) error {
	out, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return errors.New("not base64url without padding")
	}
	*b = out
	return nil
}

// Root is a pinned offline key.
type Root struct {
	Kid string
	Key ed25519.PublicKey
}

// ParseRoot reads "kid:base64url", as the config has it.
func ParseRoot(s string) (Root, error) {
	kid, text, ok := strings.Cut(s, ":")
	if !ok || !validKid(kid) {
		return Root{}, errors.New("a root key is written kid:key, the key as base64url")
	}
	key, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return Root{}, fmt.Errorf("root key %s is not 32 bytes as base64url without padding", kid)
	}
	return Root{kid, key}, nil
}

// String is the inverse of [ParseRoot].
func (r Root) String() string { return r.Kid + ":" + base64.RawURLEncoding.EncodeToString(r.Key) }

// TrustKey is one key of the trust list.
type TrustKey struct {
	Kid  string `json:"kid"`
	Role Role   `json:"role"`
	// Alg says what the key is: "EdDSA" for those that sign documents, "ES256"
	// or "PS256" for those that sign passports.
	Alg string `json:"alg"`
	// Key is 32 bytes for EdDSA; SubjectPublicKeyInfo in DER for passports.
	Key Bytes `json:"key"`
	// Usage bounds what a passport key may sign: "t" tests, "v" vaccinations,
	// "r" recoveries, "-" none of them; none named means all.
	Usage []string `json:"usage,omitempty"`
	// Sites the key is for; none named means all.
	Sites []string `json:"sites,omitempty"`
	// Nbf and Exp bound its validity, in Unix seconds; 0 means no bound.
	Nbf int64 `json:"nbf,omitempty"`
	Exp int64 `json:"exp,omitempty"`
}

func (k TrustKey) forSite(site string) bool {
	return len(k.Sites) == 0 || slices.Contains(k.Sites, site)
}

// Trust is the trust list of a site: the payload of a gate-trust+jws. The
// values it points to are shared and not to be changed.
type Trust struct {
	Aud  string     `json:"aud"` // the site
	Ver  uint64     `json:"ver"`
	Iat  int64      `json:"iat"` // Unix seconds
	Exp  int64      `json:"exp"` // Unix seconds
	Keys []TrustKey `json:"keys"`
	// Floor is the earliest time it can be, in Unix seconds, where the root
	// sets it by hand; 0 where it does not.
	Floor int64 `json:"floor,omitempty"`
}

// Issued gives iat as a time.
func (t Trust) Issued() time.Time { return time.Unix(t.Iat, 0).UTC() }

// PassportKID gives the id that passports name a key of role passport by: the
// kid is that in hexadecimal, and, since ids of issuers are not always one of
// a kind, a point and a number after it where the list has several.
func (k TrustKey) PassportKID() ([]byte, error) {
	digits, _, _ := strings.Cut(k.Kid, ".")
	id, err := hex.DecodeString(digits)
	if err != nil || len(id) == 0 {
		return nil, fmt.Errorf("%s is not the id of a passport key", k.Kid)
	}
	return id, nil
}

// checkPassport refuses a key of role passport that no reader could use.
// Whether the key itself is one is for who uses it: one that is not makes no
// other key worse.
func (k TrustKey) checkPassport() error {
	if _, err := k.PassportKID(); err != nil {
		return err
	}
	if k.Alg != AlgES256 && k.Alg != AlgPS256 {
		return fmt.Errorf("passport key %s has alg %q, not ES256 or PS256", k.Kid, clip(k.Alg))
	}
	if len(k.Key) < minPassportKey || len(k.Key) > maxPassportKey {
		return fmt.Errorf("passport key %s has %d bytes", k.Kid, len(k.Key))
	}
	return nil
}

// Of gives the keys of a role for a site, in the list's order.
func (t Trust) Of(role Role, site string) []TrustKey {
	var out []TrustKey
	for _, k := range t.Keys {
		if k.Role == role && k.forSite(site) {
			out = append(out, k)
		}
	}
	return out
}

func (t Trust) key(kid string) (TrustKey, bool) {
	i := slices.IndexFunc(t.Keys, func(k TrustKey) bool { return k.Kid == kid })
	if i < 0 {
		return TrustKey{}, false
	}
	return t.Keys[i], true
}

// The usages of passport keys.
const (
	UsageTest        = "t"
	UsageVaccination = "v"
	UsageRecovery    = "r"
	UsageNone        = "-"
)

var usages = []string{UsageTest, UsageVaccination, UsageRecovery, UsageNone}

// check refuses a list that would let a key be taken for another.
func (t Trust) check(roots []Root) error {
	if len(t.Keys) > maxKeys {
		return fmt.Errorf("%d keys, at most %d are taken", len(t.Keys), maxKeys)
	}
	seen := make(map[string]bool, len(t.Keys))
	for _, r := range roots {
		seen[r.Kid] = true
	}
	for _, k := range t.Keys {
		switch {
		case !validKid(k.Kid):
			return errors.New("a key has no valid id")
		case seen[k.Kid]:
			return fmt.Errorf("key id %s stands for two keys", k.Kid)
		case k.Role == RoleRoot || k.Role == "":
			return fmt.Errorf("key %s has role %q; roots are pinned in the config", k.Kid, k.Role)
		case k.Alg == AlgEdDSA && len(k.Key) != ed25519.PublicKeySize:
			return fmt.Errorf("key %s is not 32 bytes long", k.Kid)
		case len(k.Usage) > 0 && k.Role != RolePassport:
			return fmt.Errorf("key %s has a usage; only those for passports have one", k.Kid)
		case len(k.Usage) > 4 || slices.ContainsFunc(k.Usage, func(u string) bool { return !slices.Contains(usages, u) }):
			return fmt.Errorf("the usage of key %s is not of %v", k.Kid, usages)
		case k.Nbf < 0 || k.Exp < 0 || k.Nbf > maxUnix || k.Exp > maxUnix:
			return fmt.Errorf("the validity of key %s is out of range", k.Kid)
		}
		if k.Role == RolePassport {
			if err := k.checkPassport(); err != nil {
				return err
			}
		}
		seen[k.Kid] = true
	}
	return nil
}

// TakeTrust judges a trust list and puts it into force. The very list that is
// in force is taken again without a word; an older one, or another of the same
// version, is refused.
func (v *Verifier) TakeTrust(compact []byte, m Moment) (Trust, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.raw != "" && v.raw == string(compact) {
		return v.trust, nil
	}
	return v.take(compact, m, Options{NewerThan: v.trust.Ver})
}

// RestoreTrust puts the list that was in force before a start into force
// again: its exp is not judged.
func (v *Verifier) RestoreTrust(compact []byte) (Trust, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.take(compact, Moment{}, Options{NewerThan: v.trust.Ver, InForce: true})
}

// take is called with mu held.
func (v *Verifier) take(compact []byte, m Moment, o Options) (Trust, error) {
	d, err := v.verify(v.trust, TypeTrust, v.site, string(compact), m, o)
	if err != nil {
		return Trust{}, err
	}
	var t Trust
	if err := d.Read(&t); err != nil {
		return Trust{}, err
	}
	if err := t.check(v.roots); err != nil {
		return Trust{}, refuse(CodeMalformed, "%v", err)
	}
	v.trust, v.raw = t, string(compact)
	return t, nil
}

// ParseTrust reads and checks the payload of a trust list before it is signed.
func ParseTrust(payload []byte) (Trust, error) {
	var t Trust
	if err := strict.Unmarshal(payload, &t, strict.Limits{Size: rules[TypeTrust].size, Depth: maxDepth}); err != nil {
		return Trust{}, fmt.Errorf("trust list: %w", err)
	}
	if err := t.check(nil); err != nil {
		return Trust{}, fmt.Errorf("trust list: %w", err)
	}
	return t, nil
}
