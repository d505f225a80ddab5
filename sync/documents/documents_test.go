package documents

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/sync/signed"
)

const site = "hn01"

// office is the side of central: a root, and keys by role.
type office struct {
	t    *testing.T
	root signed.Signer
	keys map[string]signed.Signer
}

func newOffice(t *testing.T) *office {
	return &office{t: t, root: signer(t, "root1", signed.RoleRoot), keys: map[string]signed.Signer{
		"p1": signer(t, "p1", signed.RolePolicy),
		"p2": signer(t, "p2", signed.RolePolicy),
		"a1": signer(t, "a1", signed.RoleAck),
		"v1": signer(t, "v1", signed.RolePass),
	}}
}

func signer(t *testing.T, kid string, role signed.Role) signed.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return signed.Signer{Kid: kid, Role: role, Key: key}
}

func (o *office) roots() []signed.Root {
	return []signed.Root{{Kid: o.root.Kid, Key: o.root.Key.Public().(ed25519.PublicKey)}}
}

var issued = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func (o *office) trust(ver uint64, kids ...string) []byte {
	o.t.Helper()
	tr := signed.Trust{Aud: site, Ver: ver, Iat: issued.Unix(), Exp: issued.Unix() + 86400}
	for _, kid := range kids {
		s := o.keys[kid]
		tr.Keys = append(tr.Keys, signed.TrustKey{
			Kid: kid, Role: s.Role, Alg: signed.AlgEdDSA, Key: signed.Bytes(s.Key.Public().(ed25519.PublicKey)),
		})
	}
	return o.sign(o.root, signed.TypeTrust, tr)
}

func (o *office) policy(kid string, ver uint64, text string) []byte {
	o.t.Helper()
	return o.sign(o.keys[kid], signed.TypePolicy, map[string]any{
		"aud": site, "ver": ver, "iat": issued.Unix(), "exp": issued.Unix() + 3600, "text": text,
	})
}

func (o *office) revoked(kid string, ver uint64, text string) []byte {
	o.t.Helper()
	return o.sign(o.keys[kid], signed.TypeRevoked, map[string]any{
		"aud": site, "ver": ver, "iat": issued.Unix(), "exp": issued.Unix() + 3600, "text": text,
	})
}

func (o *office) sign(s signed.Signer, t signed.Type, v any) []byte {
	o.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		o.t.Fatal(err)
	}
	out, err := s.Sign(t, b)
	if err != nil {
		o.t.Fatal(err)
	}
	return []byte(out)
}

// box is a Keeper and what it brought into force.
type box struct {
	*Keeper
	now    time.Time
	policy string
	gone   string // by the list of what is revoked
	trusts []uint64
	floors int
	faults []string
}

func newBox(t *testing.T, o *office, dir string) *box {
	t.Helper()
	b := &box{now: issued.Add(time.Minute)}
	v := signed.NewVerifier(o.roots(), site, "g1")
	k, err := New(Options{
		Dir: dir, Roots: o.roots(), Site: site, Gate: "g1", Verifier: v,
		Moment: func() signed.Moment { return signed.Moment{Now: b.now, Level: gate.ClockNTP, Floor: issued} },
		Policy: func(d signed.Document) (func(), error) {
			var p struct{ Text string }
			if err := json.Unmarshal(d.Payload, &p); err != nil {
				return nil, err
			}
			if p.Text == "nonsense" {
				return nil, errors.New("rule 3: unknown action")
			}
			return func() { b.policy = p.Text }, nil
		},
		Revoked: func(d signed.Document) (func(), error) {
			var p struct{ Text string }
			if err := json.Unmarshal(d.Payload, &p); err != nil || p.Text == "nonsense" {
				return nil, errors.New("no list")
			}
			return func() { b.gone = p.Text }, nil
		},
		OnTrust:    func(t signed.Trust) { b.trusts = append(b.trusts, t.Ver) },
		OnVerified: func(time.Time) { b.floors++ },
		OnFault:    func(kind string, f Fault) { b.faults = append(b.faults, kind+" "+string(f.Code)) },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	b.Keeper = k
	k.Restore()
	return b
}

func (b *box) want(t *testing.T, what, policy string, trust, ver uint64, fault string) {
	t.Helper()
	st := b.Status()
	if b.policy != policy || st.Trust.Version != trust || st.Policy.Version != ver {
		t.Errorf("%s: policy %q (version %d), trust %d; want %q (%d), %d", what, b.policy, st.Policy.Version, st.Trust.Version, policy, ver, trust)
	}
	got := string(st.Policy.Fault.Code) + ":" + st.Policy.Fault.Detail
	if !strings.HasPrefix(got, fault) || (fault == "" && got != ":") {
		t.Errorf("%s: fault %q, want %q", what, got, fault)
	}
}

func TestInForceInAnyOrder(t *testing.T) {
	o := newOffice(t)
	for name, order := range map[string][]int{"trust first": {0, 1}, "policy first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := newBox(t, o, dir)
			b.want(t, "at first", "", 0, 0, "policy_built_in")
			for _, i := range order {
				[]func(){
					func() { b.TakeTrust(o.trust(1, "p1", "a1")) },
					func() { b.TakePolicy(o.policy("p1", 5, "five")) },
				}[i]()
			}
			b.want(t, "both", "five", 1, 5, "")
			b.TakePolicy(o.policy("p1", 5, "five")) // another signature would differ; Ed25519 gives the same
			b.TakeTrust(o.trust(1, "p1", "a1"))
			b.want(t, "read again", "five", 1, 5, "")
			if len(b.trusts) != 1 {
				t.Errorf("trust came into force %v", b.trusts)
			}

			again := newBox(t, o, dir)
			again.want(t, "after a start", "five", 1, 5, "")
			if again.floors != 2 || len(again.trusts) != 1 {
				t.Errorf("%d floors, trusts %v", again.floors, again.trusts)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	o := newOffice(t)
	o.keys["px"] = signer(t, "px", signed.RolePolicy)
	dir := t.TempDir()
	b := newBox(t, o, dir)
	b.TakeTrust(o.trust(3, "p1", "a1"))
	b.TakePolicy(o.policy("p1", 5, "five"))
	b.want(t, "in force", "five", 3, 5, "")

	tampered := o.policy("p1", 6, "six")
	if c := &tampered[len(tampered)-5]; *c == 'A' {
		*c = 'B'
	} else {
		*c = 'A'
	}
	expired := o.sign(o.keys["p1"], signed.TypePolicy, map[string]any{"aud": site, "ver": 7, "iat": 1, "exp": 2, "text": "old"})
	elsewhere := o.sign(o.keys["p1"], signed.TypePolicy, map[string]any{"aud": "hn02", "ver": 7, "iat": issued.Unix(), "exp": issued.Unix() + 3600})
	for _, c := range []struct {
		name string
		doc  []byte
		want string
	}{
		{"an older version", o.policy("p1", 4, "four"), "older_version"},
		{"another text under the same version", o.policy("p1", 5, "FIVE"), "older_version"},
		{"nonsense inside", o.policy("p1", 6, "nonsense"), "rule 3: unknown action"},
		{"an unknown key", o.policy("px", 6, "six"), "unknown_key"},
		{"a trust list", o.trust(9, "p1"), "wrong_type"},
		{"tampered with", tampered, "bad_signature"},
		{"expired", expired, "expired"},
		{"for another site", elsewhere, "wrong_audience"},
		{"garbage", []byte("hello"), "malformed"},
	} {
		before := b.Status().Policy.Refused
		b.TakePolicy(c.doc)
		b.want(t, c.name, "five", 3, 5, "policy_refused:"+c.want)
		if b.Status().Policy.Refused != before+1 {
			t.Errorf("%s: not counted", c.name)
		}
	}
	b.TakePolicy(nil)
	b.want(t, "cleared", "five", 3, 5, "policy_refused:malformed")
	b.TakePolicy(o.policy("p1", 5, "five"))
	b.want(t, "the one in force again", "five", 3, 5, "")

	b.TakeTrust(o.trust(2, "p1", "px"))
	if f := b.Status().Trust.Fault; f.Code != health.TrustRefused || !strings.HasPrefix(f.Detail, "older_version") {
		t.Errorf("trust fault %v", f)
	}
	again := newBox(t, o, dir)
	again.TakePolicy(o.policy("p1", 4, "four"))
	again.TakeTrust(o.trust(2, "p1"))
	again.want(t, "older ones after a start", "five", 3, 5, "policy_refused:older_version")
}

// A policy whose key has left the trust list stays in force, also over a
// start, until the next one comes.
func TestKeyLeavesTrust(t *testing.T) {
	o := newOffice(t)
	dir := t.TempDir()
	b := newBox(t, o, dir)
	b.TakeTrust(o.trust(1, "p1"))
	b.TakePolicy(o.policy("p1", 5, "five"))
	b.TakeTrust(o.trust(2, "p2"))
	b.want(t, "key gone", "five", 2, 5, "")
	again := newBox(t, o, dir)
	again.want(t, "after a start", "five", 2, 5, "")
	again.TakePolicy(o.policy("p1", 6, "six"))
	again.want(t, "the old key signs no new one", "five", 2, 5, "policy_refused:unknown_key")
	again.TakePolicy(o.policy("p2", 6, "six"))
	again.want(t, "the new key does", "six", 2, 6, "")
}

// exp bars taking a document into force, not keeping it.
func TestExpiredStaysInForce(t *testing.T) {
	o := newOffice(t)
	dir := t.TempDir()
	b := newBox(t, o, dir)
	b.TakeTrust(o.trust(1, "p1"))
	b.TakePolicy(o.policy("p1", 5, "five"))
	b.now = issued.AddDate(1, 0, 0)
	b.TakePolicy(o.policy("p1", 6, "six"))
	b.want(t, "a year later", "five", 1, 5, "policy_refused:expired")
	again := newBox(t, o, dir)
	again.now = issued.AddDate(1, 0, 0)
	again.want(t, "after a start", "five", 1, 5, "")
}

func TestDamagedFiles(t *testing.T) {
	o := newOffice(t)
	dir := t.TempDir()
	b := newBox(t, o, dir)
	b.TakeTrust(o.trust(1, "p1"))
	b.TakePolicy(o.policy("p1", 5, "five"))
	for _, name := range []string{trustFile, policyFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte{0, 0, 0}, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := newBox(t, o, dir)
	again.want(t, "damaged", "", 0, 0, "policy_refused:at start: malformed")
	for _, name := range []string{trustFile, policyFile} {
		if _, err := os.Stat(filepath.Join(dir, name+".bad")); err != nil {
			t.Errorf("%s was not set aside: %v", name, err)
		}
	}
	again.TakePolicy(o.policy("p1", 5, "five"))
	again.TakeTrust(o.trust(1, "p1"))
	again.want(t, "fetched again", "five", 1, 5, "")
}

// A policy that cannot be written down is not in force, and is taken when it
// can be.
func TestDiskRefuses(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Log("as root, a missing directory stands for a full disk")
	}
	o := newOffice(t)
	dir := filepath.Join(t.TempDir(), "documents")
	b := newBox(t, o, dir)
	b.TakeTrust(o.trust(1, "p1"))
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	b.TakePolicy(o.policy("p1", 5, "five"))
	b.want(t, "no disk", "", 1, 0, "policy_refused:not written down")
	b.TakeTrust(o.trust(2, "p1"))
	if st := b.Status().Trust; st.Version != 2 || !strings.HasPrefix(st.Fault.Detail, "not written down") {
		t.Errorf("trust %+v", st)
	}
	if err := os.Rename(dir+".gone", dir); err != nil {
		t.Fatal(err)
	}
	b.TakePolicy(o.policy("p1", 5, "five"))
	b.want(t, "disk back", "five", 2, 5, "")
	b.TakeTrust(o.trust(2, "p1"))
	if st := b.Status().Trust; st.Fault.Code != "" {
		t.Errorf("trust %+v", st)
	}
	again := newBox(t, o, dir)
	again.want(t, "after a start", "five", 2, 5, "")
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 4 { // three and the folder of older policies
		t.Errorf("files %v, %v", left, err)
	}
}

// TestOlderPoliciesAreKept: for explaining, and no more of them than that takes.
func TestOlderPoliciesAreKept(t *testing.T) {
	o, dir := newOffice(t), t.TempDir()
	b := newBox(t, o, dir)
	b.TakeTrust(o.trust(1, "p1"))
	const last = keptPolicies + 3
	for v := uint64(1); v <= last; v++ {
		b.TakePolicy(o.policy("p1", v, fmt.Sprintf("rules %d", v)))
	}
	b = newBox(t, o, dir) // and after a restart
	for v := uint64(1); v <= last; v++ {
		doc, err := b.Policy(v)
		if v <= last-keptPolicies {
			if !errors.Is(err, ErrNoPolicy) {
				t.Errorf("version %d: %s, %v; want it gone", v, doc, err)
			}
			continue
		}
		var p struct{ Text string }
		if err != nil || json.Unmarshal(doc, &p) != nil || p.Text != fmt.Sprintf("rules %d", v) {
			t.Errorf("version %d: %s, %v", v, doc, err)
		}
	}
	// One that was in force before any was kept is kept from then on.
	if err := os.RemoveAll(filepath.Join(dir, historyDir)); err != nil {
		t.Fatal(err)
	}
	if _, err := newBox(t, o, dir).Policy(last); err != nil {
		t.Error(err)
	}
}

// TestTrustFromTheImage: a list that was written to a file for the image of a
// box, ended by a line as files are, is in force before any broker is heard.
func TestTrustFromTheImage(t *testing.T) {
	o := newOffice(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, trustFile), append(o.trust(7, "p1"), '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, o, dir)
	if got := b.Status().Trust.Version; got != 7 {
		t.Errorf("version %d in force, want 7", got)
	}
	b.TakeTrust(o.trust(8, "p1"))
	if got := b.Status().Trust.Version; got != 8 {
		t.Errorf("version %d in force, want 8", got)
	}
}

// TestRevoked: the list of what is revoked has the policy's habits, but that
// having none is no fault.
func TestRevoked(t *testing.T) {
	o, dir := newOffice(t), t.TempDir()
	b := newBox(t, o, dir)
	want := func(b *box, what, gone string, ver uint64, fault string) {
		t.Helper()
		st := b.Status().Revoked
		if f := string(st.Fault.Code) + ":" + st.Fault.Detail; b.gone != gone || st.Version != ver || !strings.HasPrefix(f, fault) || fault == "" && f != ":" {
			t.Errorf("%s: %q, version %d, %s", what, b.gone, st.Version, f)
		}
	}
	want(b, "none", "", 0, "")
	b.TakeRevoked(o.revoked("v1", 3, "three"))
	want(b, "before the trust list", "", 0, "")
	b.TakeTrust(o.trust(1, "p1", "v1"))
	want(b, "once the key is known", "three", 3, "")
	b.TakePolicy(o.policy("p1", 9, "nine"))
	b.want(t, "the policy beside it", "nine", 1, 9, "")
	b.TakeRevoked(o.revoked("v1", 2, "two"))
	want(b, "an older one", "three", 3, "revoked_refused:older_version")
	b.TakeRevoked(nil)
	want(b, "cleared", "three", 3, "revoked_refused:older_version")
	b.TakeRevoked(o.revoked("v1", 4, "nonsense"))
	want(b, "nonsense", "three", 3, "revoked_refused:no list")
	b.TakeRevoked(o.policy("p1", 10, "ten"))
	want(b, "a policy", "three", 3, "revoked_refused:wrong_type")
	b.TakeRevoked(o.revoked("v1", 5, "five"))
	want(b, "a newer one", "five", 5, "")
	again := newBox(t, o, dir)
	want(again, "after a start", "five", 5, "")
	again.TakeTrust(o.trust(2, "p1"))
	again = newBox(t, o, dir)
	want(again, "its key has left the list", "five", 5, "")
	if err := os.WriteFile(filepath.Join(dir, revokedFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	again = newBox(t, o, dir)
	want(again, "damaged", "", 0, "revoked_refused:at start")
	again.want(t, "the policy beside it", "nine", 2, 9, "")
}
