package signed

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"gateagent/agent/gate"
	"gateagent/agent/record/strict"
)

// Iterations of PBKDF2 for private key files: what is written (OWASP's figure
// for HMAC-SHA-512), and what is read. Fewer protect nothing; more only burn
// the reader's processor.
const (
	writeIterations = 210_000
	minIterations   = 100_000
	maxIterations   = 1_000_000
)

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 16 << 10

// EntrySet is the `set` of the secret that keys the subjects of entries.
const EntrySet = "entry"

// NewSigner draws a key.
func NewSigner(kid string, role Role) (Signer, error) {
	if !validKid(kid) {
		return Signer{}, fmt.Errorf("key id %q is not of [A-Za-z0-9._-]{1,64}", clip(kid))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Signer{}, fmt.Errorf("make key: %w", err)
	}
	return Signer{kid, role, key}, nil
}

// Root gives the public part as a config pins it.
func (s Signer) Root() Root { return Root{s.Kid, s.Key.Public().(ed25519.PublicKey)} }

// TrustKey gives the public part as a trust list names it, for all sites and
// without end.
func (s Signer) TrustKey() TrustKey {
	return TrustKey{Kid: s.Kid, Role: s.Role, Alg: AlgEdDSA, Key: Bytes(s.Key.Public().(ed25519.PublicKey))}
}

// jwk is a JSON Web Key (RFC 7517, RFC 8037) with the role beside it.
type jwk struct {
	Kty  string `json:"kty"`
	Crv  string `json:"crv,omitempty"`
	Kid  string `json:"kid"`
	Role Role   `json:"role,omitempty"` // of signing keys
	Set  string `json:"set,omitempty"`  // of secrets: a data set, or "entry"
	X    Bytes  `json:"x,omitempty"`
	D    Bytes  `json:"d,omitempty"`
	K    Bytes  `json:"k,omitempty"`
}

// EncryptKey gives the private key file: a JWK encrypted under a passphrase
// (JWE compact, PBES2-HS512+A256KW, A256GCM).
func EncryptKey(s Signer, passphrase []byte) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, errors.New("encrypt key: the passphrase is empty")
	}
	plain, err := json.Marshal(jwk{
		Kty: "OKP", Crv: "Ed25519", Kid: s.Kid, Role: s.Role,
		X: Bytes(s.Key.Public().(ed25519.PublicKey)), D: s.Key.Seed(),
	})
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	enc, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{
		Algorithm: jose.PBES2_HS512_A256KW, Key: passphrase, PBES2Count: writeIterations,
	}, (&jose.EncrypterOptions{}).WithContentType("jwk+json"))
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	obj, err := enc.Encrypt(plain)
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	out, err := obj.CompactSerialize()
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	return append([]byte(out), '\n'), nil
}

// ErrPassphrase is wrapped when a private key file does not open under the
// passphrase.
var ErrPassphrase = errors.New("the passphrase does not open the key file")

// DecryptKey opens what [EncryptKey] wrote.
func DecryptKey(file, passphrase []byte) (Signer, error) {
	if len(file) > maxKeyFile {
		return Signer{}, fmt.Errorf("read key: %d bytes is no key file", len(file))
	}
	text := strings.TrimSpace(string(file))
	if err := checkKeyHeader(text); err != nil {
		return Signer{}, fmt.Errorf("read key: %w", err)
	}
	obj, err := jose.ParseEncryptedCompact(text,
		[]jose.KeyAlgorithm{jose.PBES2_HS256_A128KW, jose.PBES2_HS512_A256KW},
		[]jose.ContentEncryption{jose.A128GCM, jose.A256GCM})
	if err != nil {
		return Signer{}, fmt.Errorf("read key: %w", err)
	}
	plain, err := obj.Decrypt(passphrase)
	if err != nil {
		return Signer{}, fmt.Errorf("read key: %w", ErrPassphrase)
	}
	defer clear(plain)
	var k jwk
	if err := strict.Read(plain, &k, strict.Limits{Size: maxKeyFile, Depth: 4}); err != nil {
		return Signer{}, fmt.Errorf("read key: %w", err)
	}
	if k.Kty != "OKP" || k.Crv != "Ed25519" || len(k.D) != ed25519.SeedSize || !validKid(k.Kid) || k.Role == "" {
		return Signer{}, errors.New("read key: it is not an Ed25519 signing key with kid and role")
	}
	return Signer{k.Kid, k.Role, ed25519.NewKeyFromSeed(k.D)}, nil
}

// checkKeyHeader judges the cost of opening the file before it is paid.
func checkKeyHeader(text string) error {
	head, _, ok := strings.Cut(text, ".")
	if !ok {
		return errors.New("not a private key file (JWE compact)")
	}
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return errors.New("not a private key file (JWE compact)")
	}
	var h struct {
		P2C int64 `json:"p2c"`
	}
	if err := strict.Read(b, &h, strict.Limits{Size: 1 << 10, Depth: 4}); err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if h.P2C < minIterations || h.P2C > maxIterations {
		return fmt.Errorf("%d iterations of PBKDF2; %d to %d are taken", h.P2C, minIterations, maxIterations)
	}
	return nil
}

// EncodeSecret gives the file of a set's fleet key, or with set "entry" of a
// site's entry key: a JWK of type oct.
func EncodeSecret(kid, set string, key gate.Key) ([]byte, error) {
	if !validKid(kid) {
		return nil, fmt.Errorf("key id %q is not of [A-Za-z0-9._-]{1,64}", clip(kid))
	}
	b, err := json.Marshal(jwk{Kty: "oct", Kid: kid, Set: set, K: key[:]})
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return append(b, '\n'), nil
}

// LoadSecret reads the key of a data set, or with set "entry" the site's entry
// key. It refuses a file that everybody may read and the key of another set.
func LoadSecret(path, set string) (kid string, key gate.Key, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", gate.Key{}, fmt.Errorf("read secret: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return "", gate.Key{}, fmt.Errorf("read secret: %s may be read by everybody; hint: chmod 600 %s", path, path)
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return "", gate.Key{}, fmt.Errorf("read secret: %s is no key file", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", gate.Key{}, fmt.Errorf("read secret: %w", err)
	}
	defer clear(b)
	kid, key, err = parseSecret(b, set)
	if err != nil {
		return "", gate.Key{}, fmt.Errorf("read secret: %s: %w", path, err)
	}
	return kid, key, nil
}

// parseSecret reads what [EncodeSecret] wrote for the same set.
func parseSecret(b []byte, set string) (kid string, key gate.Key, err error) {
	var k jwk
	if err := strict.Read(b, &k, strict.Limits{Size: maxKeyFile, Depth: 4}); err != nil {
		return "", gate.Key{}, err
	}
	defer clear(k.K)
	switch {
	case k.Kty != "oct" || len(k.K) != len(key) || !validKid(k.Kid):
		return "", gate.Key{}, errors.New("it is not a secret of 32 bytes with a kid")
	case k.Set != set:
		return "", gate.Key{}, fmt.Errorf("it is the key of %q, not of %q", clip(k.Set), set)
	}
	copy(key[:], k.K)
	return k.Kid, key, nil
}
