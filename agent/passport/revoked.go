package passport

import "crypto/sha256"

// Hash names a passport in a list of revoked ones: the first 128 bits of
// SHA-256 over something of it.
type Hash [16]byte

// Hashes are the three that the revocation lists of the EU gateway use. Our
// own list holds the first, which can be made from what is printed on the
// paper; entries of the EU's lists may be put into it as they are.
type Hashes struct {
	ID        Hash // over the identifier (UCI)
	CountryID Hash // over the issuer's country code and the identifier
	// Signature is over the signature: for ES256 its first half, since the
	// second can be changed without making it false.
	Signature Hash
}

// HashID gives the hash of an identifier as it is printed on a certificate.
func HashID(id string) Hash { return hashOf([]byte(id)) }

func hashOf(b []byte) Hash {
	sum := sha256.Sum256(b)
	return Hash(sum[:len(Hash{})])
}

func hashesOf(id, issuer string, m Message) Hashes {
	signature := m.Signature
	if m.Alg == AlgES256 {
		signature = signature[:len(signature)/2]
	}
	return Hashes{ID: HashID(id), CountryID: HashID(issuer + id), Signature: hashOf(signature)}
}

func (h Hashes) any(f func(Hash) bool) bool { return f(h.ID) || f(h.CountryID) || f(h.Signature) }
