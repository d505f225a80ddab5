package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

// brokerFlags say where the broker is.
type brokerFlags struct {
	url, prefix, username, passwordFile string
}

func (b *brokerFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&b.url, "broker", "mqtt://127.0.0.1:1883", "the MQTT broker")
	f.StringVar(&b.prefix, "prefix", wire.DefaultPrefix, "prefix of all topics")
	f.StringVar(&b.username, "username", "", "user name at the broker")
	f.StringVar(&b.passwordFile, "password-file", "", "file with the password at the broker in its first line")
}

// broker gives what the flags say. role is a part of the client id.
func (b *brokerFlags) broker(role string) (publish.Broker, error) {
	to := publish.Broker{URL: b.url, Prefix: b.prefix, Username: b.username}
	if b.passwordFile != "" {
		pass, err := readPassphraseFile(b.passwordFile)
		if err != nil {
			return to, err
		}
		to.Password = string(pass)
	}
	var id [6]byte
	if _, err := rand.Read(id[:]); err != nil {
		return to, fmt.Errorf("draw a client id: %w", err)
	}
	to.ClientID = "gatectl-" + role + "-" + hex.EncodeToString(id[:])
	return to, nil
}

// connect opens a short session.
func (b *brokerFlags) connect(ctx context.Context, role string, subscribe func(*mqttlink.Link, wire.Topics)) (*publish.Session, error) {
	to, err := b.broker(role)
	if err != nil {
		return nil, err
	}
	s, err := publish.Connect(ctx, to, slog.New(slog.DiscardHandler), subscribe)
	if e, ok := errors.AsType[*publish.ConnectError](err); ok && e.Refused {
		return s, hint.Wrap(err, "--username and --password-file say who we are to the broker")
	}
	return s, hint.Wrap(err, "is the broker running, and is --broker right?")
}

// logger writes to standard error, for commands that stay.
func logger(cmd *cobra.Command) *slog.Logger {
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}
