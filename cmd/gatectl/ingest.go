package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/handout"
	"gateagent/cmd/gatectl/intake"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/serve"
	"gateagent/sync/central"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
)

// ingestFlags are what central's side of the journal runs by.
type ingestFlags struct {
	sink, gates    string
	learn          bool
	handOut, sites []string
	handLearned    bool
	folders        []string
	rate           string
	signer         signerFlags
	broker         brokerFlags
}

func ingestCommand() *cobra.Command {
	var i ingestFlags
	cmd := &cobra.Command{
		Use:   "ingest",
		Short: "take in what gates recorded, and acknowledge it",
		Long: `Takes the entries that gates send, checks whose they are and that none is missing, keeps
them, and only then acknowledges them: gates forget nothing before. It answers the hello
of gates, which gives them the time, and says on central/state that central is there.

Entries are appended to a file, one JSON event a line (--sink jsonl:FILE), each once and
in order. The file also tells how far each gate is: copy it, but never move, shorten or
rotate it. One ingest serves all sites; it may be stopped and started at any time.

A gate is believed by its public keys, which the file --gates lists. --learn adds the keys
of each gate that is seen for the first time. Another box under a listed name is refused
and reported; where a box was replaced on purpose, delete the gate's entry in the file and
start ingest again with --learn. Where a box was stolen, delete it without.

--hand-out vn,entry puts keys from the folder of keys into the answers to gates, each
sealed to the one box: the newest two secrets of the set vn, and the entry key of the
gate's own site. Sets that are built with --key-hold memory need it, because their boxes
keep no key. All sites get them, or only --sites; SET@SITE hands a set to one site alone.
A gate does not say which sets it has, so name as few as it needs: a set that is named
after a site, such as hn01-lists, goes to the gates of hn01 only (SET@* for all).
A secret that keygen --next makes is handed out within seconds. No keys go to a gate that
is not listed, to a second box under a listed name, or to two copies of one box; nor to a
gate that --learn has just pinned: look whether its key is the one that gateagent status says
on the box, then start ingest again.

--serve FOLDER also answers gates that ask for the chunks of the data set in that folder,
as gatectl snapshot serve does.`,
		Example: `  gatectl ingest --sink jsonl:entries.jsonl --gates gates.json --learn --broker mqtt://broker:1883
  gatectl ingest --sink jsonl:entries.jsonl --gates gates.json --keys keys --hand-out vn,entry --sites hn01
  gatectl ingest --sink jsonl:entries.jsonl --gates gates.json --serve vn --passphrase-file pass`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&i.sink, "sink", "", "where entries are kept: jsonl:FILE (required)")
	f.StringVar(&i.gates, "gates", "", "file of the gates' public keys")
	f.BoolVar(&i.learn, "learn", false, "pin the keys of gates that are seen for the first time")
	f.StringSliceVar(&i.handOut, "hand-out", nil, "data sets whose secrets gates are handed, and entry for the entry key of their site; SET@SITE for one site alone")
	f.StringSliceVar(&i.sites, "sites", nil, "with --hand-out: only gates of these sites (default: all)")
	f.BoolVar(&i.handLearned, "hand-out-learned", false, "hand keys also to gates that --learn has just pinned: whoever comes first under a new name has them")
	f.StringSliceVar(&i.folders, "serve", nil, "folders of data sets whose chunks gates may ask for")
	f.StringVar(&i.rate, "serve-rate", "", "with --serve: bytes a second for all gates together, such as 20MB (default: unbounded)")
	i.signer.add(cmd, signed.RoleAck)
	i.broker.add(cmd)
	return cmd
}

func (i *ingestFlags) run(cmd *cobra.Command) (err error) {
	path, ok := strings.CutPrefix(i.sink, "jsonl:")
	if !ok || path == "" {
		return hint.New("--sink jsonl:entries.jsonl, for example", "--sink: %q is no sink", i.sink)
	}
	if i.gates == "" && !i.learn {
		return hint.New("--gates gates.json lists the gates' keys, --learn pins those of the first boxes seen", "no gate would be believed")
	}
	pins, err := central.LoadPins(i.gates, i.learn)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return hint.Wrap(err, "the file need not exist with --learn")
		}
		return err
	}
	log := logger(cmd)
	keys, err := i.keys(log)
	if err != nil {
		return err
	}
	chunks, err := i.chunks(cmd)
	if err != nil {
		return err
	}
	key, err := i.signer.open(cmd)
	if err != nil {
		return err
	}
	sink, err := central.OpenJSONL(path, log)
	if err != nil {
		return sinkHint(err)
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	if i.gates == "" {
		log.Warn("what is learned is not kept: no --gates file is named")
	}
	return i.serve(cmd.Context(), log, chunks, central.Options{Signer: key, Pins: pins, Sink: sink, Keys: keys, HandLearned: i.handLearned})
}

// chunks gives what the chunk server runs by; nil for none.
func (i *ingestFlags) chunks(cmd *cobra.Command) (*serve.Options, error) {
	if len(i.folders) == 0 {
		if i.rate != "" {
			return nil, hint.New("--serve vn, for example", "--serve-rate says nothing without --serve")
		}
		return nil, nil
	}
	o, err := (&serveFlags{rate: i.rate, inFlight: serve.DefaultInFlight >> 20}).options(i.folders)
	if err != nil {
		return nil, err
	}
	return &o, reportFolders(cmd.OutOrStdout(), i.folders)
}

// keys gives what is handed out to which gate; nil for nothing.
func (i *ingestFlags) keys(log *slog.Logger) (func(record.Origin) ([]sealed.Secret, error), error) {
	rule, err := handout.ParseRule(i.handOut, i.sites)
	if err != nil {
		return nil, hint.Wrap(err, "--hand-out vn,hn01-lists@hn01,entry --sites hn01,hn02, for example")
	}
	if rule.IsZero() {
		if len(i.sites) > 0 || i.handLearned {
			return nil, hint.New("--hand-out vn,entry, for example", "--sites and --hand-out-learned say nothing without --hand-out")
		}
		return nil, nil
	}
	keys, err := handout.New(keyring.Open(i.signer.keys), rule)
	if err != nil {
		return nil, hint.Wrap(err, "gatectl keygen --only none --set SET --site SITE makes them; --keys says where they are")
	}
	log.Info("keys are handed out", "rule", keys.Rule().String())
	return keys.For, nil
}

// sinkHint adds what to do about a sink that does not open.
func sinkHint(err error) error {
	switch {
	case errors.Is(err, central.ErrSinkInUse):
		return hint.Wrap(err, "another gatectl ingest is running with this file; only one may")
	case errors.Is(err, central.ErrSinkEmpty):
		return hint.Wrap(err, "put the file back where it was: it tells how far each gate is, so it is not rotated; to begin anew, delete the .state file too")
	case errors.Is(err, central.ErrSinkBroken):
		return hint.Wrap(err, "a file that was changed does not continue its chains: gatectl verify says where; put back a copy, gates send again what it lacks")
	}
	return hint.Wrap(err, "the folder must be there, and this user must be allowed to write in it")
}

// serve runs until ctx ends, and beside it the chunk server if there is one.
func (i *ingestFlags) serve(ctx context.Context, log *slog.Logger, chunks *serve.Options, o central.Options) error {
	to, err := i.broker.broker("ingest")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	if chunks == nil {
		served <- nil
	} else {
		// A link of its own: chunks must not keep acknowledgements waiting.
		own, err := i.broker.broker("serve")
		if err != nil {
			return err
		}
		go func() {
			defer cancel()
			served <- runServe(ctx, own, *chunks, nil, log)
		}()
	}
	s, err := intake.Run(ctx, to, o, log)
	cancel()
	err = errors.Join(err, <-served)
	log.Info("ended", "stored", s.Stored, "duplicates", s.Duplicates, "refused", s.Refused, "acks", s.Acks, "replies", s.Replies, "keys", s.Keys)
	return err
}
