package sealed

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/agent/gate"
	"gateagent/sync/identity"
)

var update = flag.Bool("update", false, "write the golden vector anew")

var label = Label{Site: "hn01", Gate: "gate-1", Set: "vn", Kid: "set-vn-202611-0a1b"}

func newBox(t testing.TB) *identity.Identity {
	t.Helper()
	id, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestOpensForItsBoxAlone(t *testing.T) {
	box, key := newBox(t), gate.Key{1, 2, 3, 31: 4}
	one, err := Seal(box.Public().X25519, label, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != Size {
		t.Errorf("%d bytes, not %d", len(one), Size)
	}
	if got, err := Open(box, label, one); err != nil || got != key {
		t.Errorf("Open = %v, %v", got == key, err)
	}
	two, err := Seal(box.Public().X25519, label, key)
	if err != nil || bytes.Equal(one, two) {
		t.Errorf("the same sealed twice is the same, or %v", err)
	}
	if bytes.Contains(one, key[:]) {
		t.Error("the key stands in what was sealed")
	}
	other := func(change func(*Label)) Label {
		l := label
		change(&l)
		return l
	}
	bent := func(i int) []byte {
		b := bytes.Clone(one)
		b[i] ^= 1
		return b
	}
	for name, tc := range map[string]struct {
		box    *identity.Identity
		label  Label
		sealed []byte
	}{
		"another box":         {newBox(t), label, one},
		"another site":        {box, other(func(l *Label) { l.Site = "hn02" }), one},
		"another gate":        {box, other(func(l *Label) { l.Gate = "gate-2" }), one},
		"another set":         {box, other(func(l *Label) { l.Set = "entry" }), one},
		"another key id":      {box, other(func(l *Label) { l.Kid += "x" }), one},
		"site and gate moved": {box, other(func(l *Label) { l.Site, l.Gate = "hn01/gate-1", "" }), one},
		"a bit of enc":        {box, label, bent(3)},
		"a bit of the key":    {box, label, bent(40)},
		"a bit of the tag":    {box, label, bent(Size - 1)},
		"too short":           {box, label, one[:Size-1]},
		"too long":            {box, label, append(bytes.Clone(one), 0)},
		"empty":               {box, label, nil},
		"zeros":               {box, label, make([]byte, Size)},
	} {
		got, err := Open(tc.box, tc.label, tc.sealed)
		if !errors.Is(err, ErrSealed) || got != (gate.Key{}) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), hex.EncodeToString(key[:4])) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
	if _, err := Seal(identity.Key{}, label, key); err == nil {
		t.Error("sealed to the zero key, which everybody can open")
	}
}

// golden is the vector that other implementations are held to.
type golden struct {
	Suite  string `json:"suite"`
	Scalar string `json:"x25519"` // of the box, base64url
	Public string `json:"public"` // likewise
	Site   string `json:"site"`
	Gate   string `json:"gate"`
	Set    string `json:"set"`
	Kid    string `json:"kid"`
	Info   string `json:"info"` // hexadecimal, as the following
	Key    string `json:"key"`
	Sealed string `json:"sealed"`
}

func goldenBox(t testing.TB, scalar string) *identity.Identity {
	t.Helper()
	dir := t.TempDir()
	text := fmt.Sprintf(`{"v":1,"ed25519":%q,"x25519":%q}`, strings.Repeat("A", 43), scalar)
	if err := os.WriteFile(filepath.Join(dir, "keys.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	id, err := identity.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestGolden(t *testing.T) {
	const file = "testdata/golden.json"
	if *update {
		const scalar = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA"
		box, key := goldenBox(t, scalar), gate.Key{}
		for i := range key {
			key[i] = byte(0xa0 + i)
		}
		sealed, err := Seal(box.Public().X25519, label, key)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(golden{
			"HPKE base mode: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, ChaCha20Poly1305 0x0003; sealed is enc, then ciphertext; aad is empty",
			scalar, box.Public().X25519.String(), label.Site, label.Gate, label.Set, label.Kid,
			hex.EncodeToString(label.info()), hex.EncodeToString(key[:]), hex.EncodeToString(sealed),
		}, "", "  ")
		if err == nil {
			err = os.WriteFile(file, append(text, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	l := Label{g.Site, g.Gate, g.Set, g.Kid}
	if got := hex.EncodeToString(l.info()); got != g.Info {
		t.Errorf("info is %s, not %s", got, g.Info)
	}
	sealed, err := hex.DecodeString(g.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	box := goldenBox(t, g.Scalar)
	if got := box.Public().X25519.String(); got != g.Public {
		t.Errorf("the public key is %s, not %s", got, g.Public)
	}
	key, err := Open(box, l, sealed)
	if err != nil || hex.EncodeToString(key[:]) != g.Key {
		t.Errorf("Open: %v, or another key", err)
	}
}

// FuzzOpen: nothing but what was sealed opens, and nothing panics.
func FuzzOpen(f *testing.F) {
	box := newBox(f)
	good, err := Seal(box.Public().X25519, label, gate.Key{7})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, "vn", label.Kid)
	f.Add(good[:32], "vn", label.Kid)
	f.Add(make([]byte, Size), "entry", "")
	f.Add([]byte{}, "\x00", "\x00")
	f.Fuzz(func(t *testing.T, sealed []byte, set, kid string) {
		key, err := Open(box, Label{label.Site, label.Gate, set, kid}, sealed)
		if err != nil {
			if !errors.Is(err, ErrSealed) || key != (gate.Key{}) {
				t.Fatal(err)
			}
			return
		}
		if key != (gate.Key{7}) {
			t.Fatal("something opened that was not sealed")
		}
	})
}

func TestHidden(t *testing.T) {
	box := newBox(t)
	scalar := fmt.Sprintf("%v %+v %#v", box.Exchanger(), box.Exchanger(), box.Exchanger())
	if !strings.HasPrefix(scalar, "identity ") || len(scalar) > 300 {
		t.Errorf("printed: %s", scalar)
	}
}
