package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"gateagent/agent/record"
	"gateagent/agent/record/strict"
	"gateagent/sync/identity"
)

// SignFunc signs a canonical body under a topic: [identity.Identity.Sign].
type SignFunc func(topic string, canonical []byte) []byte

// SignBody writes a body (a [State], a [Hello]) as JSON and adds its `sig`:
// over the topic, a NUL and the body without `sig` as deterministic CBOR.
func SignBody(topic string, body any, sign SignFunc) ([]byte, error) {
	plain, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("sign body: %w", err)
	}
	fields, canonical, _, err := unsigned(plain, MaxState)
	if err != nil {
		return nil, fmt.Errorf("sign body: %w", err)
	}
	fields["sig"] = base64.RawURLEncoding.EncodeToString(sign(topic, canonical))
	return json.Marshal(fields)
}

// VerifyBody checks the `sig` of a body that [SignBody] wrote, against the
// Ed25519 key of the box it must come from. Errors wrap [ErrSignature] when
// the body can be read and the signature does not hold.
func VerifyBody(topic string, body []byte, pub identity.Key) error {
	_, canonical, sig, err := unsigned(body, MaxState)
	if err != nil {
		return fmt.Errorf("verify body: %w", err)
	}
	if !identity.Verify(pub, topic, canonical, sig) {
		return fmt.Errorf("verify body: %w", ErrSignature)
	}
	return nil
}

// unsigned takes the signature out of a body and gives what it covers.
func unsigned(body []byte, size int) (fields map[string]any, canonical, sig []byte, err error) {
	tree, err := strict.Parse(body, strict.Limits{Size: size, Depth: maxBodyDepth})
	if err != nil {
		return nil, nil, nil, err
	}
	fields, ok := tree.(map[string]any)
	if !ok {
		return nil, nil, nil, errors.New("not a JSON object")
	}
	if text, ok := fields["sig"].(string); ok {
		if sig, err = base64.RawURLEncoding.Strict().DecodeString(text); err != nil {
			return nil, nil, nil, errors.New("sig is not base64url without padding")
		}
	}
	delete(fields, "sig")
	canonical, err = record.Canonical(fields)
	return fields, canonical, sig, err
}

// batchText gives what the signature of a batch covers: where it comes from
// and the head of its last record, which by the chain covers all before it.
func batchText(last record.Event) ([]byte, error) {
	o, p := last.Origin(), last.Position()
	return record.Canonical(map[string]any{
		"site": o.Site, "gate": o.Gate, "epoch": p.Epoch.String(), "seq": p.Seq, "head": p.Head.String(),
	})
}
