package pass

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"gateagent/agent/base45"
)

// KID names a key in a pass: the first 4 bytes of SHA-256 over the public key.
// Both sides work it out, so the trust list need not have it.
type KID [4]byte

// KIDOf gives the name of a key.
func KIDOf(public ed25519.PublicKey) KID {
	sum := sha256.Sum256(public)
	return KID(sum[:])
}

// sign1 is a COSE_Sign1 (RFC 9052 §4.2) with its tag, 18.
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int]struct{} // always empty
	Payload     []byte
	Signature   []byte
}

const tagSign1 = 0xd2 // the tag 18 as it is written

// protected gives the one protected header that a pass of the key has: {1:
// -8 (EdDSA, RFC 9053 §2.2), 4: kid}. Whatever else a header might ask for, be it critical or not, is
// none of ours.
func protected(kid KID) []byte {
	return append([]byte{0xa2, 0x01, 0x27, 0x04, 0x44}, kid[:]...)
}

// toBeSigned gives the bytes that the signature is over (RFC 9052 §4.4).
func toBeSigned(protected, payload []byte) []byte {
	return marshal([]any{"Signature1", protected, []byte{}, payload})
}

// Issue signs a pass and gives the text of its code. The id is drawn if the
// claims have none; [Inspect] gives it.
func Issue(key ed25519.PrivateKey, c Claims) (text string, err error) {
	if len(key) != ed25519.PrivateKeySize {
		return "", errors.New("issue a pass: the key is no Ed25519 key")
	}
	draw := c.ID == ID{}
	for range 64 {
		if draw {
			var b [minID]byte
			if _, err := rand.Read(b[:]); err != nil {
				return "", fmt.Errorf("issue a pass: draw its id: %w", err)
			}
			c.ID, _ = newID(b[:])
		}
		if text, err = issue(key, c); err != nil {
			return "", fmt.Errorf("issue a pass: %w", err)
		}
		// A blank is a digit, and what hands the text on may drop one at the
		// end: then another id is drawn.
		if !draw || !strings.HasSuffix(text, " ") {
			return text, nil
		}
	}
	return "", errors.New("issue a pass: no id gives a text without a blank at the end")
}

func issue(key ed25519.PrivateKey, c Claims) (string, error) {
	if err := c.Check(); err != nil {
		return "", err
	}
	payload := c.payload()
	head := protected(KIDOf(key.Public().(ed25519.PublicKey)))
	message := append([]byte{tagSign1}, marshal(sign1{
		Protected: head, Unprotected: map[int]struct{}{}, Payload: payload,
		Signature: ed25519.Sign(key, toBeSigned(head, payload)),
	})...)
	text := Prefix + base45.Encode(message)
	if len(text) > maxText {
		return "", fmt.Errorf("%d characters do not fit a code; shorten the names of gates and zones, or name fewer", len(text))
	}
	return text, nil
}

// message is a COSE_Sign1 that nobody has judged yet.
type message struct {
	kid                KID
	payload, signature []byte
}

var errMessage = errors.New("not a signed pass")

// read takes the text of a code apart as far as the signed message. A byte order
// mark before it and CR, LF, NUL and tabs behind it are dropped: some engines
// send them.
func read(text []byte) (message, error) {
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(text, []byte("\ufeff")), []byte(Prefix))
	if !ok || len(text) > maxText {
		return message{}, errMessage
	}
	b, err := base45.Decode(bytes.TrimRight(rest, "\r\n\x00\t"))
	if err != nil || len(b) == 0 || b[0] != tagSign1 {
		return message{}, errMessage
	}
	var s sign1
	if err := decode.Unmarshal(b[1:], &s); err != nil {
		return message{}, errMessage
	}
	n := len(protected(KID{}))
	if len(s.Protected) != n || len(s.Unprotected) > 0 || s.Unprotected == nil || len(s.Signature) != ed25519.SignatureSize {
		return message{}, errMessage
	}
	m := message{KID(s.Protected[n-len(KID{}):]), s.Payload, s.Signature}
	if !bytes.Equal(protected(m.kid), s.Protected) || !bytes.Equal(marshal(s), b[1:]) {
		return message{}, errMessage
	}
	return m, nil
}

// Inspect reads a pass without judging it: for whoever has just issued it.
func Inspect(text string) (Claims, error) {
	m, err := read([]byte(text))
	if err != nil {
		return Claims{}, err
	}
	return parsePayload(m.payload)
}
