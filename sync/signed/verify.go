package signed

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gateagent/agent/record/strict"
)

// maxHeader bounds the protected header, in bytes of JSON.
const maxHeader = 512

// maxDepth bounds how deeply a payload may be nested.
const maxDepth = 12

// Options says how strictly a document is judged.
type Options struct {
	// NewerThan refuses a version of at most this number; 0 takes any.
	NewerThan uint64
	// AtLeast refuses a version below this number: for a document that says
	// the same version again, newer vouched for.
	AtLeast uint64
	// InForce is set when a document that was in force is taken up again
	// after a start: neither its exp nor its key's validity is judged, for
	// both bar taking a document into force, not keeping it.
	InForce bool
}

// Verifier judges documents against the pinned roots and the trust list in
// force. It is safe for concurrent use.
type Verifier struct {
	site, gate string
	roots      []Root

	mu    sync.RWMutex
	trust Trust // mu guards it; the value is never changed, only replaced
	raw   string
}

// NewVerifier makes a verifier for one gate. Until a trust list is taken it
// knows the roots alone. The gate name may be empty for a program that serves
// a whole site.
func NewVerifier(roots []Root, site, gate string) *Verifier {
	return &Verifier{site: site, gate: gate, roots: append([]Root(nil), roots...)}
}

// Site gives the audience of documents for the site.
func (v *Verifier) Site() string { return v.site }

// Gate gives the audience of documents for this gate alone, "site/gate".
func (v *Verifier) Gate() string { return v.site + "/" + v.gate }

// Trust gives the trust list in force; Ver 0 when there is none.
func (v *Verifier) Trust() Trust {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.trust
}

// Verify judges a document of type t meant for aud: the name of a set, a
// site, or site/gate, by the type. A refusal is a *[Refusal].
func (v *Verifier) Verify(t Type, aud string, compact []byte, m Moment, o Options) (Document, error) {
	if t == TypeTrust {
		return Document{}, refuse(CodeWrongType, "a trust list is taken by TakeTrust alone")
	}
	v.mu.RLock()
	trust := v.trust
	v.mu.RUnlock()
	return v.verify(trust, t, aud, string(compact), m, o)
}

// verify judges step by step, cheap and telling steps first. Nothing of the
// payload is looked at before its signature holds.
func (v *Verifier) verify(trust Trust, t Type, aud, compact string, m Moment, o Options) (Document, error) {
	r, known := rules[t]
	if !known || aud == "" {
		return Document{}, refuse(CodeWrongType, "no rule for type %q and audience %q", t, aud)
	}
	kid, err := readHeader(t, r, compact)
	if err != nil {
		return Document{}, err
	}
	key, err := v.keyFor(trust, r, kid, m, o)
	if err != nil {
		return Document{}, err
	}
	jws, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return Document{}, refuse(CodeMalformed, "%v", err)
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return Document{}, refuse(CodeBadSignature, "the signature by key %s does not hold", kid)
	}
	d, err := readHead(t, r, payload)
	if err != nil {
		return Document{}, err
	}
	d.Kid = kid
	switch {
	case d.Aud != aud:
		return Document{}, refuse(CodeWrongAudience, "meant for %q, not for %q", clip(d.Aud), aud)
	case r.version != "" && (d.Ver <= o.NewerThan && o.NewerThan > 0 || d.Ver < o.AtLeast):
		return Document{}, refuse(CodeOlderVersion, "version %d is not newer than %d", d.Ver, max(o.NewerThan, o.AtLeast))
	case r.expires && !o.InForce && !m.notBefore().Before(d.Exp):
		return Document{}, refuse(CodeExpired, "it expired at %s", d.Exp.Format(time.RFC3339))
	}
	return d, nil
}

// readHeader looks at the shape and the protected header, and gives the key
// id. Only alg, kid and typ are taken, so that no header can bring its own key.
func readHeader(t Type, r rule, compact string) (kid string, err error) {
	if len(compact) > r.size {
		return "", refuse(CodeMalformed, "%d bytes, at most %d are taken", len(compact), r.size)
	}
	head, rest, ok1 := strings.Cut(compact, ".")
	body, sig, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.Contains(sig, ".") {
		return "", refuse(CodeMalformed, "not a JWS in compact form")
	}
	for _, part := range [...]string{head, body, sig} {
		if !isBase64URL(part) {
			return "", refuse(CodeMalformed, "not a JWS in compact form")
		}
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(head)
	if err != nil {
		return "", refuse(CodeMalformed, "its header is not base64url")
	}
	tree, err := strict.Parse(text, strict.Limits{Size: maxHeader, Depth: 4})
	if err != nil {
		return "", refuse(CodeMalformed, "its header: %v", err)
	}
	fields, ok := tree.(map[string]any)
	if !ok {
		return "", refuse(CodeMalformed, "its header is not an object")
	}
	for name := range fields {
		if name != "alg" && name != "kid" && name != "typ" {
			return "", refuse(CodeForbiddenHeader, "header parameter %q is not taken", clip(name))
		}
	}
	if fields["alg"] != string(jose.EdDSA) {
		return "", refuse(CodeForbiddenHeader, "alg is not EdDSA")
	}
	if fields["typ"] != string(t) {
		typ, _ := fields["typ"].(string)
		return "", refuse(CodeWrongType, "it is a %q, not a %q", clip(typ), t)
	}
	kid, _ = fields["kid"].(string)
	if !validKid(kid) {
		return "", refuse(CodeMalformed, "it names no key")
	}
	return kid, nil
}

// keyFor finds the key and judges whether it may sign for this rule, here and
// now.
func (v *Verifier) keyFor(trust Trust, r rule, kid string, m Moment, o Options) (ed25519.PublicKey, error) {
	for _, root := range v.roots {
		if root.Kid != kid {
			continue
		}
		if r.role != RoleRoot {
			return nil, refuse(CodeWrongRole, "key %s is a root; this needs role %s", kid, r.role)
		}
		return root.Key, nil
	}
	k, ok := trust.key(kid)
	if !ok {
		return nil, refuse(CodeUnknownKey, "key %s is not in the trust list (version %d)", clip(kid), trust.Ver)
	}
	switch {
	case k.Role != r.role:
		return nil, refuse(CodeWrongRole, "key %s has role %s; this needs role %s", kid, k.Role, r.role)
	case !k.forSite(v.site):
		return nil, refuse(CodeWrongSite, "key %s is not for site %s", kid, v.site)
	case k.Alg != AlgEdDSA || len(k.Key) != ed25519.PublicKeySize:
		return nil, refuse(CodeWrongRole, "key %s is no Ed25519 key", kid)
	case o.InForce:
		return ed25519.PublicKey(k.Key), nil
	case k.Exp != 0 && !m.notBefore().Before(time.Unix(k.Exp, 0)):
		return nil, refuse(CodeExpiredKey, "key %s ended at %s", kid, time.Unix(k.Exp, 0).UTC().Format(time.RFC3339))
	}
	if now, ok := m.notAfter(); ok && now.Before(time.Unix(k.Nbf, 0)) {
		return nil, refuse(CodeExpiredKey, "key %s begins at %s", kid, time.Unix(k.Nbf, 0).UTC().Format(time.RFC3339))
	}
	return ed25519.PublicKey(k.Key), nil
}

// claims is the head that every payload has.
type claims struct {
	Aud string  `json:"aud"`
	Ver *uint64 `json:"ver,omitempty"`
	N   *uint64 `json:"n,omitempty"`
	Iat int64   `json:"iat"`
	Exp *int64  `json:"exp,omitempty"`
}

// maxUnix bounds instants, in Unix seconds: the year 9999.
const maxUnix = 253402300799

// readHead reads and checks the head of a payload whose signature holds, or
// that is about to be signed.
func readHead(t Type, r rule, payload []byte) (Document, error) {
	var c claims
	if err := strict.Read(payload, &c, strict.Limits{Size: r.size, Depth: maxDepth}); err != nil {
		return Document{}, refuse(CodeMalformed, "its payload: %v", err)
	}
	d := Document{Type: t, Aud: c.Aud, Payload: payload}
	if c.Aud == "" {
		return Document{}, refuse(CodeMalformed, "it has no aud")
	}
	if c.Iat <= 0 || c.Iat > maxUnix {
		return Document{}, refuse(CodeMalformed, "iat is not a time in seconds since 1970")
	}
	d.Iat = time.Unix(c.Iat, 0).UTC()
	number := map[string]*uint64{"ver": c.Ver, "n": c.N}[r.version]
	if r.version != "" {
		if number == nil || *number == 0 {
			return Document{}, refuse(CodeMalformed, "it has no %s", r.version)
		}
		d.Ver = *number
	}
	if r.expires {
		if c.Exp == nil || *c.Exp <= c.Iat || *c.Exp > maxUnix {
			return Document{}, refuse(CodeMalformed, "exp is not a time after iat")
		}
		d.Exp = time.Unix(*c.Exp, 0).UTC()
	}
	return d, nil
}

// isBase64URL is stricter than encoding/base64, which passes over line breaks.
func isBase64URL(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// validKid says whether s may be a key id: [A-Za-z0-9._-]{1,64}.
func validKid(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// Read decodes the payload of a verified document: names it does not know are
// passed over, everything else is strict.
func (d Document) Read(into any) error {
	if err := strict.Read(d.Payload, into, strict.Limits{Size: len(d.Payload), Depth: maxDepth}); err != nil {
		return refuse(CodeMalformed, "its payload: %v", err)
	}
	return nil
}
