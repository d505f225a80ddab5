package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/sync/central"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// ingestFlags are what central's side of the journal runs by.
type ingestFlags struct {
	sink, gates string
	learn       bool
	signer      signerFlags
	broker      brokerFlags
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
in order. One ingest serves all sites; it may be stopped and started at any time.

A gate is believed by its public keys, which the file --gates lists. --learn adds the keys
of each gate that is seen for the first time. Another box under a listed name is refused
and reported; where a box was replaced on purpose, delete the gate's entry in the file and
start ingest again with --learn.`,
		Example: `  gatectl ingest --sink jsonl:entries.jsonl --gates gates.json --learn --broker mqtt://broker:1883
  gatectl ingest --sink jsonl:entries.jsonl --gates gates.json --passphrase-file pass`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&i.sink, "sink", "", "where entries are kept: jsonl:FILE (required)")
	f.StringVar(&i.gates, "gates", "", "file of the gates' public keys")
	f.BoolVar(&i.learn, "learn", false, "pin the keys of gates that are seen for the first time")
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
		return hint.Wrap(err, "the file need not exist with --learn")
	}
	key, err := i.signer.open(cmd)
	if err != nil {
		return err
	}
	log := logger(cmd)
	sink, err := central.OpenJSONL(path, log)
	if err != nil {
		return hint.Wrap(err, "a file that was changed by hand does not continue its chains; gatectl verify says where")
	}
	defer func() { err = errors.Join(err, sink.Close()) }()
	if i.gates == "" {
		log.Warn("what is learned is not kept: no --gates file is named")
	}
	return i.serve(cmd.Context(), log, central.Options{Signer: key, Pins: pins, Sink: sink})
}

// serve runs until ctx ends: central and its link.
func (i *ingestFlags) serve(ctx context.Context, log *slog.Logger, o central.Options) error {
	to, err := i.broker.broker("ingest")
	if err != nil {
		return err
	}
	if o.Topics, err = wire.NewTopics(to.Prefix); err != nil {
		return fmt.Errorf("--prefix: %w", err)
	}
	var boot [8]byte
	if _, err := rand.Read(boot[:]); err != nil {
		return fmt.Errorf("draw the name of this run: %w", err)
	}
	o.Boot = hex.EncodeToString(boot[:])
	via := &linkPublisher{}
	o.Link = via
	c, err := central.New(o, log)
	if err != nil {
		return err
	}
	topic, body := c.Will()
	link, err := mqttlink.New(mqttlink.Options{
		Broker: to.URL, ClientID: to.ClientID, Username: to.Username, Password: to.Password,
		Will: &mqttlink.Will{Topic: topic, Body: body, Retained: true},
	}, log)
	if err != nil {
		return hint.Wrap(err, "is --broker right?")
	}
	via.link = link
	for _, filter := range c.Filters() {
		link.Add(mqttlink.Subscription{
			Filter: filter, QoS: 1, Queue: 1024, Once: true,
			Handle: func(topic string, body []byte, _ bool) { c.Deliver(topic, body) },
		})
	}
	up := make(chan struct{}, 1)
	link.OnUp(func() {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	return i.together(ctx, log, c, link, up)
}

// together runs central, its link, and the announcing of central after each
// connect, and ends when all have.
func (i *ingestFlags) together(ctx context.Context, log *slog.Logger, c *central.Central, link *mqttlink.Link, up <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 3)
	go func() { ended <- link.Run(ctx) }()
	go func() { ended <- c.Run(ctx) }()
	go func() {
		for {
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-up:
				announce(ctx, log, c)
			}
		}
	}()
	err := <-ended // on Ctrl-C, or because one cannot go on
	cancel()
	err = errors.Join(err, <-ended, <-ended)
	s := c.Stats()
	log.Info("ended", "stored", s.Stored, "duplicates", s.Duplicates, "refused", s.Refused, "acks", s.Acks, "replies", s.Replies)
	return err
}

// announceWithin bounds one announcement.
const announceWithin = 10 * time.Second

// announce says that central is there: gates then send what they have.
func announce(ctx context.Context, log *slog.Logger, c *central.Central) {
	ctx, cancel := context.WithTimeout(ctx, announceWithin)
	defer cancel()
	if err := c.Online(ctx); err != nil && ctx.Err() == nil {
		log.Warn("central could not be announced; gates send at their next attempt", "error", err)
	}
}

// linkPublisher is a link as central needs it.
type linkPublisher struct{ link *mqttlink.Link }

func (l *linkPublisher) Publish(ctx context.Context, topic string, body []byte, retained bool) error {
	return l.link.Publish(ctx, topic, body, 1, retained)
}
