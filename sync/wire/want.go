package wire

import (
	"errors"
	"fmt"
	"slices"
)

// MaxWanted is how many chunks one [Want] asks for at most.
const MaxWanted = 16

// Want is the body of a gate's `data/want`: it asks for chunks of a set, which
// come one by one on `data/chunk/{digest}` as the bytes they are, at QoS 0. It
// is signed by [SignBody].
type Want struct {
	Set     string   `json:"set"`
	Digests []string `json:"digests"` // 1 to [MaxWanted], each once
	Sig     Blob     `json:"sig,omitzero"`
}

// Check reports what no box would send.
func (w Want) Check() error {
	if !ValidSet(w.Set) {
		return fmt.Errorf("data set %q is not a name", clip(w.Set))
	}
	if len(w.Digests) == 0 || len(w.Digests) > MaxWanted {
		return fmt.Errorf("%d digests; 1 to %d are taken", len(w.Digests), MaxWanted)
	}
	for i, d := range w.Digests {
		if !ValidDigest(d) {
			return fmt.Errorf("digest %d is not 64 hexadecimal digits", i)
		}
		if slices.Contains(w.Digests[:i], d) {
			return errors.New("a digest is there twice")
		}
	}
	return nil
}

// Marshal writes the body as it is signed up under a gate's [Topics.Want].
func (w Want) Marshal(topic string, sign SignFunc) ([]byte, error) {
	if err := w.Check(); err != nil {
		return nil, fmt.Errorf("data/want: %w", err)
	}
	return SignBody(topic, w, sign)
}

// ParseWant reads a want. Its signature is checked by [VerifyBody].
func ParseWant(body []byte) (Want, error) {
	var w Want
	if err := parse("data/want", body, &w, MaxWant); err != nil {
		return Want{}, err
	}
	if err := w.Check(); err != nil {
		return Want{}, fmt.Errorf("data/want: %w", err)
	}
	return w, nil
}
