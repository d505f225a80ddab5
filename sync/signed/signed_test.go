package signed

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gateagent/agent/gate"
)

var (
	issued = time.Date(2021, 10, 1, 0, 0, 0, 0, time.UTC)
	now    = Moment{Now: issued.Add(time.Hour), Level: gate.ClockRTC, Floor: issued}
)

const exp = 24 * time.Hour

// audiences is the third column of the table of DESIGN §4.3.
var audiences = map[Type]string{
	TypeTrust:    "hn01",
	TypeManifest: "vn",
	TypeDelta:    "vn",
	TypePolicy:   "hn01",
	TypeRevoked:  "hn01",
	TypeAck:      "hn01/g1",
	TypeHello:    "hn01/g1",
	TypeCommand:  "hn01/g1",
	TypeUpdate:   "update",
}

func allTypes() []Type { return slices.Sorted(maps.Keys(rules)) }

func newSigner(t testing.TB, kid string, role Role) Signer {
	t.Helper()
	s, err := NewSigner(kid, role)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// central holds a key of every role and a verifier that trusts them.
type central struct {
	root    Signer
	signers map[Role]Signer
	v       *Verifier
	trust   string
}

func newCentral(t testing.TB) *central {
	c := &central{root: newSigner(t, "root-1", RoleRoot), signers: map[Role]Signer{}}
	var keys []TrustKey
	for _, role := range []Role{RoleSnapshot, RolePolicy, RoleAck, RoleCommand, RoleUpdate, RolePass} {
		c.signers[role] = newSigner(t, string(role)+"-1", role)
		keys = append(keys, c.signers[role].TrustKey())
	}
	c.signers[RoleRoot] = c.root
	c.v = NewVerifier([]Root{c.root.Root()}, "hn01", "g1")
	c.trust = c.sign(t, TypeTrust, func(m map[string]any) { m["keys"] = keys })
	if _, err := c.v.TakeTrust([]byte(c.trust), now); err != nil {
		t.Fatal(err)
	}
	return c
}

// payload gives what a document of type t says at least.
func payload(t Type, change func(map[string]any)) []byte {
	m := map[string]any{"aud": audiences[t], "iat": issued.Unix()}
	if r := rules[t]; r.version != "" {
		m[r.version] = 5
	}
	if rules[t].expires {
		m["exp"] = issued.Add(exp).Unix()
	}
	if t == TypeTrust {
		m["keys"] = []TrustKey{}
	}
	if change != nil {
		change(m)
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

func (c *central) sign(t testing.TB, typ Type, change func(map[string]any)) string {
	t.Helper()
	out, err := c.signers[rules[typ].role].Sign(typ, payload(typ, change))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// judge presents a document where one of type place is expected.
func (c *central) judge(place Type, compact string, m Moment, o Options) error {
	if place == TypeTrust {
		// A verifier of its own, so that no case changes the next.
		v := NewVerifier(c.v.roots, "hn01", "g1")
		v.trust = c.v.Trust()
		v.trust.Ver = max(o.NewerThan, 0)
		_, err := v.TakeTrust([]byte(compact), m)
		return err
	}
	_, err := c.v.Verify(place, audiences[place], []byte(compact), m, o)
	return err
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || r.Code != code || r.Detail == "" {
		t.Errorf("got %v, want a refusal for %s", err, code)
	}
}

func TestEachTypeInItsOwnPlace(t *testing.T) {
	c := newCentral(t)
	for _, typ := range allTypes() {
		if err := c.judge(typ, c.sign(t, typ, nil), now, Options{}); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// Must show 11: each kind of signed document presented in the place of every
// other, with a foreign audience, an older version, an expired key, a wrong
// role: refused with its reason.
func TestEachTypeInThePlaceOfEveryOther(t *testing.T) {
	c := newCentral(t)
	pairs := 0
	for _, typ := range allTypes() {
		doc := c.sign(t, typ, nil)
		for _, place := range allTypes() {
			if place == typ {
				continue
			}
			pairs++
			t.Run(fmt.Sprintf("%s as %s", typ, place), func(t *testing.T) {
				wantCode(t, c.judge(place, doc, now, Options{}), CodeWrongType)
				// Even when it names the type of its place, and says all that
				// the place asks for, its key may not sign it.
				renamed, err := seal(c.signers[rules[typ].role], place, payload(place, nil))
				if err != nil {
					t.Fatal(err)
				}
				err = c.judge(place, renamed, now, Options{})
				if rules[typ].role == rules[place].role {
					if err != nil {
						t.Errorf("one role signs both: %v", err)
					}
					return
				}
				wantCode(t, err, CodeWrongRole)
			})
		}
	}
	if want := len(rules) * (len(rules) - 1); pairs != want {
		t.Errorf("%d pairs tried of %d", pairs, want)
	}
}

func TestEachTypeRefused(t *testing.T) {
	c := newCentral(t)
	stranger := func(role Role, kid string) Signer { return newSigner(t, kid, role) }
	for _, typ := range allTypes() {
		role := rules[typ].role
		sealed := func(s Signer, change func(map[string]any)) string {
			out, err := seal(s, typ, payload(typ, change))
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		own := c.signers[role]
		t.Run(string(typ), func(t *testing.T) {
			for _, aud := range []string{"hn02", "hn01/g2", "hn02/g1", "vn2", "hn01/", "/g1", ""} {
				doc := sealed(own, func(m map[string]any) { m["aud"] = aud })
				code := CodeWrongAudience
				if aud == "" {
					code = CodeMalformed
				}
				wantCode(t, c.judge(typ, doc, now, Options{}), code)
			}
			for other, s := range c.signers {
				if other != role {
					wantCode(t, c.judge(typ, sealed(s, nil), now, Options{}), CodeWrongRole)
				}
			}
			wantCode(t, c.judge(typ, sealed(stranger(role, "unknown-1"), nil), now, Options{}), CodeUnknownKey)
			wantCode(t, c.judge(typ, sealed(stranger(role, own.Kid), nil), now, Options{}), CodeBadSignature)
			for name, change := range map[string]func(map[string]any){
				"no aud":      func(m map[string]any) { delete(m, "aud") },
				"no iat":      func(m map[string]any) { delete(m, "iat") },
				"negative":    func(m map[string]any) { m["iat"] = -1 },
				"far":         func(m map[string]any) { m["iat"] = int64(maxUnix) + 1 },
				"float":       func(m map[string]any) { m["iat"] = 1.5 },
				"text":        func(m map[string]any) { m["iat"] = "2021" },
				"other case":  func(m map[string]any) { m["AUD"] = "hn02" },
				"list of aud": func(m map[string]any) { m["aud"] = []string{audiences[typ]} },
			} {
				t.Run(name, func(t *testing.T) {
					wantCode(t, c.judge(typ, sealed(own, change), now, Options{}), CodeMalformed)
				})
			}
			if name := rules[typ].version; name != "" {
				for newer, code := range map[uint64]string{4: "", 5: CodeOlderVersion, 6: CodeOlderVersion} {
					err := c.judge(typ, sealed(own, nil), now, Options{NewerThan: newer})
					if code == "" && err != nil {
						t.Error(err)
					} else if code != "" {
						wantCode(t, err, code)
					}
				}
				if typ != TypeTrust {
					if err := c.judge(typ, sealed(own, nil), now, Options{AtLeast: 5}); err != nil {
						t.Errorf("the same version again: %v", err)
					}
					wantCode(t, c.judge(typ, sealed(own, nil), now, Options{AtLeast: 6}), CodeOlderVersion)
				}
				wantCode(t, c.judge(typ, sealed(own, func(m map[string]any) { delete(m, name) }), now, Options{}), CodeMalformed)
				wantCode(t, c.judge(typ, sealed(own, func(m map[string]any) { m[name] = 0 }), now, Options{}), CodeMalformed)
				// The other number does not stand in for it.
				wantCode(t, c.judge(typ, sealed(own, func(m map[string]any) {
					delete(m, name)
					m[map[string]string{"ver": "n", "n": "ver"}[name]] = 5
				}), now, Options{}), CodeMalformed)
			}
			if rules[typ].expires {
				wantCode(t, c.judge(typ, sealed(own, func(m map[string]any) { delete(m, "exp") }), now, Options{}), CodeMalformed)
				wantCode(t, c.judge(typ, sealed(own, func(m map[string]any) { m["exp"] = issued.Unix() }), now, Options{}), CodeMalformed)
			}
		})
	}
}

// exp is judged at clock level rtc or better against now, below that against
// the floor; a document in force keeps.
func TestExpiryByClockLevel(t *testing.T) {
	c := newCentral(t)
	late, early := issued.Add(exp), issued.Add(exp-time.Second)
	for _, typ := range allTypes() {
		doc := c.sign(t, typ, nil)
		for name, tc := range map[string]struct {
			m       Moment
			expired bool
		}{
			"rtc, past":               {Moment{late, gate.ClockRTC, issued}, true},
			"rtc, before":             {Moment{early, gate.ClockRTC, issued}, false},
			"central, past":           {Moment{late, gate.ClockCentral, issued}, true},
			"floor level, floor past": {Moment{issued, gate.ClockFloor, late}, true},
			"floor level, now past":   {Moment{late.Add(exp), gate.ClockFloor, early}, false},
			"no level, now past":      {Moment{late, gate.ClockNone, issued}, false},
			"no level, floor past":    {Moment{issued, gate.ClockNone, late}, true},
		} {
			t.Run(string(typ)+" "+name, func(t *testing.T) {
				err := c.judge(typ, doc, tc.m, Options{})
				switch {
				case tc.expired && rules[typ].expires:
					wantCode(t, err, CodeExpired)
				case err != nil:
					t.Error(err)
				}
				if typ != TypeTrust {
					if err := c.judge(typ, doc, tc.m, Options{InForce: true}); err != nil {
						t.Errorf("in force: %v", err)
					}
				}
			})
		}
	}
	v := NewVerifier(c.v.roots, "hn01", "g1")
	if _, err := v.RestoreTrust([]byte(c.trust)); err != nil {
		t.Errorf("a trust list in force: %v", err)
	}
}

func TestKeyValidityAndSites(t *testing.T) {
	root, s := newSigner(t, "root-1", RoleRoot), newSigner(t, "p", RolePolicy)
	doc, err := s.Sign(TypePolicy, payload(TypePolicy, func(m map[string]any) { m["exp"] = issued.AddDate(10, 0, 0).Unix() }))
	if err != nil {
		t.Fatal(err)
	}
	at := func(h int) int64 { return issued.Add(time.Duration(h) * time.Hour).Unix() }
	for name, tc := range map[string]struct {
		change func(*TrustKey)
		m      Moment
		code   string
	}{
		"no bounds":                 {func(*TrustKey) {}, now, ""},
		"within":                    {func(k *TrustKey) { k.Nbf, k.Exp = at(0), at(2) }, now, ""},
		"ended":                     {func(k *TrustKey) { k.Exp = at(1) }, now, CodeExpiredKey},
		"not begun":                 {func(k *TrustKey) { k.Nbf = at(2) }, now, CodeExpiredKey},
		"ended, only floor":         {func(k *TrustKey) { k.Exp = at(0) }, Moment{time.Time{}, gate.ClockNone, issued}, CodeExpiredKey},
		"perhaps ended, floor":      {func(k *TrustKey) { k.Exp = at(1) }, Moment{now.Now.Add(exp), gate.ClockFloor, issued}, ""},
		"perhaps not begun, floor":  {func(k *TrustKey) { k.Nbf = at(2) }, Moment{issued, gate.ClockFloor, issued}, ""},
		"for this site":             {func(k *TrustKey) { k.Sites = []string{"hn02", "hn01"} }, now, ""},
		"for another site":          {func(k *TrustKey) { k.Sites = []string{"hn02"} }, now, CodeWrongSite},
		"a key for something else":  {func(k *TrustKey) { k.Alg = "X25519" }, now, CodeWrongRole},
		"another role":              {func(k *TrustKey) { k.Role = RoleSeal }, now, CodeWrongRole},
		"another key under its kid": {func(k *TrustKey) { k.Key = Bytes(root.Key.Public().(ed25519.PublicKey)) }, now, CodeBadSignature},
	} {
		t.Run(name, func(t *testing.T) {
			k := s.TrustKey()
			tc.change(&k)
			v := NewVerifier([]Root{root.Root()}, "hn01", "g1")
			trust, err := root.Sign(TypeTrust, payload(TypeTrust, func(m map[string]any) { m["keys"] = []TrustKey{k} }))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.RestoreTrust([]byte(trust)); err != nil {
				t.Fatal(err)
			}
			_, err = v.Verify(TypePolicy, "hn01", []byte(doc), tc.m, Options{})
			if tc.code == "" && err != nil {
				t.Error(err)
			} else if tc.code != "" {
				wantCode(t, err, tc.code)
			}
			// A document in force keeps when its key ends, not when the key
			// is taken back.
			_, err = v.Verify(TypePolicy, "hn01", []byte(doc), tc.m, Options{InForce: true})
			if tc.code == CodeExpiredKey && err != nil {
				t.Errorf("in force: %v", err)
			}
		})
	}
}

func TestTrust(t *testing.T) {
	c := newCentral(t)
	again := func(change func(map[string]any)) ([]byte, error) {
		out, err := seal(c.root, TypeTrust, payload(TypeTrust, change))
		return []byte(out), err
	}
	if _, err := c.v.TakeTrust([]byte(c.trust), Moment{Now: issued.Add(10 * exp), Level: gate.ClockCentral}); err != nil {
		t.Errorf("the very list in force, retained and read again: %v", err)
	}
	other, _ := again(nil)
	_, err := c.v.TakeTrust(other, now)
	wantCode(t, err, CodeOlderVersion)
	_, err = c.v.Verify(TypeTrust, "hn01", other, now, Options{})
	wantCode(t, err, CodeWrongType)

	key := c.signers[RolePolicy].TrustKey()
	with := func(keys ...TrustKey) func(map[string]any) {
		return func(m map[string]any) { m["ver"], m["keys"] = 9, keys }
	}
	bad := func(change func(*TrustKey)) TrustKey {
		k := key
		change(&k)
		return k
	}
	passportKey := func(change func(*TrustKey)) TrustKey {
		k := TrustKey{Kid: "0102030405060708", Role: RolePassport, Alg: AlgES256, Key: make([]byte, 91), Usage: []string{UsageVaccination}}
		change(&k)
		return k
	}
	for name, change := range map[string]func(map[string]any){
		"a kid twice":             with(key, key),
		"a root's kid":            with(bad(func(k *TrustKey) { k.Kid = "root-1" })),
		"role root":               with(bad(func(k *TrustKey) { k.Role = RoleRoot })),
		"no role":                 with(bad(func(k *TrustKey) { k.Role = "" })),
		"short key":               with(bad(func(k *TrustKey) { k.Key = k.Key[:31] })),
		"bad kid":                 with(bad(func(k *TrustKey) { k.Kid = "a b" })),
		"negative":                with(bad(func(k *TrustKey) { k.Exp = -1 })),
		"usage of a policy key":   with(bad(func(k *TrustKey) { k.Usage = []string{UsageTest} })),
		"passport, EdDSA":         with(passportKey(func(k *TrustKey) { k.Alg = AlgEdDSA; k.Key = key.Key })),
		"passport, unknown alg":   with(passportKey(func(k *TrustKey) { k.Alg = "RS256" })),
		"passport, short key":     with(passportKey(func(k *TrustKey) { k.Key = k.Key[:minPassportKey-1] })),
		"passport, long key":      with(passportKey(func(k *TrustKey) { k.Key = make([]byte, maxPassportKey+1) })),
		"passport, name for id":   with(passportKey(func(k *TrustKey) { k.Kid = "passport-1" })),
		"passport, unknown usage": with(passportKey(func(k *TrustKey) { k.Usage = []string{"x"} })),
		"passport twice":          with(passportKey(func(*TrustKey) {}), passportKey(func(*TrustKey) {})),
		"too many":                with(make([]TrustKey, maxKeys+1)...),
		"keys no list":            func(m map[string]any) { m["ver"], m["keys"] = 9, "x" },
		"keys other case":         func(m map[string]any) { m["ver"] = 9; m["Keys"] = []TrustKey{key} },
	} {
		t.Run(name, func(t *testing.T) {
			doc, err := again(change)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.v.TakeTrust(doc, now)
			wantCode(t, err, CodeMalformed)
			if got := c.v.Trust(); got.Ver != 5 || len(got.Keys) != 6 {
				t.Errorf("a refused list changed what is in force: %+v", got)
			}
		})
	}
	// A later list takes keys away.
	doc, _ := again(with(key))
	if _, err := c.v.TakeTrust(doc, now); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.judge(TypeAck, c.sign(t, TypeAck, nil), now, Options{}), CodeUnknownKey)
	if got := c.v.Trust(); len(got.Of(RolePolicy, "hn01")) != 1 || len(got.Of(RoleAck, "hn01")) != 0 {
		t.Errorf("keys by role: %+v", got)
	}
}

func TestRootRotation(t *testing.T) {
	old, next := newSigner(t, "root-1", RoleRoot), newSigner(t, "root-2", RoleRoot)
	list := func(s Signer, ver int) []byte {
		out, err := s.Sign(TypeTrust, payload(TypeTrust, func(m map[string]any) { m["ver"] = ver }))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(out)
	}
	v := NewVerifier([]Root{old.Root(), next.Root()}, "hn01", "g1")
	for ver, s := range map[int]Signer{1: old} {
		if _, err := v.TakeTrust(list(s, ver), now); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.TakeTrust(list(next, 2), now); err != nil {
		t.Errorf("the second root: %v", err)
	}
	after := NewVerifier([]Root{next.Root()}, "hn01", "g1")
	_, err := after.TakeTrust(list(old, 3), now)
	wantCode(t, err, CodeUnknownKey)
	_, err = after.RestoreTrust(list(old, 3))
	wantCode(t, err, CodeUnknownKey)
	none := NewVerifier(nil, "hn01", "g1")
	_, err = none.TakeTrust(list(next, 3), now)
	wantCode(t, err, CodeUnknownKey)
}

func TestHostileForm(t *testing.T) {
	c := newCentral(t)
	s := c.signers[RolePolicy]
	good := c.sign(t, TypePolicy, nil)
	head, rest, _ := strings.Cut(good, ".")
	body, sig, _ := strings.Cut(rest, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	// with signs properly under a header of one's own making.
	with := func(header string) string {
		in := b64([]byte(header)) + "." + body
		return in + "." + b64(ed25519.Sign(s.Key, []byte(in)))
	}
	extra := func(more string) string {
		return with(`{"alg":"EdDSA","kid":"policy-1","typ":"gate-policy+jws",` + more + `}`)
	}
	pub := b64(s.Key.Public().(ed25519.PublicKey))
	hs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{
		Key: []byte(s.Key.Public().(ed25519.PublicKey)), KeyID: "policy-1",
	}}, (&jose.SignerOptions{}).WithType("gate-policy+jws"))
	if err != nil {
		t.Fatal(err)
	}
	mac, err := hs.Sign(payload(TypePolicy, nil))
	if err != nil {
		t.Fatal(err)
	}
	hs256, err := mac.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	flip := func(s string) string {
		if s[0] == 'A' {
			return "B" + s[1:]
		}
		return "A" + s[1:]
	}
	if err := c.judge(TypePolicy, with(`{"alg":"EdDSA","kid":"policy-1","typ":"gate-policy+jws"}`), now, Options{}); err != nil {
		t.Fatalf("the test's own header: %v", err)
	}
	for name, tc := range map[string]struct{ doc, code string }{
		"jwk":               {extra(`"jwk":{"kty":"OKP","crv":"Ed25519","x":"` + pub + `"}`), CodeForbiddenHeader},
		"jku":               {extra(`"jku":"https://example.invalid/keys"`), CodeForbiddenHeader},
		"x5c":               {extra(`"x5c":["MIIB"]`), CodeForbiddenHeader},
		"x5u":               {extra(`"x5u":"https://example.invalid"`), CodeForbiddenHeader},
		"crit unknown":      {extra(`"crit":["exp"],"exp":1`), CodeForbiddenHeader},
		"crit b64":          {extra(`"crit":["b64"],"b64":false`), CodeForbiddenHeader},
		"b64":               {extra(`"b64":false`), CodeForbiddenHeader},
		"zip":               {extra(`"zip":"DEF"`), CodeForbiddenHeader},
		"alg none":          {b64([]byte(`{"alg":"none","kid":"policy-1","typ":"gate-policy+jws"}`)) + "." + body + ".", CodeMalformed},
		"alg none, signed":  {with(`{"alg":"none","kid":"policy-1","typ":"gate-policy+jws"}`), CodeForbiddenHeader},
		"HS256":             {hs256, CodeForbiddenHeader},
		"ES256":             {with(`{"alg":"ES256","kid":"policy-1","typ":"gate-policy+jws"}`), CodeForbiddenHeader},
		"no alg":            {with(`{"kid":"policy-1","typ":"gate-policy+jws"}`), CodeForbiddenHeader},
		"alg twice":         {with(`{"alg":"none","alg":"EdDSA","kid":"policy-1","typ":"gate-policy+jws"}`), CodeMalformed},
		"ALG":               {with(`{"ALG":"EdDSA","kid":"policy-1","typ":"gate-policy+jws"}`), CodeForbiddenHeader},
		"no typ":            {with(`{"alg":"EdDSA","kid":"policy-1"}`), CodeWrongType},
		"JWT":               {with(`{"alg":"EdDSA","kid":"policy-1","typ":"JWT"}`), CodeWrongType},
		"typ in other case": {with(`{"alg":"EdDSA","kid":"policy-1","typ":"GATE-POLICY+JWS"}`), CodeWrongType},
		"no kid":            {with(`{"alg":"EdDSA","typ":"gate-policy+jws"}`), CodeMalformed},
		"kid a number":      {with(`{"alg":"EdDSA","kid":1,"typ":"gate-policy+jws"}`), CodeMalformed},
		"kid a path":        {with(`{"alg":"EdDSA","kid":"../root","typ":"gate-policy+jws"}`), CodeMalformed},
		"header a list":     {with(`[]`), CodeMalformed},
		"header no JSON":    {with(`{`), CodeMalformed},
		"header long":       {with(`{"alg":"EdDSA","kid":"policy-1","typ":"gate-policy+jws"` + strings.Repeat(" ", maxHeader) + `}`), CodeMalformed},
		"payload tampered":  {head + "." + flip(body) + "." + sig, CodeBadSignature},
		"sig tampered":      {head + "." + body + "." + flip(sig), CodeBadSignature},
		"sig cut":           {head + "." + body + "." + sig[:40], CodeBadSignature},
		"sig empty":         {head + "." + body + ".", CodeMalformed},
		"detached":          {head + ".." + sig, CodeMalformed},
		"four parts":        {good + ".AAAA", CodeMalformed},
		"two parts":         {head + "." + body, CodeMalformed},
		"line break":        {head + "." + body + "\n." + sig, CodeMalformed},
		"padding":           {good + "=", CodeMalformed},
		"JSON form":         {mac.FullSerialize(), CodeMalformed},
		"empty":             {"", CodeMalformed},
		"oversized":         {good + strings.Repeat("A", MaxSize(TypePolicy)), CodeMalformed},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.judge(TypePolicy, tc.doc, now, Options{}), tc.code) })
	}
	deep, err := seal(s, TypePolicy, []byte(`{"aud":"hn01","ver":5,"iat":1,"exp":2,"x":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`}`))
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.judge(TypePolicy, deep, now, Options{}), CodeMalformed)
	_, err = c.v.Verify("gate-party+jws", "hn01", []byte(good), now, Options{})
	wantCode(t, err, CodeWrongType)
	_, err = c.v.Verify(TypePolicy, "", []byte(good), now, Options{})
	wantCode(t, err, CodeWrongType)
}

func TestSignRefusesWhatNobodyWouldTake(t *testing.T) {
	s := newSigner(t, "policy-1", RolePolicy)
	for name, err := range map[string]error{
		"foreign role": second(s.Sign(TypeAck, payload(TypeAck, nil))),
		"unknown type": second(s.Sign("x", payload(TypePolicy, nil))),
		"no head":      second(s.Sign(TypePolicy, []byte(`{}`))),
		"no JSON":      second(s.Sign(TypePolicy, []byte(`{`))),
		"too large":    second(s.Sign(TypePolicy, payload(TypePolicy, func(m map[string]any) { m["x"] = strings.Repeat("x", MaxSize(TypePolicy)*3/4-100) }))),
		"no key":       second(Signer{Kid: "a", Role: RolePolicy}.Sign(TypePolicy, payload(TypePolicy, nil))),
	} {
		if err == nil {
			t.Errorf("%s was signed", name)
		}
	}
	if text := fmt.Sprintf("%v %+v %#v", s, s, s); strings.Contains(text, fmt.Sprint(s.Key.Seed()[0], s.Key.Seed()[1])) {
		t.Error("printing a signer shows its key")
	}
	if _, err := NewSigner("a b", RolePolicy); err == nil {
		t.Error("a key id with a blank was taken")
	}
}

func second[A any](_ A, err error) error { return err }

func TestDocumentGivesWhatWasSigned(t *testing.T) {
	c := newCentral(t)
	want := payload(TypePolicy, func(m map[string]any) { m["id"] = "vn-2021-default" })
	doc, err := c.signers[RolePolicy].Sign(TypePolicy, want)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.v.Verify(TypePolicy, "hn01", []byte(doc), now, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d.Type != TypePolicy || d.Kid != "policy-1" || d.Aud != "hn01" || d.Ver != 5 || !d.Iat.Equal(issued) ||
		!d.Exp.Equal(issued.Add(exp)) || string(d.Payload) != string(want) {
		t.Errorf("%+v", d)
	}
	var p struct {
		ID string `json:"id"`
	}
	if err := d.Read(&p); err != nil || p.ID != "vn-2021-default" {
		t.Errorf("%+v, %v", p, err)
	}
	if c.v.Site() != "hn01" || c.v.Gate() != "hn01/g1" {
		t.Error("names")
	}
}

func TestVerifierIsSafeForConcurrentUse(t *testing.T) {
	c := newCentral(t)
	doc := []byte(c.sign(t, TypeAck, nil))
	keys := c.v.Trust().Keys
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := c.v.Verify(TypeAck, "hn01/g1", doc, now, Options{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for ver := 6; ver < 20; ver++ {
		list := c.sign(t, TypeTrust, func(m map[string]any) { m["ver"], m["keys"] = ver, keys })
		if _, err := c.v.TakeTrust([]byte(list), now); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
}

func TestParseRoot(t *testing.T) {
	r := newSigner(t, "root-1", RoleRoot).Root()
	back, err := ParseRoot(r.String())
	if err != nil || back.Kid != r.Kid || !back.Key.Equal(r.Key) {
		t.Errorf("%v %v", back, err)
	}
	for _, s := range []string{"", "root-1", "root-1:", ":AAAA", "root-1:AAAA", "ro ot:" + r.String()[7:], r.String() + "=", r.String() + "A"} {
		if _, err := ParseRoot(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func FuzzVerify(f *testing.F) {
	c := newCentral(f)
	for _, typ := range allTypes() {
		f.Add(c.sign(f, typ, nil))
	}
	f.Add("e30.e30.AAAA")
	f.Fuzz(func(t *testing.T, doc string) {
		// The keys are drawn anew by each run: nothing a fuzzer writes is
		// signed, so nothing may pass.
		for _, typ := range allTypes() {
			var r *Refusal
			if err := c.judge(typ, doc, now, Options{}); err != nil && !errors.As(err, &r) {
				t.Fatalf("%v is no refusal", err)
			}
		}
	})
}

// BenchmarkVerify is what one acknowledgement costs a box.
func BenchmarkVerify(b *testing.B) {
	c := newCentral(b)
	doc := []byte(c.sign(b, TypeAck, nil))
	for b.Loop() {
		if _, err := c.v.Verify(TypeAck, "hn01/g1", doc, now, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPassportKID: several keys of one id stay apart in the list.
func TestPassportKID(t *testing.T) {
	first := TrustKey{Kid: "0102030405060708", Role: RolePassport, Alg: AlgES256, Key: make([]byte, 91), Usage: []string{UsageTest, UsageRecovery}}
	second := first
	second.Kid, second.Alg, second.Key = first.Kid+".2", AlgPS256, make([]byte, 294)
	b, err := json.Marshal(Trust{Aud: "hn01", Ver: 1, Iat: 1, Exp: 2, Keys: []TrustKey{first, second}})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := ParseTrust(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range trust.Of(RolePassport, "hn01") {
		if id, err := k.PassportKID(); err != nil || !bytes.Equal(id, []byte{1, 2, 3, 4, 5, 6, 7, 8}) {
			t.Errorf("%s: %x, %v", k.Kid, id, err)
		}
	}
}

// TestSignerOpens: what this key signed for this audience, and nothing else.
func TestSignerOpens(t *testing.T) {
	s, other := newSigner(t, "pass-1", RolePass), newSigner(t, "pass-1", RolePass)
	sign := func(s Signer, aud string) []byte {
		doc, err := s.Sign(TypeRevoked, payload(TypeRevoked, func(m map[string]any) { m["aud"] = aud }))
		if err != nil {
			t.Fatal(err)
		}
		return []byte(doc)
	}
	if p, err := s.Open(TypeRevoked, "hn01", sign(s, "hn01")); err != nil || len(p) == 0 {
		t.Errorf("its own: %v", err)
	}
	for name, doc := range map[string][]byte{"another key": sign(other, "hn01"), "another site": sign(s, "hn02"), "nothing": nil} {
		if _, err := s.Open(TypeRevoked, "hn01", doc); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	if _, err := s.Open(TypePolicy, "hn01", sign(s, "hn01")); err == nil {
		t.Error("another type was opened")
	}
}
