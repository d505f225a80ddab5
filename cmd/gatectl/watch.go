package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

func watchCommand() *cobra.Command {
	var (
		broker brokerFlags
		site   string
		limit  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "show live what gates do",
		Long: `Shows, line by line, what gates say: their state when it changes, each entry and what
followed, acknowledgements, and whether central is there. It only listens, checks no
signature and shows no names: entries carry none.

Times of entries are those of the gate, in local time.`,
		Example: `  gatectl watch --broker mqtt://broker:1883
  gatectl watch --site hn01 --for 1h > morning.log`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if site != "" && !wire.ValidSite(site) {
				return hint.New("--site hn01, for example", "--site: %q is no name of a site", site)
			}
			ctx := cmd.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			return watch(ctx, cmd, &broker, newWatcher(cmd.OutOrStdout(), site))
		},
	}
	cmd.Flags().StringVar(&site, "site", "", "only gates of this site")
	cmd.Flags().DurationVar(&limit, "for", 0, "end after this time (default: until Ctrl-C)")
	broker.add(cmd)
	return cmd
}

func watch(ctx context.Context, cmd *cobra.Command, broker *brokerFlags, w *watcher) error {
	to, err := broker.broker("watch")
	if err != nil {
		return err
	}
	to.OnFault = func(f mqttlink.Fault) {
		if f.Code != "" && ctx.Err() == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "broker %s: %s; trying again\n", to.URL, f.Detail)
		}
	}
	link, topics, err := publish.NewLink(to, slog.New(slog.DiscardHandler))
	if err != nil {
		return hint.Wrap(err, "is --broker right?")
	}
	w.topics = topics
	for _, k := range []wire.Kind{wire.KindState, wire.KindEntry, wire.KindEntryAck, wire.KindCentralState} {
		link.Add(mqttlink.Subscription{
			Filter: topics.Filter(k), QoS: 1, Queue: 1024, Handle: w.take,
			Once: k == wire.KindEntry || k == wire.KindEntryAck,
		})
	}
	link.OnUp(func() { fmt.Fprintf(cmd.ErrOrStderr(), "connected to %s\n", to.URL) })
	return link.Run(ctx)
}

// watcher turns messages into lines.
type watcher struct {
	topics wire.Topics
	site   string // empty: all

	mu      sync.Mutex // guards all following
	out     io.Writer
	states  map[record.Origin]string // the line said last
	shown   map[record.Origin]record.Position
	central string
}

func newWatcher(out io.Writer, site string) *watcher {
	return &watcher{out: out, site: site, states: map[record.Origin]string{}, shown: map[record.Origin]record.Position{}}
}

// take shows one message. Retained topics are read again from time to time, so
// a state is shown only when it says something new.
func (w *watcher) take(topic string, body []byte, _ bool) {
	at, ok := w.topics.Parse(topic)
	if !ok || w.site != "" && at.Site != w.site && at.Kind != wire.KindCentralState {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch at.Kind {
	case wire.KindState:
		w.state(at, body)
	case wire.KindEntry:
		w.entries(at, body)
	case wire.KindEntryAck:
		w.ack(at, body)
	case wire.KindCentralState:
		w.centralState(body)
	}
}

func (w *watcher) line(when time.Time, who, format string, args ...any) {
	text := plain(fmt.Sprintf(format, args...))
	fmt.Fprintf(w.out, "%s  %-20s  %s\n", when.Local().Format("15:04:05.000"), who, text)
}

// plain keeps what anybody may have published from commanding the terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func (w *watcher) state(at wire.Address, body []byte) {
	who := at.Site + "/" + at.Gate
	s, err := wire.ParseState(body)
	if err != nil {
		w.line(time.Now(), who, "state that cannot be read: %v", err)
		return
	}
	text := describeState(s)
	if w.states[at.Origin()] == text {
		return
	}
	w.states[at.Origin()] = text
	when := time.Now()
	if s.Time != 0 {
		when = time.UnixMilli(s.Time)
	}
	w.line(when, who, "%s", text)
}

// describeState says what matters of a state, without what changes each time.
func describeState(s wire.State) string {
	if !s.Online {
		return "OFFLINE"
	}
	parts := []string{"online"}
	if !s.Decides {
		parts = append(parts, strings.TrimSuffix("CANNOT DECIDE: "+s.Why, ": "))
	}
	for _, c := range s.Health {
		parts = append(parts, fmt.Sprintf("%s %s (%s)", c.Name, c.Level, c.Code))
	}
	if s.Policy != nil {
		parts = append(parts, fmt.Sprintf("policy %s/%d", s.Policy.ID, s.Policy.Ver))
	}
	for _, set := range slices.Sorted(mapKeys(s.Data)) {
		parts = append(parts, fmt.Sprintf("set %s/%d", set, s.Data[set].Ver)+describeWay(s.Data[set]))
	}
	parts = append(parts, fmt.Sprintf("trust %d", s.Trust))
	if s.Revoked > 0 {
		parts = append(parts, fmt.Sprintf("revoked %d", s.Revoked))
	}
	parts = append(parts, "clock "+orDash(s.Clock))
	return strings.Join(parts, ", ")
}

// describeWay says what keeps a set from its next version, and how far that has
// come, in tenths.
func describeWay(d wire.SetState) (text string) {
	if f := d.Fetching; f != nil {
		text = fmt.Sprintf(" fetching %d", f.Ver)
		if f.Of > 0 {
			text += fmt.Sprintf(": %d %%", int(10*float64(f.Done)/float64(f.Of))*10)
		}
	}
	if d.Refused != "" {
		text += " (" + d.Refused + ")"
	}
	return text
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (w *watcher) entries(from wire.Address, body []byte) {
	who := from.Site + "/" + from.Gate
	events, err := wire.ParseBatch(body)
	if err != nil {
		w.line(time.Now(), who, "events that cannot be read: %v", err)
		return
	}
	for _, e := range events {
		// Gates send again what is not acknowledged.
		at, last := e.Position(), w.shown[e.Origin()]
		if at.Epoch == last.Epoch && at.Seq <= last.Seq {
			continue
		}
		w.shown[e.Origin()] = at
		text, err := describeEvent(e)
		if err != nil {
			text = "cannot be read: " + err.Error()
		}
		w.line(e.Time(), who, "#%-6d %s", at.Seq, text)
	}
}

// describeEvent says in one line what an event records.
func describeEvent(e record.Event) (string, error) {
	r := e.Link().Record
	switch e.Type() {
	case record.TypeEntry:
		v, err := r.Entry()
		if err != nil {
			return "", err
		}
		return describeEntry(v), nil
	case record.TypePassage:
		v, err := r.Passage()
		if err != nil {
			return "", err
		}
		return describePassage(v), nil
	case record.TypeOverride:
		v, err := r.Override()
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("OVERRIDE by %s, lane %s", v.By, v.Lane), nil
	case record.TypeEvent:
		v, err := r.Event()
		if err != nil {
			return "", err
		}
		return "event " + string(v.Kind), nil
	}
	return "", errors.New("an event of another type")
}

func describeEntry(v gate.Entry) string {
	parts := []string{fmt.Sprintf("%-12s %-7s %-13s", v.Verdict, v.Class, v.Credential)}
	for _, r := range v.Reasons {
		parts = append(parts, string(r))
	}
	if v.Count > 1 {
		parts = append(parts, fmt.Sprintf("×%d", v.Count))
	}
	parts = append(parts, (v.Decode + v.Lookup + v.Decide).Round(100*time.Microsecond).String())
	return strings.Join(parts, " ")
}

func describePassage(v gate.Passage) string {
	text := "not opened"
	if v.Opened {
		text = "opened"
	}
	if v.RelayFault != "" {
		text += ", relay fault " + v.RelayFault
	}
	if v.Late {
		text += ", recorded late"
	}
	if v.Door != gate.DoorUnknown {
		text += ", door " + v.Door.String()
	}
	return fmt.Sprintf("#%d %s after %s", v.Ref, text, v.Actuate.Round(100*time.Microsecond))
}

func (w *watcher) ack(at wire.Address, body []byte) {
	parts := strings.Split(string(body), ".")
	if len(parts) != 3 {
		return // a cleared topic
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return
	}
	a, err := wire.ParseAck(payload)
	if err != nil {
		return
	}
	w.line(time.Now(), at.Site+"/"+at.Gate, "acknowledged up to #%d", a.Seq)
}

func (w *watcher) centralState(body []byte) {
	s, err := wire.ParseCentralState(body)
	if err != nil {
		return
	}
	text := "central is away"
	if s.Online {
		text = "central is there"
	}
	if text == w.central {
		return
	}
	w.central = text
	w.line(time.Now(), "central", "%s", text)
}
