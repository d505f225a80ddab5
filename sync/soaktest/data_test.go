package soaktest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/sync/brokertest"
	"gateagent/sync/signed"
	"gateagent/sync/snapshot"
	"gateagent/sync/wire"
)

// number is the n-th fictional 12-digit number.
func number(n int) gate.Number { return gate.Number(fmt.Sprintf("0011990%05d", n)) }

// version makes a version of the set vn with people 0 to n-1, whose words tell
// the version: the signed manifest, and the chunks by topic.
func (o *office) version(ver uint64, n int) (manifest []byte, chunks map[string][]byte) {
	o.t.Helper()
	p := gate.NewPseudonymer(gate.Key{1})
	rows := make([]block.Row, n)
	for i := range rows {
		rows[i] = block.Row{Person: p.Of(number(i)), Word: gate.Word(uint64(i)+ver) & gate.MaxWordDay}
	}
	if err := block.Sort(rows); err != nil {
		o.t.Fatal(err)
	}
	now := time.Now().Unix()
	m := wire.Manifest{Aud: "vn", Ver: ver, Iat: now, Exp: now + 3600, Coding: wire.CodingColumns, KeyHold: wire.KeyHoldFile}
	chunks = make(map[string][]byte)
	digest := block.NewDigest()
	var run []wire.Block
	var people uint64
	flush := func() {
		if len(run) == 0 {
			return
		}
		body, err := wire.EncodeChunk(wire.CodingColumns, block.Width, run)
		if err != nil {
			o.t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		name := hex.EncodeToString(sum[:])
		chunks[o.topics.Chunk("vn", name)] = body
		m.Chunks = append(m.Chunks, wire.Chunk{Digest: name, Size: len(body), First: run[0].No, Last: run[len(run)-1].No, People: people})
		run, people = nil, 0
	}
	for no, value := range block.Pack(rows, block.Width) {
		digest.Add(no, value)
		run = append(run, wire.Block{No: no, Value: append([]byte(nil), value...)})
		people += uint64(len(value) / block.Width)
		if len(run) == 40 {
			flush()
		}
	}
	flush()
	sum := digest.Sum()
	m.Base = wire.Base{
		Version: ver, People: uint64(n), Blocks: block.Blocks(uint64(n)), Width: block.Width,
		BaseDay: "2021-01-01", KeyID: "vn-1", Digest: hex.EncodeToString(sum[:]),
	}
	return o.sign(signed.RoleSnapshot, signed.TypeManifest, m), chunks
}

// wantVersion asks the store about a few people.
func wantVersion(t *testing.T, b *box, ver uint64, people int) {
	t.Helper()
	for _, n := range []int{0, 1, people / 2, people - 1, people} {
		f, st, err := b.sets.Facts(number(n), "")
		if err != nil || st.Sets[0].Version != ver || f.Found != (n < people) {
			t.Fatalf("person %d: %+v in version %d, %v", n, f, st.Sets[0].Version, err)
		}
		if f.Found && f.Word != gate.Word(uint64(n)+ver)&gate.MaxWordDay {
			t.Errorf("person %d: word %v", n, f.Word)
		}
	}
}

// A set comes down in spite of a broker that dies half way and forgets what
// was retained; nothing is fetched twice, nothing half-read is in force, and an
// older version is refused, also after a start.
func TestDataOverBrokenBroker(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	o := newOffice(t, m.URL())
	dir := t.TempDir()
	manifest, chunks := o.version(1, 40_000)
	total := 0
	for _, body := range chunks {
		total += len(body)
	}
	half := make(map[string][]byte)
	for topic, body := range chunks {
		if len(half) < len(chunks)/2 {
			half[topic] = body
		}
	}
	half[o.topics.Manifest("vn")] = manifest
	o.publish(half)
	// The trust list comes last of all.
	b := startBox(t, o, dir, "a")
	eventually(t, time.Minute, "the manifest waits for the trust list", func() bool { return b.link.Status().Received > 0 })
	if st := b.fetcher.Status(); st.Target != 0 || st.Version != 0 {
		t.Errorf("taken without a trust list: %+v", st)
	}
	o.publish(map[string][]byte{o.topics.Trust(origin.Site): o.trust(origin.Site)})
	eventually(t, time.Minute, "under way", func() bool { return b.fetcher.Status().Target == 1 })
	time.Sleep(200 * time.Millisecond)
	m.Kill()
	if _, ok := b.sets.Generation("vn"); ok {
		t.Error("half a version is in force")
	}
	m.Restart()
	all := maps.Clone(chunks)
	all[o.topics.Manifest("vn")] = manifest
	o.publish(all)
	eventually(t, time.Minute, "in force", func() bool { return b.fetcher.Status().Version == 1 })
	wantVersion(t, b, 1, 40_000)
	if st := b.fetcher.Status(); st.Fetched != uint64(total) || st.Fault != (snapshot.Fault{}) {
		t.Errorf("%d bytes fetched of %d; %v", st.Fetched, total, st.Fault)
	}

	next, more := o.version(2, 30_000)
	more[o.topics.Manifest("vn")] = next
	o.publish(more)
	eventually(t, time.Minute, "the next version", func() bool { return b.fetcher.Status().Version == 2 })
	wantVersion(t, b, 2, 30_000)
	b.stop()

	o.publish(map[string][]byte{o.topics.Manifest("vn"): manifest})
	again := startBox(t, o, dir, "b")
	eventually(t, time.Minute, "the older version is refused", func() bool {
		return strings.HasPrefix(again.fetcher.Status().Fault.Detail, signed.CodeOlderVersion)
	})
	wantVersion(t, again, 2, 30_000)
}
