package wire

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gateagent/agent/record"
)

// DefaultPrefix is the prefix of all topics unless the config says otherwise.
const DefaultPrefix = "gate/v1"

// Kind is a place in the topic tree.
type Kind uint8

// The places of the topic tree; KindNone is no place of ours.
const (
	KindNone Kind = iota
	KindState
	KindEntry
	KindEntryAck
	KindHello
	KindHelloReply
	KindCommand
	KindCommandResult
	KindWant
	KindGateChunk
	KindManifest
	KindChunk
	KindDelta
	KindPolicy
	KindTrust
	KindRevoked
	KindCentralState
	KindEnroll
	KindEnrollReply
	KindUpdateManifest
	KindUpdateChunk
)

// patterns is the topic tree of DESIGN §4.3, without the prefix. A word in
// braces is a part of an [Address].
var patterns = [...]string{
	KindState:          "{site}/{gate}/state",
	KindEntry:          "{site}/{gate}/entry",
	KindEntryAck:       "{site}/{gate}/entry/ack",
	KindHello:          "{site}/{gate}/hello",
	KindHelloReply:     "{site}/{gate}/hello/reply",
	KindCommand:        "{site}/{gate}/command",
	KindCommandResult:  "{site}/{gate}/command/result",
	KindWant:           "{site}/{gate}/data/want",
	KindGateChunk:      "{site}/{gate}/data/chunk/{digest}",
	KindManifest:       "data/{set}/manifest",
	KindChunk:          "data/{set}/chunk/{digest}",
	KindDelta:          "data/{set}/delta/{n}",
	KindPolicy:         "{site}/policy",
	KindTrust:          "{site}/trust",
	KindRevoked:        "{site}/revoked",
	KindCentralState:   "central/state",
	KindEnroll:         "enroll/{digest}",
	KindEnrollReply:    "enroll/{digest}/reply",
	KindUpdateManifest: "update/manifest",
	KindUpdateChunk:    "update/chunk/{digest}",
}

// Address is what a topic says: its kind, and of the rest what the kind has.
type Address struct {
	Kind   Kind
	Site   string
	Gate   string
	Set    string
	Digest string // 64 hexadecimal digits: of a chunk, or fingerprint of a box
	N      uint64 // number of a delta
}

// Origin gives site and gate.
func (a Address) Origin() record.Origin { return record.Origin{Site: a.Site, Gate: a.Gate} }

var (
	notSites = []string{"data", "central", "enroll", "update"}
	notGates = []string{"data", "policy", "trust", "revoked"}
)

// ValidSite says whether s may name a site.
func ValidSite(s string) bool { return record.ValidName(s) && !slices.Contains(notSites, s) }

// ValidGate says whether s may name a gate.
func ValidGate(s string) bool { return record.ValidName(s) && !slices.Contains(notGates, s) }

// ValidSet says whether s may name a data set.
func ValidSet(s string) bool { return record.ValidName(s) }

// ValidPrefix says whether s may stand before all topics: one or more levels
// of [A-Za-z0-9_-]+, at most 64 characters in all.
func ValidPrefix(s string) bool {
	if len(s) > 64 {
		return false
	}
	for level := range strings.SplitSeq(s, "/") {
		if level == "" || strings.Trim(level, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return false
		}
	}
	return true
}

// Topics builds and reads topics under one prefix.
type Topics struct{ prefix string }

// NewTopics checks the prefix.
func NewTopics(prefix string) (Topics, error) {
	if !ValidPrefix(prefix) {
		return Topics{}, fmt.Errorf("topic prefix %q is not levels of letters, digits, _ and - joined by /", clip(prefix))
	}
	return Topics{prefix}, nil
}

// Prefix gives the prefix.
func (t Topics) Prefix() string { return t.prefix }

// Of gives the topic of an address. The names are not checked: those who take
// names from outside check them first.
func (t Topics) Of(a Address) string {
	var b strings.Builder
	b.WriteString(t.prefix)
	for level := range strings.SplitSeq(patterns[a.Kind], "/") {
		b.WriteByte('/')
		switch level {
		case "{site}":
			b.WriteString(a.Site)
		case "{gate}":
			b.WriteString(a.Gate)
		case "{set}":
			b.WriteString(a.Set)
		case "{digest}":
			b.WriteString(a.Digest)
		case "{n}":
			b.WriteString(strconv.FormatUint(a.N, 10))
		default:
			b.WriteString(level)
		}
	}
	return b.String()
}

// Filter gives the subscription filter of every topic of a kind.
func (t Topics) Filter(k Kind) string {
	levels := strings.Split(patterns[k], "/")
	for i, level := range levels {
		if level[0] == '{' {
			levels[i] = "+"
		}
	}
	return t.prefix + "/" + strings.Join(levels, "/")
}

// Parse reads a topic. ok is false for a topic that is none of ours, and for
// one whose names are not valid.
func (t Topics) Parse(topic string) (a Address, ok bool) {
	rest, ok := strings.CutPrefix(topic, t.prefix+"/")
	if !ok || len(rest) > 256 {
		return Address{}, false
	}
	levels := strings.Split(rest, "/")
	for k := KindState; int(k) < len(patterns); k++ {
		if a, ok := match(strings.Split(patterns[k], "/"), levels); ok {
			a.Kind = k
			return a, true
		}
	}
	return Address{}, false
}

func match(pattern, levels []string) (a Address, ok bool) {
	if len(pattern) != len(levels) {
		return Address{}, false
	}
	for i, want := range pattern {
		got := levels[i]
		switch want {
		case "{site}":
			a.Site, ok = got, ValidSite(got)
		case "{gate}":
			a.Gate, ok = got, ValidGate(got)
		case "{set}":
			a.Set, ok = got, ValidSet(got)
		case "{digest}":
			a.Digest, ok = got, ValidDigest(got)
		case "{n}":
			n, err := strconv.ParseUint(got, 10, 64)
			a.N, ok = n, err == nil && n > 0 && strconv.FormatUint(n, 10) == got
		default:
			ok = got == want
		}
		if !ok {
			return Address{}, false
		}
	}
	return a, true
}

// ValidDigest says whether s is a SHA-256 digest as 64 lower-case hexadecimal
// digits.
func ValidDigest(s string) bool {
	if len(s) != 64 || s != strings.ToLower(s) {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

func (t Topics) gate(k Kind, o record.Origin) string {
	return t.Of(Address{Kind: k, Site: o.Site, Gate: o.Gate})
}

// State gives the topic of a gate's state.
func (t Topics) State(o record.Origin) string { return t.gate(KindState, o) }

// Entry gives the topic of a gate's events.
func (t Topics) Entry(o record.Origin) string { return t.gate(KindEntry, o) }

// EntryAck gives the topic of central's acknowledgements.
func (t Topics) EntryAck(o record.Origin) string { return t.gate(KindEntryAck, o) }

// Hello gives the topic of a gate's hello.
func (t Topics) Hello(o record.Origin) string { return t.gate(KindHello, o) }

// HelloReply gives the topic of central's answer to hello.
func (t Topics) HelloReply(o record.Origin) string { return t.gate(KindHelloReply, o) }

// Command gives the topic of commands to a gate.
func (t Topics) Command(o record.Origin) string { return t.gate(KindCommand, o) }

// CommandResult gives the topic of a gate's results of commands.
func (t Topics) CommandResult(o record.Origin) string { return t.gate(KindCommandResult, o) }

// Manifest gives the topic of a set's manifest.
func (t Topics) Manifest(set string) string { return t.Of(Address{Kind: KindManifest, Set: set}) }

// Chunk gives the topic of a retained chunk.
func (t Topics) Chunk(set, digest string) string {
	return t.Of(Address{Kind: KindChunk, Set: set, Digest: digest})
}

// Delta gives the topic of a set's delta.
func (t Topics) Delta(set string, n uint64) string {
	return t.Of(Address{Kind: KindDelta, Set: set, N: n})
}

// Deltas gives the filter of all deltas of a set.
func (t Topics) Deltas(set string) string { return t.prefix + "/data/" + set + "/delta/+" }

// Want gives the topic on which a gate asks for chunks.
func (t Topics) Want(o record.Origin) string { return t.gate(KindWant, o) }

// Wants gives the filter of what all gates of a site ask for; of all sites it
// is Filter of [KindWant].
func (t Topics) Wants(site string) string { return t.prefix + "/" + site + "/+/data/want" }

// GateChunk gives the topic on which a gate is answered with a chunk.
func (t Topics) GateChunk(o record.Origin, digest string) string {
	return t.Of(Address{Kind: KindGateChunk, Site: o.Site, Gate: o.Gate, Digest: digest})
}

// GateChunks gives the filter of all chunks with which a gate is answered.
func (t Topics) GateChunks(o record.Origin) string {
	return t.Of(Address{Kind: KindGateChunk, Site: o.Site, Gate: o.Gate, Digest: "+"})
}

// Policy gives the topic of a site's policy.
func (t Topics) Policy(site string) string { return t.Of(Address{Kind: KindPolicy, Site: site}) }

// Trust gives the topic of a site's trust list.
func (t Topics) Trust(site string) string { return t.Of(Address{Kind: KindTrust, Site: site}) }

// Revoked gives the topic of a site's list of what is revoked.
func (t Topics) Revoked(site string) string { return t.Of(Address{Kind: KindRevoked, Site: site}) }

// CentralState gives the topic of central's state.
func (t Topics) CentralState() string { return t.Of(Address{Kind: KindCentralState}) }
