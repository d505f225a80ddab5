package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

var (
	key  = gate.Key{1, 2, 3}
	asOf = gate.Date{Year: 2021, Month: 12, DayOfMonth: 17}.Day()
	rule = people.Rule{AsOf: asOf, Settle: people.DefaultSettle}
	now  = time.Unix(1_639_700_000, 0)
)

func number(n int) gate.Number { return gate.Number(fmt.Sprintf("0010900%05d", n)) }

// heads is the header line of fictional lists.
const heads = "id,doses,positive,recovered,tests,flags,quarantine_until,lists,valid_to,name,born,issued,hours,facts\n"

// fictional makes a list of people of every kind, as CSV: those with the
// numbers of who, in that order.
func fictional(who []int, year int) string {
	var b strings.Builder
	b.WriteString(heads)
	for _, n := range who {
		b.WriteString(line(n, year))
	}
	return b.String()
}

// line makes one person, whose facts depend on the number and the year.
func line(n, year int) string {
	day := func(ago int) string { return (asOf - gate.Day(ago)).String() }
	r := rand.New(rand.NewPCG(uint64(n), uint64(year)))
	var c [14]string
	c[0] = string(number(n))
	c[9], c[10], c[11] = fmt.Sprintf("Nguyễn Văn Mẫu %d", n), "1990-05-17", "2021-08-20"
	switch k := r.IntN(20); {
	case k < 11:
		d := 20 + r.IntN(200)
		c[1] = "1/2@" + day(d+30) + ";2/2@" + day(d)
	case k == 11:
		c[1] = "1/2@" + day(40) + ";2/2@" + day(r.IntN(14))
	case k == 12:
		c[1] = "1/2@" + day(r.IntN(60))
	case k == 13:
		c[2] = day(r.IntN(20))
	case k == 14:
		c[3], c[1] = day(r.IntN(180)), "1/2@"+day(3)
	case k == 15:
		c[4] = "pcr:neg@" + day(1) + "T08:30:00+07:00;antigen:neg@" + day(0) + "T09:00:00+07:00"
	case k == 16:
		c[5], c[6], c[3] = "quarantine", day(-5), day(90)
	case k == 17:
		c[7] = []string{"staff", "visitors@2021-12-01..2022-01-31 mon-fri 07:30-18:00", "deny;staff"}[r.IntN(3)]
		c[8] = day(-40)
	case k == 18:
		c[12], c[13] = "mon-fri 08:00-17:00", "school:3@2021-09-01"
	}
	return strings.Join(c[:], ",") + "\n"
}

func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// options are those of the tests, changed as a test needs it.
func options(change ...func(*Options)) Options {
	o := Options{Rule: rule, Key: key}
	for _, c := range change {
		c(&o)
	}
	return o
}

// read takes a list in.
func read(t testing.TB, o Options, list string) *Builder {
	t.Helper()
	b := NewBuilder(o)
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	src, err := people.Open(strings.NewReader(list), people.Options{Cards: o.CheckBits})
	if err != nil {
		t.Fatal(err)
	}
	if bad, err := b.ReadAll(t.Context(), src, int64(len(list))); err != nil || len(bad) > 0 {
		t.Fatalf("%v, %v", err, bad)
	}
	return b
}

func head(version uint64) Head {
	return Head{Set: "vn", Version: version, KeyID: "k1", Issued: now, Expires: now.AddDate(0, 0, 7)}
}

var testSigner = func() signed.Signer {
	s, err := signed.NewSigner("snapshot-test", signed.RoleSnapshot)
	if err != nil {
		panic(err)
	}
	return s
}()

// put signs a manifest and makes it the one in force.
func put(t testing.TB, f Folder, m wire.Manifest) {
	t.Helper()
	payload, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	compact, err := testSigner.Sign(signed.TypeManifest, payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.WriteManifest(compact); err != nil {
		t.Fatal(err)
	}
}

func signDelta(d wire.DeltaDoc) (string, error) {
	payload, err := d.Marshal()
	if err != nil {
		return "", err
	}
	return testSigner.Sign(signed.TypeDelta, payload)
}

// base builds a list into a folder.
func base(t testing.TB, f Folder, o Options, version uint64, list string) (wire.Manifest, Counts) {
	t.Helper()
	var before *wire.Manifest
	if m, err := f.Newest(); err == nil {
		before = &m
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	m, counts, err := f.WriteBase(t.Context(), read(t, o, list), head(version), before)
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, m)
	return m, counts
}

// delta adds what a list changes.
func delta(t testing.TB, f Folder, list string, change ...func(*Options)) (wire.Manifest, Changed) {
	t.Helper()
	m, err := f.Newest()
	if err != nil {
		t.Fatal(err)
	}
	o := options(change...)
	o.CheckBits = m.Base.Width == 9
	if o.BaseDay, err = gate.ParseDay(m.Base.BaseDay); err != nil {
		t.Fatal(err)
	}
	if o.Lists, err = f.Lists(m); err != nil {
		t.Fatal(err)
	}
	h := head(0)
	h.Empty = true
	next, changed, err := f.WriteDelta(t.Context(), read(t, o, list), h, m, signDelta)
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, next)
	return next, changed
}

// files gives what is in a directory and below, without the lock and the
// documents, which are signed at random moments.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".jws") || d.Name() == ".lock" {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
