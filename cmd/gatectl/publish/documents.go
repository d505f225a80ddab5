package publish

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"gateagent/agent/policy"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// SignTrust checks a trust list and signs it with the root key.
func SignTrust(root signed.Signer, list signed.Trust) (string, error) {
	payload, err := json.Marshal(list)
	if err != nil {
		return "", fmt.Errorf("write the trust list: %w", err)
	}
	if _, err := signed.ParseTrust(payload); err != nil {
		return "", err
	}
	return root.Sign(signed.TypeTrust, payload)
}

// SignPolicy signs a policy as the header says.
func SignPolicy(key signed.Signer, p *policy.Policy, h policy.Header) (string, error) {
	payload, err := p.Marshal(h)
	if err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	return key.Sign(signed.TypePolicy, payload)
}

// SignRevoked checks a list of what is revoked and signs it.
func SignRevoked(key signed.Signer, r wire.Revoked) (string, error) {
	payload, err := r.Marshal()
	if err != nil {
		return "", err
	}
	return key.Sign(signed.TypeRevoked, payload)
}

// Revoked gives the list of what is revoked that the broker has for a site,
// if the key signed it, whatever its exp; ok is false if there is none of that
// kind.
func (s *Session) Revoked(ctx context.Context, site string, key signed.Signer) (list wire.Revoked, ok bool, err error) {
	got, err := s.Link.Retained(ctx, s.Topics.Revoked(site), absentWait)
	if errors.Is(err, mqttlink.ErrNothingRetained) || err == nil && len(got) == 0 {
		return list, false, nil
	}
	if err != nil {
		return list, false, fmt.Errorf("ask for what is revoked: %w", err)
	}
	payload, err := key.Open(signed.TypeRevoked, site, got)
	if err != nil {
		return list, false, nil //nolint:nilerr // not ours: as if there were none
	}
	list, err = wire.ParseRevoked(payload)
	return list, err == nil, nil
}

// SignManifest checks a manifest and signs it.
func SignManifest(key signed.Signer, m wire.Manifest) (string, error) {
	payload, err := m.Marshal()
	if err != nil {
		return "", err
	}
	return key.Sign(signed.TypeManifest, payload)
}

// SignDelta checks a delta and signs it.
func SignDelta(key signed.Signer, d wire.DeltaDoc) (string, error) {
	payload, err := d.Marshal()
	if err != nil {
		return "", err
	}
	return key.Sign(signed.TypeDelta, payload)
}

// ReadTrust reads the payload of a signed trust list that was made elsewhere;
// the signature is not judged, the type is: gates would refuse another document
// without a word to whoever published it.
func ReadTrust(compact []byte) (signed.Trust, error) {
	payload, err := payloadOf(compact)
	if err != nil {
		return signed.Trust{}, err
	}
	if err := wantType(compact, signed.TypeTrust); err != nil {
		return signed.Trust{}, err
	}
	return signed.ParseTrust(payload)
}

// ReadManifest reads the payload of a signed manifest that central itself
// wrote; the signature is not judged.
func ReadManifest(compact []byte) (wire.Manifest, error) {
	payload, err := payloadOf(compact)
	if err != nil {
		return wire.Manifest{}, err
	}
	return wire.ParseManifest(payload)
}

// PolicyPayload gives what a signed policy says; the signature is not judged.
func PolicyPayload(compact []byte) ([]byte, error) {
	if err := wantType(compact, signed.TypePolicy); err != nil {
		return nil, err
	}
	return payloadOf(compact)
}

// wantType refuses a signed document of another type.
func wantType(compact []byte, t signed.Type) error {
	head, _, _ := strings.Cut(string(compact), ".")
	var header struct {
		Typ signed.Type `json:"typ"`
	}
	b, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil || json.Unmarshal(b, &header) != nil || header.Typ != t {
		return ErrNoDocument
	}
	return nil
}
