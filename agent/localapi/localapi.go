// Package localapi lets commands on the box ask the running agent: HTTP with
// JSON over a Unix socket, and the client beside it.
//
// It owns the socket and the JSON forms. It reads and never changes anything:
// no request opens a gate. Nothing it gives names a person; pseudonyms are all
// there is. A slow reader is dropped and never holds up a lane.
//
//	GET /status                        one [Status]
//	GET /entries?since=T&after=SEQ     the journal as CloudEvents, one JSON value a line
//	GET /verify                        one [Verification]
//	GET /policy?version=N              a policy that is or was in force, as its document
//	GET /decisions                     each [Decision] as it happens, one a line
//
// Streams end with the trailer Gate-Error when something went wrong on the way.
package localapi

import (
	"time"

	"gateagent/agent/feed"
	"gateagent/agent/health"
)

// Text is a sentence in Vietnamese and in English.
type Text struct {
	VI string `json:"vi"`
	EN string `json:"en"`
}

// Status is [health.Box] as JSON. Times are RFC 3339 in UTC and absent where
// there is none.
type Status struct {
	CanDecide  bool        `json:"can_decide"`
	Why        Text        `json:"why"`
	Level      string      `json:"level"` // ok, degraded, failed
	Site       string      `json:"site"`
	Gate       string      `json:"gate"`
	Version    string      `json:"version"`
	Boot       string      `json:"boot"`
	Identity   string      `json:"identity,omitempty"` // public Ed25519 key, as central lists it
	Now        time.Time   `json:"now"`
	Started    time.Time   `json:"started"`
	Clock      string      `json:"clock"`
	Policy     Policy      `json:"policy"`
	Trust      Document    `json:"trust"`
	Proofs     Proofs      `json:"proofs"`
	Sets       []Set       `json:"sets"`
	Journal    Journal     `json:"journal"`
	Link       Link        `json:"link"`
	Lanes      []Lane      `json:"lanes"`
	Theft      Theft       `json:"theft"`
	Components []Component `json:"components"`
}

// Proofs is what is in force for signed credentials.
type Proofs struct {
	PassportKeys int      `json:"passport_keys"`
	PassKeys     int      `json:"pass_keys"`
	Revoked      Document `json:"revoked"`
	SpentPasses  int      `json:"spent_passes"` // for one entry, used here
}

// Policy is the policy in force.
type Policy struct {
	ID      string    `json:"id"`
	Version uint64    `json:"version"`
	Level   int       `json:"level"`
	BuiltIn bool      `json:"built_in"`
	Issued  time.Time `json:"issued,omitzero"`
	// ShadowID and ShadowVersion name the policy on trial; absent: none.
	ShadowID      string `json:"shadow_id,omitempty"`
	ShadowVersion uint64 `json:"shadow_version,omitempty"`
	// WindowS is how long last passages are remembered, in seconds; Passed how
	// many people's are.
	WindowS int64 `json:"passage_window_s"`
	Passed  int   `json:"passed"`
}

// Document is a signed document in force; version 0 means none.
type Document struct {
	Version uint64    `json:"version"`
	Issued  time.Time `json:"issued,omitzero"`
}

// Set is a data set; version 0 means that none is in force.
type Set struct {
	Set     string    `json:"set"`
	Version uint64    `json:"version"`
	People  uint64    `json:"people"`
	Issued  time.Time `json:"issued,omitzero"`
	HasKey  bool      `json:"has_key"`
	KeyID   string    `json:"key_id,omitempty"`
	KeyHold string    `json:"key_hold"` // file, memory; unknown without a version
	Fetch   *Fetch    `json:"fetch,omitempty"`
}

// Fetch is a version of a data set that is being fetched, or will be.
type Fetch struct {
	Version uint64 `json:"version"`
	Bytes   int64  `json:"bytes"` // that are here
	Of      int64  `json:"of"`    // 0: not known yet
	Rate    int64  `json:"rate"`  // bytes a second
	LeftS   int64  `json:"left_s"`
	// At is when the fetching begins, as central asked so that gates do not come
	// all at once; LeftS is until then.
	At   time.Time `json:"at,omitzero"`
	Text Text      `json:"text"`
}

// Theft is what a thief of the box can learn.
type Theft struct {
	Text
	// Sets are the data sets whose key lies on the disk; EntryKey says
	// whether the site's entry key does.
	Sets     []string `json:"sets_on_disk"`
	EntryKey bool     `json:"entry_key_on_disk"`
}

// Journal is the journal and its queue; sizes are bytes.
type Journal struct {
	Epoch  string    `json:"epoch"`
	Seq    uint64    `json:"seq"`
	Acked  uint64    `json:"acked"`
	Queue  uint64    `json:"queue"`
	Bytes  int64     `json:"bytes"`
	Max    int64     `json:"max_bytes"`
	Oldest time.Time `json:"oldest,omitzero"`
}

// Link is the way to central.
type Link struct {
	Broker    string    `json:"broker"`
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`
	Central   time.Time `json:"central,omitzero"`
}

// Lane is what a lane has done since the start.
type Lane struct {
	Name      string            `json:"name"`
	Direction string            `json:"direction"`
	Scanner   string            `json:"scanner"`
	Relay     string            `json:"relay"`
	Decisions map[string]uint64 `json:"decisions"`
	// PictureMS is the age of the newest picture; absent without a camera.
	PictureMS *int64 `json:"picture_ms,omitempty"`
}

// Component is one part of the box.
type Component struct {
	Name  string    `json:"name"`
	Title Text      `json:"title"`
	Level string    `json:"level"`
	Since time.Time `json:"since"`
	Fault *Fault    `json:"fault,omitempty"`
}

// Fault is what is the matter with a component.
type Fault struct {
	Code     string `json:"code"`
	Cause    Text   `json:"cause"`
	NextStep Text   `json:"next_step"`
	Detail   string `json:"detail,omitempty"`
}

// Verification is the outcome of walking the chain of the journal.
type Verification struct {
	Whole   bool   `json:"whole"`
	Epoch   string `json:"epoch"`
	From    uint64 `json:"from"` // first and last seq looked at
	To      uint64 `json:"to"`
	Head    string `json:"head"`
	Anchor  string `json:"anchor,omitempty"`    // hash before From, when older records are gone
	BadSeq  uint64 `json:"bad_seq,omitempty"`   // first record that does not fit
	BadWhat string `json:"bad_cause,omitempty"` // why it does not
}

// Decision is [feed.Decision] as JSON; latencies are milliseconds.
type Decision struct {
	Epoch      string    `json:"epoch"`
	Seq        uint64    `json:"seq"`
	Time       time.Time `json:"time"`
	Lane       string    `json:"lane"`
	Direction  string    `json:"direction"`
	Verdict    string    `json:"verdict"`
	Class      string    `json:"class"`
	Reasons    []string  `json:"reasons"`
	Credential string    `json:"credential"`
	Subject    string    `json:"subject,omitempty"`
	Policy     string    `json:"policy"`
	PolicyVer  uint64    `json:"policy_version"`
	Clock      string    `json:"clock"`
	Opened     bool      `json:"opened"`
	Late       bool      `json:"late"`
	RelayFault string    `json:"relay_fault,omitempty"`
	Text       Text      `json:"text"`            // for the person
	Needs      string    `json:"needs,omitempty"` // what to show next: card, passport
	LatencyMS  Latency   `json:"latency_ms"`
}

// Latency is how long a decision and its parts took, in milliseconds.
type Latency struct {
	Total  float64 `json:"total"` // frame handed over to relay told, or verdict shown
	Decode float64 `json:"decode"`
	Lookup float64 `json:"lookup"`
	Decide float64 `json:"decide"`
	Record float64 `json:"record"`
}

func text(t health.Text) Text { return Text{VI: t.VI, EN: t.EN} }

// StatusOf gives the JSON form of a box.
func StatusOf(b health.Box) Status {
	s := Status{
		CanDecide: b.CanDecide, Why: text(b.Why), Level: b.Level.String(),
		Site: b.Site, Gate: b.Gate, Version: b.Version, Boot: b.Boot, Identity: b.Identity,
		Now: b.Now.UTC(), Started: b.Started.UTC(), Clock: b.Clock.String(),
		Policy: Policy{
			ID: b.Policy.ID, Version: b.Policy.Version, Level: b.Policy.Level,
			BuiltIn: b.Policy.BuiltIn, Issued: b.Policy.Issued.UTC(),
			ShadowID: b.Policy.Shadow.ID, ShadowVersion: b.Policy.Shadow.Version,
			WindowS: int64(b.Policy.Window / time.Second), Passed: b.Policy.Passed,
		},
		Trust: Document{Version: b.Trust.Version, Issued: b.Trust.Issued.UTC()},
		Proofs: Proofs{
			PassportKeys: b.Proofs.PassportKeys, PassKeys: b.Proofs.PassKeys, SpentPasses: b.Proofs.Spent,
			Revoked: Document{Version: b.Proofs.Revoked.Version, Issued: b.Proofs.Revoked.Issued.UTC()},
		},
		Sets: []Set{},
		Journal: Journal{
			Epoch: b.Journal.Epoch, Seq: b.Journal.Seq, Acked: b.Journal.Acked, Queue: b.Journal.Queue(),
			Bytes: b.Journal.Bytes, Max: b.Journal.Max, Oldest: b.Journal.Oldest.UTC(),
		},
		Link:       Link{Broker: b.Link.Broker, Connected: b.Link.Connected, Since: b.Link.Since.UTC(), Central: b.Link.Central.UTC()},
		Lanes:      []Lane{},
		Theft:      Theft{Text: text(b.Theft.Text()), Sets: append([]string{}, b.Theft.Sets...), EntryKey: b.Theft.EntryKey},
		Components: []Component{},
	}
	for _, d := range b.Sets {
		set := Set{
			Set: d.Set, Version: d.Version, People: d.People, Issued: d.Issued.UTC(),
			HasKey: d.HasKey, KeyID: d.KeyID, KeyHold: d.Hold.String(),
		}
		if f := d.Fetch; f.Version > 0 {
			set.Fetch = &Fetch{
				Version: f.Version, Bytes: f.Bytes, Of: f.Of, Rate: f.Rate, LeftS: int64(f.Left / time.Second), Text: text(f.Text()),
				At: f.At.UTC(),
			}
		}
		s.Sets = append(s.Sets, set)
	}
	for _, l := range b.Lanes {
		out := Lane{
			Name: l.Name, Direction: l.Direction.String(), Scanner: l.Scanner, Relay: l.Relay,
			Decisions: make(map[string]uint64, len(l.Decisions)),
		}
		for v, n := range l.Decisions {
			out.Decisions[v.String()] = n
		}
		if l.Picture >= 0 {
			ms := l.Picture.Milliseconds()
			out.PictureMS = &ms
		}
		s.Lanes = append(s.Lanes, out)
	}
	for _, c := range b.Components {
		out := Component{Name: c.Name, Title: text(health.Title(c.Name)), Level: c.Level.String(), Since: c.Since.UTC()}
		if c.Level != health.OK {
			out.Fault = &Fault{
				Code: string(c.Fault.Code), Cause: text(c.Fault.Cause), NextStep: text(c.Fault.NextStep), Detail: c.Fault.Detail,
			}
		}
		s.Components = append(s.Components, out)
	}
	return s
}

// DecisionOf gives the JSON form of a decision.
func DecisionOf(d feed.Decision) Decision {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	out := Decision{
		Epoch: d.Epoch, Seq: d.Seq, Time: d.Time.UTC(), Lane: d.Lane, Direction: d.Direction.String(),
		Verdict: d.Verdict.String(), Class: d.Class.String(), Reasons: []string{},
		Credential: d.Credential.String(), Subject: d.Subject,
		Policy: d.Policy.ID, PolicyVer: d.Policy.Version, Clock: d.Clock.String(),
		Opened: d.Opened, Late: d.Late, RelayFault: d.RelayFault, Text: Text{d.VI, d.EN}, Needs: d.Needs,
		LatencyMS: Latency{Total: ms(d.Took), Decode: ms(d.Decode), Lookup: ms(d.Lookup), Decide: ms(d.Decide), Record: ms(d.Record)},
	}
	for _, r := range d.Reasons {
		out.Reasons = append(out.Reasons, string(r))
	}
	return out
}
