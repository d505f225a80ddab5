package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"gateagent/agent/clock"
	"gateagent/agent/config"
	"gateagent/agent/feed"
	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/agent/lane"
	"gateagent/agent/localapi"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/agent/statuspage"
	"gateagent/agent/supervise"
	"gateagent/cache"
	"gateagent/sync/documents"
	"gateagent/sync/signed"
)

// recentDecisions is how many decisions the page remembers.
const recentDecisions = 20

// box is everything one running agent is made of. It is the only place that
// knows all parts; they do not know each other.
type box struct {
	cfg     *config.Config
	loaded  config.Loaded
	log     *slog.Logger
	version version
	boot    string
	started time.Time

	health   *health.Registry
	feed     *feed.Feed
	clock    *clock.Clock
	keys     *keys
	journal  journal        // never nil: one that refuses where there is none
	records  *cache.Journal // nil where there is none
	sets     *cache.Sets    // nil where there are none
	proofs   *proofs
	passages *cache.Passages
	shadow   *policy.Policy // on trial; nil: none
	// storeErr says why there is no journal, are no sets, no spent passes;
	// shadowErr why no policy is on trial.
	storeErr  struct{ journal, sets, spent error }
	shadowErr error
	rules     atomic.Pointer[rules]
	lanes     []*gateLane
	group     *supervise.Group
	page      *statuspage.Server
	watch     watch

	documents *documents.Keeper // nil where they cannot be kept
	net       *network          // nil where nothing can be sent: without an identity, for example
}

// rules are the policy in force and where it came from.
type rules struct {
	*policy.Policy
	builtIn bool
	issued  time.Time
}

// journal is what lanes and events need of cache.Journal.
type journal interface {
	Append(gate.Entry) *gate.Receipt
	AppendPassage(gate.Passage) *gate.Receipt
	AppendEvent(gate.Event) *gate.Receipt
}

// newBox builds all parts and connects them. It fails only where going on
// would do harm; everything else is a fault of the part concerned.
func newBox(loaded config.Loaded, log *slog.Logger) (*box, error) {
	b := &box{
		cfg: loaded.Config, loaded: loaded, log: log, version: thisVersion(), boot: newBoot(), started: time.Now(),
		feed: feed.New(recentDecisions),
	}
	b.health = health.New(func() time.Time { return b.clock.Now() })
	b.clock = clock.New(clock.Options{
		FloorFile: b.path("clock", "floor"),
		Built:     b.version.Built,
		OnStep:    b.clockStepped,
	}, b.part("clock"))
	b.group = supervise.New(b.part("supervise"), nil)
	b.declare()
	if loaded.Report.OK() {
		if err := config.SaveLastGood(loaded.Report, config.LastGoodPath(b.cfg.Storage.Dir)); err != nil {
			log.Warn("the last good configuration is not kept", "error", err)
		}
	}
	b.shadow, b.shadowErr = readShadow(b.cfg.Policy.ShadowFile)
	if b.shadowErr != nil {
		log.Error("no policy is on trial", "error", b.shadowErr)
	}
	b.keys = newKeys(b.cfg, b.part("keys"))
	if err := b.openStore(); err != nil {
		return nil, err
	}
	if b.sets != nil {
		b.keys.store = b.sets
	}
	b.useRules(&rules{Policy: policy.Default(), builtIn: true})
	b.keys.settle()
	b.keys.event = b.event // what was there at the start stands in its first records
	b.watch.faults = newFaultLog(b.journal.AppendEvent, b.clock.Now)
	b.recordStart() // before what is restored is recorded
	if err := b.buildLanes(); err != nil {
		return nil, errors.Join(err, b.closeStore())
	}
	b.buildNetwork()
	b.page = statuspage.New(b.pageOptions(), b.part("page"))
	if err := b.addTasks(); err != nil {
		return nil, errors.Join(err, b.closeStore())
	}
	return b, nil
}

// newBoot draws the id by which central tells two runs, or two boxes, apart.
func newBoot() string {
	var id [8]byte
	rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func (b *box) path(elem ...string) string {
	return filepath.Join(append([]string{b.cfg.Storage.Dir}, elem...)...)
}

func (b *box) part(name string) *slog.Logger { return b.log.With("component", name) }

func (b *box) origin() record.Origin {
	return record.Origin{Site: b.cfg.Site.ID, Gate: b.cfg.Site.Gate}
}

// openStore opens journal and data sets. A store of another owner ends the
// program; any other trouble is a fault.
func (b *box) openStore() error {
	j, err := cache.OpenJournal(cache.JournalOptions{
		Dir: b.path("journal"), Origin: b.origin(),
		MaxBytes: b.cfg.Storage.MaxJournalBytes(), KeepAcked: b.cfg.Storage.KeepAcked,
		Check: checkInChild, Now: b.clock.Now,
	}, b.part("journal"))
	switch {
	case errors.Is(err, cache.ErrInUse):
		return err
	case err != nil:
		b.log.Error("no journal: lanes do what on_fault says", "error", err)
		b.journal, b.storeErr.journal = noJournal{err}, err
	default:
		b.journal, b.records = j, j
	}
	sets, err := cache.OpenSets(cache.SetsOptions{Dir: b.path("sets"), Sets: b.keys.names(), Check: checkInChild}, b.part("data"))
	if err != nil {
		b.log.Error("no data sets: everybody is checked by hand", "error", err)
		b.storeErr.sets = err
	} else {
		b.sets = sets
	}
	return b.openProofs()
}

// openProofs opens what is kept of passes and passages.
func (b *box) openProofs() error {
	spent, err := cache.OpenSpent(cache.SpentOptions{
		Dir: b.path("passes"), Witness: b.path("passes.witness"), Check: checkInChild, Now: b.believedNow,
	}, b.part("passes"))
	if errors.Is(err, cache.ErrInUse) {
		return errors.Join(err, b.closeStore())
	}
	if err != nil {
		b.log.Error("passes for one entry are checked by hand", "error", err)
		b.storeErr.spent, spent = err, nil
	}
	b.proofs = newProofs(b.cfg.Site.ID, b.cfg.Site.Gate, b.cfg.Site.Zones, spent)
	var journal cache.PassageJournal
	if b.records != nil {
		journal = b.records
	}
	b.passages = cache.NewPassages(journal, b.clock.Now, b.part("passages"))
	return nil
}

// believedNow gives the time, zero while it cannot be believed.
func (b *box) believedNow() time.Time {
	now, level := b.clock.Reading()
	if level < gate.ClockRTC {
		return time.Time{}
	}
	return now
}

// readShadow reads the policy on trial; none where no file is named.
func readShadow(file string) (*policy.Policy, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("policy.shadow_file: %w", err)
	}
	p, err := policy.ParseDraft(text)
	if err != nil {
		return nil, fmt.Errorf("policy.shadow_file: %s: %w", file, err)
	}
	return p, nil
}

// noJournal refuses every record for one reason.
type noJournal struct{ err error }

func (n noJournal) Append(gate.Entry) *gate.Receipt          { return n.refuse() }
func (n noJournal) AppendPassage(gate.Passage) *gate.Receipt { return n.refuse() }
func (n noJournal) AppendEvent(gate.Event) *gate.Receipt     { return n.refuse() }
func (n noJournal) refuse() *gate.Receipt {
	r := gate.NewReceipt()
	r.Fulfil(0, n.err)
	return r
}

// Facts asks the data sets; without any, nobody is known and the data is
// missing, which the policy sends to the guard.
func (b *box) Facts(n gate.Number, card string) (gate.Facts, gate.DataState, error) {
	if b.sets == nil {
		return gate.Facts{}, gate.DataState{Missing: true}, nil
	}
	return b.sets.Facts(n, card)
}

// useRules puts a policy into force. Passages are kept for it before lanes see
// it: what has not been read back must not look as if nobody had passed.
func (b *box) useRules(r *rules) {
	window := r.PassageWindow()
	if b.shadow != nil {
		window = max(window, b.shadow.PassageWindow())
	}
	b.passages.Keep(max(window, b.passages.Status().Window))
	b.rules.Store(r)
	b.passages.Keep(window)
}

// shadowRules gives the policy on trial.
func (b *box) shadowRules() lane.Rules {
	if b.shadow == nil {
		return nil
	}
	return b.shadow
}

// addTasks lists what runs, in the order of starting; it is stopped in the
// reverse order. The page comes first: whatever else hangs, it answers.
func (b *box) addTasks() error {
	local := localapi.New(localapi.Options{
		Socket: b.cfg.Local.Socket, Box: b.view, Journal: b.entries(), Policy: b.policyDocument, Feed: b.feed,
	}, b.part("local"))
	tasks := []supervise.Task{
		{Name: "journal", Run: b.closeStoreAtEnd, StopWithin: 10 * time.Second},
		{Name: "page", Run: b.page.Run},
		{Name: "local", Run: local.Run},
		{Name: "clock", Run: b.clock.Run},
		{Name: "passages", Run: b.passages.Run},
	}
	for _, l := range b.lanes {
		tasks = append(tasks,
			supervise.Task{Name: "relay:" + l.name, Run: l.relay.Run},
			supervise.Task{Name: "lane:" + l.name, Run: l.lane.Run},
		)
	}
	if b.net != nil {
		tasks = append(tasks, b.net.tasks()...)
	}
	tasks = append(tasks, supervise.Task{Name: "health", Run: b.watchHealth})
	for _, t := range tasks {
		if err := b.group.Add(t); err != nil {
			return err
		}
	}
	return nil
}

// closeStoreAtEnd is the first task to start and so the last to stop: by then
// nobody appends.
func (b *box) closeStoreAtEnd(ctx context.Context) error {
	<-ctx.Done()
	b.event(gate.EventStop, map[string]any{"boot": b.boot})
	return b.closeStore()
}

func (b *box) closeStore() error {
	var errs []error
	if b.records != nil {
		errs = append(errs, b.records.Close())
	}
	if b.sets != nil {
		errs = append(errs, b.sets.Close())
	}
	if b.proofs != nil {
		errs = append(errs, b.proofs.close())
	}
	return errors.Join(errs...)
}

// run works until ctx ends.
func (b *box) run(ctx context.Context) error {
	b.log.Info("gate starts", "site", b.cfg.Site.ID, "gate", b.cfg.Site.Gate, "lanes", len(b.lanes),
		"version", b.version.Version, "page", "http://"+b.cfg.Page.Listen+"/")
	err := b.group.Run(ctx)
	if err != nil {
		return fmt.Errorf("gate stopped: %w", err)
	}
	b.log.Info("gate stopped")
	return nil
}

// moment is what sync needs to judge documents.
func (b *box) moment() signed.Moment {
	now, level := b.clock.Reading()
	return signed.Moment{Now: now, Level: level, Floor: b.clock.Floor()}
}

// event has something recorded that is not a scan; nobody waits for it.
func (b *box) event(kind gate.EventKind, details map[string]any) {
	b.journal.AppendEvent(gate.Event{Time: b.clock.Now(), Kind: kind, Details: details})
}

func (b *box) recordStart() {
	b.event(gate.EventStart, map[string]any{
		"boot": b.boot, "version": b.version.Version, "commit": b.version.Commit, "arch": b.version.Arch,
	})
	source := "file"
	if b.loaded.UsedLastGood {
		source = "last_good"
	}
	b.event(gate.EventConfig, map[string]any{"source": source})
	if cause, _ := b.keys.entryState(); cause != "" {
		b.event(gate.EventNoSubject, map[string]any{"cause": cause})
	}
}

func (b *box) clockStepped(s clock.Step) {
	source := "system"
	if s.ByCentral {
		source = "central"
	}
	b.event(gate.EventClock, map[string]any{
		"source": source, "from": s.LevelFrom.String(), "to": s.LevelTo.String(), "step_ms": s.To.Sub(s.From).Milliseconds(),
	})
}
