// Package keyring is central's folder of keys: one file a key, private keys
// under a passphrase, secrets readable by their owner alone.
//
// It owns the layout of the folder and the names of keys. The form of each
// file is sync/signed's. Nothing is ever overwritten: a signing key is replaced
// by moving its file away first, and a secret by one with a higher number.
//
//	root.jwe, root.pub          the offline key, and the line that configs pin
//	<role>.jwe, <role>.pub      a signing key, and its line of the trust list
//	set-<name>.jwk              the secret of a data set's pseudonyms
//	set-<name>.2.jwk, .3.jwk …  the ones that followed it; the last is in use
//	entry-<site>.jwk            the secret of the subjects in a site's entries,
//	                            and its followers in the same way
package keyring

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// Roles are the roles that this version has work for, the root first.
func Roles() []signed.Role {
	return []signed.Role{signed.RoleRoot, signed.RoleSnapshot, signed.RolePolicy, signed.RoleAck, signed.RolePass}
}

// Ring is a folder of keys.
type Ring struct{ dir string }

// Open names a folder; it is made when a key is.
func Open(dir string) Ring { return Ring{dir} }

// Path gives the path of a file in the folder.
func (r Ring) Path(name string) string { return filepath.Join(r.dir, name) }

// SetFile names the file of a set's first secret.
func SetFile(set string) string { return "set-" + set + ".jwk" }

// EntryFile names the file of a site's first entry key.
func EntryFile(site string) string { return "entry-" + site + ".jwk" }

// PrivateFile names the file of a role's private key.
func PrivateFile(role signed.Role) string { return string(role) + ".jwe" }

// PublicFile names the file of a role's public key.
func PublicFile(role signed.Role) string { return string(role) + ".pub" }

// MakeSigner makes the key of a role unless there is one. The error is
// fs.ErrExist then.
func (r Ring) MakeSigner(role signed.Role, passphrase []byte, now time.Time) (signed.Signer, error) {
	if err := r.absent(PrivateFile(role)); err != nil {
		return signed.Signer{}, err
	}
	kid, err := newKid(string(role), now)
	if err != nil {
		return signed.Signer{}, err
	}
	s, err := signed.NewSigner(kid, role)
	if err != nil {
		return signed.Signer{}, err
	}
	private, err := signed.EncryptKey(s, passphrase)
	if err != nil {
		return signed.Signer{}, err
	}
	public := []byte(s.Root().String() + "\n")
	if role != signed.RoleRoot {
		if public, err = json.Marshal(s.TrustKey()); err != nil {
			return signed.Signer{}, fmt.Errorf("write the public key: %w", err)
		}
		public = append(public, '\n')
	}
	if err := r.write(PrivateFile(role), private, 0o600); err != nil {
		return signed.Signer{}, err
	}
	return s, r.write(PublicFile(role), public, 0o644)
}

// MakeSecret makes the secret of a set unless there is one; then the error is
// fs.ErrExist.
func (r Ring) MakeSecret(set string, now time.Time) (kid string, err error) {
	if !wire.ValidSet(set) {
		return "", fmt.Errorf("%q is no name of a data set", set)
	}
	made, err := r.makeSecret(SetFile(set), set, now)
	return made.Kid, err
}

// MakeEntrySecret makes the entry key of a site unless there is one; then the
// error is fs.ErrExist.
func (r Ring) MakeEntrySecret(site string, now time.Time) (kid string, err error) {
	if !wire.ValidSite(site) {
		return "", fmt.Errorf("%q is no name of a site", site)
	}
	made, err := r.makeSecret(EntryFile(site), signed.EntrySet, now)
	return made.Kid, err
}

// Made is a secret that was made.
type Made struct{ File, Kid string }

// NextSecret makes the secret that follows the one of a set in use.
func (r Ring) NextSecret(set string, now time.Time) (Made, error) {
	if !wire.ValidSet(set) {
		return Made{}, fmt.Errorf("%q is no name of a data set", set)
	}
	return r.nextSecret(SetFile(set), set, now)
}

// NextEntrySecret makes the entry key that follows the one of a site in use.
func (r Ring) NextEntrySecret(site string, now time.Time) (Made, error) {
	if !wire.ValidSite(site) {
		return Made{}, fmt.Errorf("%q is no name of a site", site)
	}
	return r.nextSecret(EntryFile(site), signed.EntrySet, now)
}

func (r Ring) nextSecret(first, set string, now time.Time) (Made, error) {
	there, err := r.numbered(first)
	if err != nil {
		return Made{}, err
	}
	if len(there) == 0 {
		return Made{}, fmt.Errorf("there is no secret %s that another could follow: %w", r.Path(first), fs.ErrNotExist)
	}
	return r.makeSecret(numberedFile(first, there[len(there)-1]+1), set, now)
}

func (r Ring) makeSecret(file, set string, now time.Time) (Made, error) {
	if err := r.absent(file); err != nil {
		return Made{}, err
	}
	name, _, _ := strings.Cut(file, ".")
	kid, err := newKid(name, now)
	if err != nil {
		return Made{}, err
	}
	var key gate.Key
	defer clear(key[:])
	if _, err := rand.Read(key[:]); err != nil {
		return Made{}, fmt.Errorf("make a key: %w", err)
	}
	b, err := signed.EncodeSecret(kid, set, key)
	if err != nil {
		return Made{}, err
	}
	defer clear(b)
	return Made{file, kid}, r.write(file, b, 0o600)
}

// numberedFile gives the name of the n-th secret after the first's.
func numberedFile(first string, n int) string {
	if n == 1 {
		return first
	}
	return strings.TrimSuffix(first, ".jwk") + "." + strconv.Itoa(n) + ".jwk"
}

// numbered gives the numbers of the secrets that are there, ascending.
func (r Ring) numbered(first string) ([]int, error) {
	entries, err := os.ReadDir(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for secrets: %w", err)
	}
	var out []int
	for _, e := range entries {
		n := 1
		if e.Name() != first {
			middle, ok := strings.CutPrefix(e.Name(), strings.TrimSuffix(first, "jwk"))
			middle, isKey := strings.CutSuffix(middle, ".jwk")
			if n, err = strconv.Atoi(middle); !ok || !isKey || err != nil || n < 2 || numberedFile(first, n) != e.Name() {
				continue
			}
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return out, nil
}

// Secrets gives the newest secrets of a set, at most so many, the newest last.
func (r Ring) Secrets(set string, most int) ([]sealed.Secret, error) {
	return r.secrets(SetFile(set), set, most)
}

// EntrySecrets gives the newest entry keys of a site, at most so many, the
// newest last; none where the site has none.
func (r Ring) EntrySecrets(site string, most int) ([]sealed.Secret, error) {
	return r.secrets(EntryFile(site), signed.EntrySet, most)
}

func (r Ring) secrets(first, set string, most int) ([]sealed.Secret, error) {
	there, err := r.numbered(first)
	if err != nil {
		return nil, err
	}
	var out []sealed.Secret
	for _, n := range there[max(0, len(there)-most):] {
		kid, key, err := signed.LoadSecret(r.Path(numberedFile(first, n)), set)
		if err != nil {
			return nil, err
		}
		out = append(out, sealed.Secret{Set: set, Kid: kid, Key: key})
	}
	return out, nil
}

// newKid names a key so that its successor has another name.
func newKid(what string, now time.Time) (string, error) {
	var b [2]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("name a key: %w", err)
	}
	return fmt.Sprintf("%s-%s-%s", what, now.UTC().Format("200601"), hex.EncodeToString(b[:])), nil
}

// ReadSigner opens a private key file of the role.
func ReadSigner(path string, role signed.Role, passphrase []byte) (signed.Signer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return signed.Signer{}, fmt.Errorf("read the %s key: %w", role, err)
	}
	s, err := signed.DecryptKey(b, passphrase)
	if err != nil {
		return signed.Signer{}, fmt.Errorf("%s: %w", path, err)
	}
	if s.Role != role {
		return signed.Signer{}, fmt.Errorf("%s holds a key of role %s, not %s", path, s.Role, role)
	}
	return s, nil
}

// Signer opens the private key of a role.
func (r Ring) Signer(role signed.Role, passphrase []byte) (signed.Signer, error) {
	return ReadSigner(r.Path(PrivateFile(role)), role, passphrase)
}

// Secret reads the newest secret of a data set.
func (r Ring) Secret(set string) (kid string, key gate.Key, err error) {
	return r.SecretOf(set, "")
}

// SecretOf reads the secret of a data set that has the id; "" stands for the
// newest.
func (r Ring) SecretOf(set, id string) (kid string, key gate.Key, err error) {
	all, err := r.Secrets(set, math.MaxInt)
	if err != nil {
		return "", key, err
	}
	defer clear(all)
	for _, s := range slices.Backward(all) {
		if id == "" || s.Kid == id {
			return s.Kid, s.Key, nil
		}
	}
	if id == "" {
		return "", key, fmt.Errorf("read secret: %s: %w", r.Path(SetFile(set)), fs.ErrNotExist)
	}
	return "", key, fmt.Errorf("no secret of %s in %s has the id %q", set, r.dir, id)
}

// Root gives the public root key.
func (r Ring) Root() (signed.Root, error) {
	b, err := os.ReadFile(r.Path(PublicFile(signed.RoleRoot)))
	if err != nil {
		return signed.Root{}, fmt.Errorf("read the public root key: %w", err)
	}
	return signed.ParseRoot(strings.TrimSpace(string(b)))
}

// maxPublic bounds a public key file, in bytes.
const maxPublic = 16 << 10

// ReadPublic reads a line of the trust list.
func ReadPublic(path string) (signed.TrustKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return signed.TrustKey{}, fmt.Errorf("read a public key: %w", err)
	}
	var k signed.TrustKey
	if len(b) > maxPublic || json.Unmarshal(b, &k) != nil || k.Kid == "" || k.Role == "" || len(k.Key) == 0 {
		return signed.TrustKey{}, fmt.Errorf("%s is no public key of a role", path)
	}
	return k, nil
}

// Publics gives the public keys of all roles in the folder but the root,
// sorted by file.
func (r Ring) Publics() ([]signed.TrustKey, error) {
	paths, err := filepath.Glob(r.Path("*.pub"))
	if err != nil {
		return nil, fmt.Errorf("look for public keys: %w", err)
	}
	slices.Sort(paths)
	var all []signed.TrustKey
	for _, p := range paths {
		if filepath.Base(p) == PublicFile(signed.RoleRoot) {
			continue
		}
		k, err := ReadPublic(p)
		if err != nil {
			return nil, err
		}
		all = append(all, k)
	}
	return all, nil
}

func (r Ring) absent(name string) error {
	switch _, err := os.Lstat(r.Path(name)); {
	case err == nil:
		return fmt.Errorf("%s: %w", r.Path(name), fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("look for %s: %w", name, err)
	}
	return nil
}

// write makes a new file, durable, and fails when there is one.
func (r Ring) write(name string, b []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of keys: %w", err)
	}
	f, err := os.OpenFile(r.Path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", r.Path(name), err)
	}
	return nil
}
