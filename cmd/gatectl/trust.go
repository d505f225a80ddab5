package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func trustCommand() *cobra.Command {
	return group("trust", "the list of keys that gates believe", `The trust list of a site says which key may sign what. It is signed by the root key,
which every box has pinned in its configuration.`, trustPublishCommand())
}

// trustFlags are what a trust list is made of.
type trustFlags struct {
	site       string
	signer     signerFlags
	publics    []string
	version    uint64
	validDays  int
	keysDays   int
	out, ready string
}

func trustPublishCommand() *cobra.Command {
	var (
		t      trustFlags
		broker brokerFlags
	)
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "sign the trust list of a site and publish it",
		Long: `Signs a list of the public keys in the folder of keys (*.pub) with the root key and
publishes it for a site. Gates of the site then believe these keys, each for its role,
and no others.

The root key belongs on a machine without network. There, write the list to a file
(--out) and give its version; where the network is, publish that file (--signed).`,
		Example: `  gatectl trust publish --keys keys --site hn01 --broker mqtt://broker:1883
  gatectl trust publish --keys usb/root --public keys/snapshot.pub,keys/policy.pub,keys/ack.pub --site hn01 --version 2 --out hn01-trust.jws
  gatectl trust publish --signed hn01-trust.jws --site hn01 --broker mqtt://broker:1883`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !wire.ValidSite(t.site) {
				return hint.New("--site hn01, for example", "--site: %q is no name of a site", t.site)
			}
			switch {
			case t.ready != "":
				return publishReady(cmd, &broker, t.ready, t.site)
			case t.out != "":
				return writeTrust(cmd, &t)
			}
			return publishTrust(cmd, &broker, &t)
		},
	}
	f := cmd.Flags()
	f.StringVar(&t.site, "site", "", "the site (required)")
	f.StringSliceVar(&t.publics, "public", nil, "public keys to list (default: all *.pub in the folder of keys)")
	f.Uint64Var(&t.version, "version", 0, "version of the list (default: one above what is published)")
	f.IntVar(&t.validDays, "valid-days", 365, "days within which a gate may take the list into force")
	f.IntVar(&t.keysDays, "keys-days", 0, "days for which the listed keys are good; 0: until a newer list")
	f.StringVar(&t.out, "out", "", "write the signed list to this file instead of publishing it")
	f.StringVar(&t.ready, "signed", "", "publish this file, which --out wrote")
	cmd.MarkFlagsMutuallyExclusive("out", "signed")
	t.signer.add(cmd, signed.RoleRoot)
	broker.add(cmd)
	return cmd
}

// sign makes the list.
func (t *trustFlags) sign(root signed.Signer, version uint64, now time.Time) (string, signed.Trust, error) {
	keys, err := t.listed()
	if err != nil {
		return "", signed.Trust{}, err
	}
	list := signed.Trust{
		Aud: t.site, Ver: version, Iat: now.Unix(), Exp: now.AddDate(0, 0, t.validDays).Unix(),
	}
	for _, k := range keys {
		k.Sites = []string{t.site}
		if t.keysDays > 0 {
			k.Exp = now.AddDate(0, 0, t.keysDays).Unix()
		}
		list.Keys = append(list.Keys, k)
	}
	compact, err := publish.SignTrust(root, list)
	return compact, list, err
}

func (t *trustFlags) listed() ([]signed.TrustKey, error) {
	if len(t.publics) == 0 {
		keys, err := keyring.Open(t.signer.keys).Publics()
		if err == nil && len(keys) == 0 {
			err = hint.New("gatectl keygen makes them; --public FILE names them one by one", "no public keys (*.pub) in %s", t.signer.keys)
		}
		return keys, err
	}
	var keys []signed.TrustKey
	for _, path := range t.publics {
		k, err := keyring.ReadPublic(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

func writeTrust(cmd *cobra.Command, t *trustFlags) error {
	if t.version == 0 {
		return hint.New("the first list has version 1, each further one a higher one", "--out needs --version")
	}
	root, err := t.signer.open(cmd)
	if err != nil {
		return err
	}
	compact, list, err := t.sign(root, t.version, time.Now())
	if err != nil {
		return err
	}
	if err := os.WriteFile(t.out, []byte(compact+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the trust list: %w", err)
	}
	printTrust(cmd, list)
	fmt.Fprintf(cmd.OutOrStdout(), "written to %s\n\nNext: gatectl trust publish --signed %s --site %s --broker mqtt://BROKER:1883\n", t.out, t.out, t.site)
	return nil
}

func publishTrust(cmd *cobra.Command, broker *brokerFlags, t *trustFlags) error {
	root, err := t.signer.open(cmd)
	if err != nil {
		return err
	}
	return session(cmd, broker, "trust", func(ctx context.Context, s *publish.Session) error {
		topic := s.Topics.Trust(t.site)
		version, err := nextVersion(ctx, s, topic, t.version)
		if err != nil {
			return err
		}
		compact, list, err := t.sign(root, version, time.Now())
		if err != nil {
			return err
		}
		if err := retain(ctx, s, topic, compact); err != nil {
			return err
		}
		printTrust(cmd, list)
		fmt.Fprintf(cmd.OutOrStdout(), "published on %s\n", topic)
		return nil
	})
}

// publishReady publishes a list that was signed elsewhere.
func publishReady(cmd *cobra.Command, broker *brokerFlags, file, site string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the trust list: %w", err)
	}
	compact := strings.TrimSpace(string(b))
	version, err := publish.DocumentVersion([]byte(compact))
	if err != nil {
		return fmt.Errorf("%s is no signed trust list", file)
	}
	return session(cmd, broker, "trust", func(ctx context.Context, s *publish.Session) error {
		topic := s.Topics.Trust(site)
		if _, err := nextVersion(ctx, s, topic, version); err != nil {
			return err
		}
		if err := retain(ctx, s, topic, compact); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "trust list version %d published on %s\n", version, topic)
		return nil
	})
}

func printTrust(cmd *cobra.Command, list signed.Trust) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "trust list of %s, version %d\n", list.Aud, list.Ver)
	for _, k := range list.Keys {
		until := "until a newer list"
		if k.Exp != 0 {
			until = "until " + time.Unix(k.Exp, 0).UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(out, "  %-9s %s, %s\n", k.Role, k.Kid, until)
	}
}

// session runs do within a short session with the broker.
func session(cmd *cobra.Command, broker *brokerFlags, role string, do func(context.Context, *publish.Session) error) error {
	s, err := broker.connect(cmd.Context(), role, nil)
	if err != nil {
		return err
	}
	return errors.Join(do(cmd.Context(), s), s.Close())
}

// nextVersion gives the version to publish: the one asked for, which must be
// newer than what is published, or the next.
func nextVersion(ctx context.Context, s *publish.Session, topic string, asked uint64) (uint64, error) {
	now, err := s.Version(ctx, topic)
	if err != nil {
		return 0, err
	}
	if asked == 0 {
		return now + 1, nil
	}
	if asked <= now {
		return 0, hint.New("gates refuse what is not newer than what they have", "version %d is not above version %d, which is published", asked, now)
	}
	return asked, nil
}

func retain(ctx context.Context, s *publish.Session, topic, compact string) error {
	return hint.Wrap(s.Retained(ctx, topic, []byte(compact)), "look at the broker's access list and its log")
}
