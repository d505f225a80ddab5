package passport

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"gateagent/agent/base45"
	"gateagent/agent/gate"
)

// vector is one of the public test certificates (dgc-testdata, Apache-2.0).
type vector struct {
	name       string
	Prefix     string `json:"PREFIX"`
	Base45     string `json:"BASE45"`
	Compressed string `json:"COMPRESSED"`
	COSE       string `json:"COSE"`
	CBOR       string `json:"CBOR"`
	Context    struct {
		Certificate string `json:"CERTIFICATE"`
		Clock       string `json:"VALIDATIONCLOCK"`
		Description string `json:"DESCRIPTION"`
	} `json:"TESTCTX"`
	Expected map[string]any `json:"EXPECTEDRESULTS"`
}

// publicVectors finds the folder of public vectors beside the repository, or
// takes the one that DCC_VECTORS names, such as a clone of dgc-testdata.
func publicVectors(t *testing.T) string {
	if dir := os.Getenv("DCC_VECTORS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		folder := filepath.Join(dir, "..", "shared", "testdata", "dcc")
		if _, err := os.Stat(folder); err == nil {
			return folder
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Skip("the public certificates are not there: ../shared/testdata/dcc beside the repository")
		}
		dir = up
	}
}

func readVectors(t *testing.T, dir string) []vector {
	t.Helper()
	var all []vector
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		v := vector{}
		if err := json.Unmarshal(bytes.TrimPrefix(b, []byte("\ufeff")), &v); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if v.Expected == nil {
			return nil // something else
		}
		v.name, err = filepath.Rel(dir, path)
		v.name = strings.TrimSuffix(filepath.ToSlash(v.name), ".json")
		v.name = strings.NewReplacer("2DCode_raw_", "", "2DCode/raw/", "").Replace(v.name)
		all = append(all, v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b vector) int { return strings.Compare(a.name, b.name) })
	return all
}

// want gives what a vector expects of a step; ok is false when it says nothing.
func (v *vector) want(member string) (want, ok bool) {
	want, ok = v.Expected["EXPECTED"+member].(bool)
	return want, ok
}

func (v *vector) clock() (time.Time, error) {
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(form, v.Context.Clock); err == nil {
			return t, nil
		}
	}
	return time.Time{}, errors.New("clock " + v.Context.Clock)
}

// message gives the signed message: of the code, or, for the vectors that have
// none, the COSE member.
func (v *vector) message() (Message, error) {
	if v.Prefix != "" {
		return Read([]byte(v.Prefix))
	}
	b, err := hex.DecodeString(v.COSE)
	if err != nil {
		return Message{}, err
	}
	return ParseMessage(b)
}

// key gives the vector's own certificate.
func (v *vector) key() (Key, error) {
	der, err := base64.StdEncoding.DecodeString(v.Context.Certificate)
	if err != nil {
		return Key{}, err
	}
	return ParseCertificate(der)
}

// step is one column of the conformance table.
type step struct {
	name   string
	member string // of EXPECTEDRESULTS
	run    func(v *vector) error
}

var steps = []step{
	{"unprefix", "UNPREFIX", func(v *vector) error {
		b, err := Unprefix([]byte(v.Prefix))
		if err == nil && v.Base45 != "" && string(b) != v.Base45 {
			return errors.New("other text")
		}
		return err
	}},
	{"base45", "B45DECODE", func(v *vector) error {
		text := v.Base45
		if text == "" {
			text = strings.TrimPrefix(v.Prefix, Prefix)
		}
		b, err := base45.Decode([]byte(text))
		if err == nil && v.Compressed != "" && !strings.EqualFold(hex.EncodeToString(b), v.Compressed) {
			return errors.New("other bytes")
		}
		return err
	}},
	{"inflate", "COMPRESSION", func(v *vector) error {
		packed, err := hex.DecodeString(v.Compressed)
		if v.Compressed == "" {
			packed, err = base45.Decode([]byte(strings.TrimPrefix(v.Prefix, Prefix)))
		}
		if err != nil {
			return err
		}
		b, err := Inflate(packed)
		if err == nil && v.COSE != "" && !strings.EqualFold(hex.EncodeToString(b), v.COSE) {
			return errors.New("other bytes")
		}
		return err
	}},
	{"decode", "DECODE", func(v *vector) error {
		m, err := v.message()
		if err != nil {
			return err
		}
		_, err = ParseClaims(m.Payload)
		return err
	}},
	{"verify", "VERIFY", func(v *vector) error {
		m, key, now, err := v.parts()
		if err != nil {
			return err
		}
		_, err = NewKeys([]Key{key}, nil).Check(m, now)
		return err
	}},
	{"expiry", "EXPIRATIONCHECK", func(v *vector) error {
		m, err := v.message()
		if err != nil {
			return err
		}
		now, err := v.clock()
		if err != nil {
			return err
		}
		c, err := ParseClaims(m.Payload)
		if err != nil {
			return err
		}
		return c.Judge(now)
	}},
	{"key usage", "KEYUSAGE", func(v *vector) error {
		m, key, _, err := v.parts()
		if err != nil {
			return err
		}
		claims, err := ParseClaims(m.Payload)
		if err != nil {
			return err
		}
		event, err := EventOf(claims.Content)
		if err != nil {
			return err
		}
		if !key.Usage.For(event) {
			return errors.New("not for this event")
		}
		return nil
	}},
	{"schema", "SCHEMAVALIDATION", func(v *vector) error {
		// Vectors of this step alone have the certificate by itself, and a
		// code around it that is not signed.
		b, err := hex.DecodeString(v.CBOR)
		if v.CBOR == "" || err != nil {
			m, err := v.message()
			if err != nil {
				return err
			}
			c, err := ParseClaims(m.Payload)
			if err != nil {
				return err
			}
			b = c.Content
		}
		if c, err := ParseClaims(b); err == nil { // the claims around it
			b = c.Content
		}
		_, err = ParseContent(b)
		return err
	}},
}

// proves says whether the certificate of the code has more than the form.
func (v *vector) proves() error {
	m, err := v.message()
	if err != nil {
		return err
	}
	claims, err := ParseClaims(m.Payload)
	if err != nil {
		return err
	}
	c, err := ParseContent(claims.Content)
	if err != nil {
		return err
	}
	return c.Judge()
}

func (v *vector) parts() (Message, Key, time.Time, error) {
	m, err := v.message()
	if err != nil {
		return Message{}, Key{}, time.Time{}, err
	}
	key, err := v.key()
	if err != nil {
		return Message{}, Key{}, time.Time{}, err
	}
	now, err := v.clock()
	return m, key, now, err
}

// deviations are the vectors that are judged otherwise than they expect, each
// with its reason. None accepts what has to be refused. The folder beside the
// repository has some countries of dgc-testdata; these are of all of it.
var deviations = map[string]string{
	"ES/401 verify":  "a P-384 key and a signature of 96 bytes that calls itself ES256 (RFC 9053 §2.1: P-256, 64 bytes)",
	"ES/402 verify":  "as ES/401",
	"ES/403 verify":  "as ES/401",
	"RO/2 schema":    "two vaccinations; a certificate has exactly one event (PAYLOADS §5.2)",
	"SK/3 schema":    "as RO/2",
	"SK/3 key usage": "as RO/2",
}

// TestConformance runs the public vectors step by step and prints a table.
func TestConformance(t *testing.T) {
	vectors := readVectors(t, publicVectors(t))
	if len(vectors) == 0 {
		t.Fatal("no vectors")
	}
	there, used := map[string]bool{}, map[string]bool{}
	var table bytes.Buffer
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "step\tto accept\taccepted\tto refuse\trefused\tdeviations\t")
	for _, s := range steps {
		var toAccept, accepted, toRefuse, refused, off int
		for i := range vectors {
			v := &vectors[i]
			want, ok := v.want(s.member)
			if !ok {
				continue
			}
			there[v.name+" "+s.name] = true
			err := s.run(v)
			if want {
				toAccept++
			} else {
				toRefuse++
			}
			switch {
			case want && err == nil:
				accepted++
			case !want && err != nil:
				refused++
			case !want:
				t.Errorf("%s of %s accepts what has to be refused: %s", s.name, v.name, v.Context.Description)
			default:
				off++
				id := v.name + " " + s.name
				if deviations[id] == "" {
					t.Errorf("%s of %s: %v", s.name, v.name, err)
				}
				used[id] = true
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t\n", s.name, toAccept, accepted, toRefuse, refused, off)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d vectors\n%s", len(vectors), &table)
	for id, why := range deviations {
		if there[id] {
			t.Logf("deviation: %s: %s", id, why)
		}
		if there[id] && !used[id] {
			t.Errorf("deviation %s is none", id)
		}
	}
	if len(deviations) > 8 {
		t.Errorf("%d deviations, at most 8", len(deviations))
	}
}

// TestConformanceWhole runs the vectors that have a code through all steps at
// once: none that any step has to refuse is good, and those whose steps are all
// to be accepted are, unless they prove nothing.
func TestConformanceWhole(t *testing.T) {
	vectors := readVectors(t, publicVectors(t))
	why := map[string]int{}
	for i := range vectors {
		v := &vectors[i]
		key, err := v.key()
		now, err2 := v.clock()
		if v.Prefix == "" || err != nil || err2 != nil {
			continue
		}
		r := NewKeys([]Key{key}, nil).Verify([]byte(v.Prefix), now)
		refuse, accept := false, true
		for _, s := range steps {
			want, ok := v.want(s.member)
			refuse = refuse || ok && !want
			if !ok && s.member == "KEYUSAGE" { // not said: as it is
				want = s.run(v) == nil
			}
			accept = accept && want && deviations[v.name+" "+s.name] == ""
		}
		if err := v.proves(); err != nil && accept {
			t.Logf("%s: %v", v.name, err)
			refuse = true
		}
		switch good := r.Proof == gate.ProofGood; {
		case good && refuse:
			t.Errorf("%s is good and has to be refused: %s", v.name, v.Context.Description)
		case !good && accept && !refuse:
			t.Errorf("%s is refused: %s", v.name, r.Why)
		}
		if why[r.String()]++; r.Proof == gate.ProofGood && (r.Holder.Name == "" || r.ID == [32]byte{}) {
			t.Errorf("%s: no name or no id", v.name)
		}
	}
	t.Log(why)
}
