package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/signed"
)

var (
	now        = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	passphrase = []byte("a fictional passphrase")
)

func TestSigners(t *testing.T) {
	r := Open(t.TempDir() + "/keys")
	root, err := r.MakeSigner(signed.RoleRoot, passphrase, now)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := r.MakeSigner(signed.RolePolicy, passphrase, now)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^policy-202611-[0-9a-f]{4}$`).MatchString(policy.Kid) {
		t.Errorf("kid %q", policy.Kid)
	}
	if _, err := r.MakeSigner(signed.RolePolicy, passphrase, now); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	again, err := r.Signer(signed.RolePolicy, passphrase)
	if err != nil || !again.Key.Equal(policy.Key) || again.Kid != policy.Kid {
		t.Errorf("read back: %v, %v", again, err)
	}
	if _, err := r.Signer(signed.RolePolicy, []byte("wrong")); !errors.Is(err, signed.ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := ReadSigner(r.Path("policy.jwe"), signed.RoleAck, passphrase); err == nil || !strings.Contains(err.Error(), "role policy, not ack") {
		t.Errorf("another role: %v", err)
	}
	public, err := r.Root()
	if err != nil || public.String() != root.Root().String() {
		t.Errorf("public root: %v, %v", public, err)
	}
	all, err := r.Publics()
	if err != nil || len(all) != 1 || all[0].Kid != policy.Kid || all[0].Role != signed.RolePolicy {
		t.Errorf("public keys: %v, %v", all, err)
	}
	info, err := os.Stat(r.Path("policy.jwe"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("private key file: %v, %v", info.Mode(), err)
	}
}

func TestSecrets(t *testing.T) {
	r := Open(t.TempDir())
	kid, err := r.MakeSecret("vn", now)
	if err != nil {
		t.Fatal(err)
	}
	got, key, err := r.Secret("vn")
	if err != nil || got != kid || key == [32]byte{} {
		t.Errorf("read back: %q, %v", got, err)
	}
	if _, err := r.MakeSecret("vn", now); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	if _, err := r.MakeEntrySecret("hn01", now); err != nil {
		t.Fatal(err)
	}
	if _, _, err := signed.LoadSecret(r.Path(EntryFile("hn01")), signed.EntrySet); err != nil {
		t.Errorf("entry key: %v", err)
	}
	for _, file := range []string{SetFile("vn"), EntryFile("hn01")} {
		if info, err := os.Stat(r.Path(file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	for _, bad := range []string{"", "VN", "../vn", "a/b"} {
		if _, err := r.MakeSecret(bad, now); err == nil {
			t.Errorf("a secret for the set %q was made", bad)
		}
	}
	if _, err := r.MakeEntrySecret("data", now); err == nil {
		t.Error("a key for the site data was made")
	}
}

// TestFollowers: a secret is followed by others; the newest is in use, and those
// before stay until their files are moved away.
func TestFollowers(t *testing.T) {
	r := Open(t.TempDir())
	if _, err := r.NextSecret("vn", now); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a follower of nothing: %v", err)
	}
	first, err := r.MakeSecret("vn", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.MakeSecret("vn-2", now); err != nil { // a set of its own
		t.Fatal(err)
	}
	kids := []string{first}
	for n := 2; n <= 11; n++ {
		made, err := r.NextSecret("vn", now)
		if err != nil || made.File != fmt.Sprintf("set-vn.%d.jwk", n) || !regexp.MustCompile(`^set-vn-202611-[0-9a-f]{4}$`).MatchString(made.Kid) {
			t.Fatalf("%+v, %v", made, err)
		}
		kids = append(kids, made.Kid)
	}
	for _, stray := range []string{"set-vn.02.jwk", "set-vn.x.jwk", "set-vn.3.jwk.old", "set-vn.1.jwk", "set-vn.-4.jwk"} {
		if err := os.WriteFile(r.Path(stray), []byte("nothing"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	two, err := r.Secrets("vn", 2)
	if err != nil || len(two) != 2 || two[0].Kid != kids[9] || two[1].Kid != kids[10] || two[0].Set != "vn" {
		t.Errorf("the newest two: %v, %v", two, err)
	}
	if kid, _, err := r.Secret("vn"); err != nil || kid != kids[10] {
		t.Errorf("in use: %s, %v", kid, err)
	}
	if kid, key, err := r.SecretOf("vn", kids[3]); err != nil || kid != kids[3] || key == (gate.Key{}) {
		t.Errorf("by id: %s, %v", kid, err)
	}
	if _, _, err := r.SecretOf("vn", "vn-of-another"); err == nil {
		t.Error("an id that is not there was found")
	}
	if err := os.Remove(r.Path("set-vn.jwk")); err != nil {
		t.Fatal(err)
	}
	if all, err := r.Secrets("vn", 99); err != nil || len(all) != 10 || all[0].Kid != kids[1] {
		t.Errorf("without the first: %d, %v", len(all), err)
	}

	if _, err := r.MakeEntrySecret("hn01", now); err != nil {
		t.Fatal(err)
	}
	if made, err := r.NextEntrySecret("hn01", now); err != nil || made.File != "entry-hn01.2.jwk" {
		t.Errorf("%+v, %v", made, err)
	}
	if entry, err := r.EntrySecrets("hn01", 2); err != nil || len(entry) != 2 || entry[0].Set != signed.EntrySet {
		t.Errorf("entry keys: %v, %v", entry, err)
	}
	if entry, err := r.EntrySecrets("hn02", 2); err != nil || len(entry) != 0 {
		t.Errorf("entry keys of another site: %v, %v", entry, err)
	}
}

func TestReadPublicRefuses(t *testing.T) {
	path := t.TempDir() + "/x.pub"
	for _, text := range []string{"", "{}", "root:abc", `{"kid":"a"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadPublic(path); err == nil {
			t.Errorf("%q was taken for a public key", text)
		}
	}
}
