package passport

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Message is a COSE_Sign1 message (RFC 9052 §4.2) that nobody has judged yet.
type Message struct {
	// Alg is what the message says that the signature is.
	Alg int64
	// KID names the key: of the protected header, or of the unprotected one
	// if the protected has none.
	KID       []byte
	Payload   []byte
	Signature []byte
	protected []byte // as it was signed
}

// String says that there is one.
func (m Message) String() string { return fmt.Sprintf("message(%d bytes)", len(m.Payload)) }

// GoString is String, for %#v.
func (m Message) GoString() string { return m.String() }

// The algorithms that passports are signed with (RFC 9053 §2.1, RFC 8230 §2).
const (
	AlgES256 = -7
	AlgPS256 = -37
)

// Tags of CBOR items that a passport may be wrapped in.
const (
	tagCWT   = 61 // RFC 8392 §6
	tagSign1 = 18 // RFC 9052 §2
)

// maxKID bounds the id of a key, in bytes; a certificate's has eight.
const maxKID = 64

// strictCBOR reads what strangers wrote: bounded depth and sizes, no doubled
// keys, valid UTF-8, nothing after the item. Lengths may be indefinite, since
// real issuers write them so.
var strictCBOR = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   16,
		MaxArrayElements:  64,
		MaxMapPairs:       64,
		IndefLength:       cbor.IndefLengthAllowed,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic("passport: options of the CBOR reader: " + err.Error()) // constants
	}
	return mode
}()

// sign1 is the array of a COSE_Sign1.
type sign1 struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected header
	Payload     []byte
	Signature   []byte
}

// header has the parameters that matter here (RFC 9052 §3.1). Critical ones
// would have to be understood, and none are.
type header struct {
	Alg      any             `cbor:"1,keyasint"`
	Critical cbor.RawMessage `cbor:"2,keyasint"`
	KID      any             `cbor:"4,keyasint"`
}

// ParseMessage reads a COSE_Sign1: tagged as such, the same within the tag of a
// CWT, or not tagged at all.
func ParseMessage(b []byte) (Message, error) {
	item, err := untag(b)
	if err != nil {
		return Message{}, err
	}
	var s sign1
	if err := strictCBOR.Unmarshal(item, &s); err != nil {
		return Message{}, errors.New("not a signed message")
	}
	if len(s.Payload) == 0 || len(s.Signature) == 0 {
		return Message{}, errors.New("the message has no content or no signature")
	}
	var protected header
	if len(s.Protected) > 0 {
		if err := strictCBOR.Unmarshal(s.Protected, &protected); err != nil {
			return Message{}, errors.New("the protected header cannot be read")
		}
	}
	if protected.Critical != nil || s.Unprotected.Critical != nil {
		return Message{}, errors.New("the message wants something understood that this version does not know")
	}
	if protected.Alg == nil {
		// Some issuers say it outside. Nothing is lost: the key that is
		// found has one algorithm only, and the message has to name it.
		protected.Alg = s.Unprotected.Alg
	}
	alg, ok := protected.Alg.(int64)
	if !ok {
		return Message{}, errors.New("the message does not say how it was signed")
	}
	kid := protected.KID
	if kid == nil {
		kid = s.Unprotected.KID
	}
	id, ok := kid.([]byte)
	if kid != nil && (!ok || len(id) > maxKID) {
		return Message{}, errors.New("the id of the key cannot be read")
	}
	return Message{Alg: alg, KID: id, Payload: s.Payload, Signature: s.Signature, protected: s.Protected}, nil
}

// untag takes the tags off: of a CWT, then of a COSE_Sign1, each at most once.
func untag(b []byte) ([]byte, error) {
	for _, tag := range [...]uint64{tagCWT, tagSign1} {
		var t cbor.RawTag
		if len(b) == 0 || b[0]>>5 != 6 {
			break
		}
		if err := strictCBOR.Unmarshal(b, &t); err != nil {
			return nil, errors.New("not CBOR")
		}
		if t.Number == tag {
			b = t.Content
		}
	}
	if len(b) == 0 || b[0]>>5 != majorArray {
		return nil, errors.New("not a signed message, or tagged as something else")
	}
	return b, nil
}

// majorArray is the major type of CBOR arrays (RFC 8949 §3.1).
const majorArray = 4

// signed gives the bytes that the signature is over (RFC 9052 §4.4).
func (m Message) signed() []byte {
	b, err := cbor.Marshal([]any{"Signature1", emptyIfNil(m.protected), []byte{}, m.Payload})
	if err != nil {
		panic("passport: texts and bytes cannot be written as CBOR: " + err.Error())
	}
	return b
}

func emptyIfNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
