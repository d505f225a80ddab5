// Package intake runs central's side of the journal on a broker: sync/central
// on a link of its own, announced after each connect and whenever central/state
// says otherwise.
//
// It owns that link and the goroutines around it. What is believed, kept and
// acknowledged is sync/central's.
package intake

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/central"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

// Run takes in what gates send until ctx ends. Of o, Topics, Boot and Link are
// set here.
func Run(ctx context.Context, to publish.Broker, o central.Options, log *slog.Logger) (central.Stats, error) {
	var err error
	if o.Topics, err = wire.NewTopics(to.Prefix); err != nil {
		return central.Stats{}, fmt.Errorf("prefix: %w", err)
	}
	var boot [8]byte
	rand.Read(boot[:]) // never fails
	o.Boot = hex.EncodeToString(boot[:])
	via := &publisher{}
	o.Link = via
	c, err := central.New(o, log)
	if err != nil {
		return central.Stats{}, err
	}
	topic, body := c.Will()
	link, err := mqttlink.New(mqttlink.Options{
		Broker: to.URL, ClientID: to.ClientID, Username: to.Username, Password: to.Password,
		Will: &mqttlink.Will{Topic: topic, Body: body, Retained: true},
	}, log)
	if err != nil {
		return central.Stats{}, hint.Wrap(err, "is --broker right?")
	}
	via.link = link
	for _, filter := range c.Filters() {
		link.Add(mqttlink.Subscription{
			Filter: filter, QoS: 1, Queue: 1024, Once: true,
			Handle: func(topic string, body []byte, _ bool) { c.Deliver(topic, body) },
		})
	}
	h := newHerald(c, log)
	link.Add(mqttlink.Subscription{
		Filter: topic, QoS: 1, MaxBody: wire.MaxCentralState,
		Handle: func(_ string, body []byte, _ bool) { h.heard(body, o.Boot) },
	})
	link.OnUp(h.up)
	err = together(ctx, c, link, h)
	return c.Stats(), err
}

// together runs central, its link and its herald, and ends when all have.
func together(ctx context.Context, c *central.Central, link *mqttlink.Link, h *herald) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 3)
	for _, run := range []func(context.Context) error{link.Run, c.Run, h.run} {
		go func() { ended <- run(ctx) }()
	}
	err := <-ended // on Ctrl-C, or because one cannot go on
	cancel()
	return errors.Join(err, <-ended, <-ended)
}

// publisher is a link as central needs it.
type publisher struct{ link *mqttlink.Link }

func (p *publisher) Publish(ctx context.Context, topic string, body []byte, retained bool) error {
	return p.link.Publish(ctx, topic, body, 1, retained)
}
