package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/mqttlink"
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
	passports  string
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

With --passports, the list also carries the keys that sign vaccine passports: of all
certificates in a folder (.der, .cer, .crt or .pem, document signers of Vietnam or of
others). A gate believes passports signed by these keys and no others. Certificates that
are expired or have another kind of key are left out with a note. The id of a key is made
from its certificate; where an issuer has another one, name the file after it: 16
hexadecimal digits.

The root key belongs on a machine without network. There, write the list to a file
(--out) and give its version; where the network is, publish that file (--signed).`,
		Example: `  gatectl trust publish --keys keys --site hn01 --broker mqtt://broker:1883
  gatectl trust publish --keys usb/root --public keys/snapshot.pub,keys/policy.pub,keys/ack.pub --site hn01 --version 2 --out hn01-trust.jws
  gatectl trust publish --keys keys --passports passports --site hn01 --broker mqtt://broker:1883
  gatectl trust publish --signed hn01-trust.jws --site hn01 --broker mqtt://broker:1883`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !wire.ValidSite(t.site) {
				return hint.New("--site hn01, for example", "--site: %q is no name of a site", t.site)
			}
			if err := checkDays("valid-days", t.validDays); err != nil {
				return err
			}
			if t.keysDays != 0 {
				if err := checkDays("keys-days", t.keysDays); err != nil {
					return err
				}
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
	f.StringVar(&t.passports, "passports", "", "folder of certificates that sign vaccine passports")
	f.Uint64Var(&t.version, "version", 0, "version of the list (default: one above what is published)")
	f.IntVar(&t.validDays, "valid-days", 365, "days within which a gate may take the list into force")
	f.IntVar(&t.keysDays, "keys-days", 0, "days for which the listed keys are good; 0: until a newer list")
	f.StringVar(&t.out, "out", "", "write the signed list to this file instead of publishing it")
	f.StringVar(&t.ready, "signed", "", "publish this file, which --out wrote")
	cmd.MarkFlagsMutuallyExclusive("out", "signed")
	cmd.MarkFlagsMutuallyExclusive("passports", "signed")
	t.signer.add(cmd, signed.RoleRoot)
	broker.add(cmd)
	return cmd
}

// sign makes the list.
func (t *trustFlags) sign(cmd *cobra.Command, root signed.Signer, version uint64, now time.Time) (string, signed.Trust, error) {
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
	if t.passports != "" {
		keys, out, err := readPassports(t.passports, now)
		for _, o := range out {
			if o.file == "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", o.why)
				continue
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s is left out: %s\n", o.file, o.why)
		}
		if err != nil {
			return "", signed.Trust{}, err
		}
		for _, k := range keys {
			if t.keysDays > 0 {
				k.Exp = min(k.Exp, now.AddDate(0, 0, t.keysDays).Unix())
			}
			list.Keys = append(list.Keys, k)
		}
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
	compact, list, err := t.sign(cmd, root, t.version, time.Now())
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
	return siteSession(cmd, broker, "trust", t.site, func(ctx context.Context, s *publish.Session, gates *publish.InForce) error {
		topic := s.Topics.Trust(t.site)
		version, err := nextVersion(ctx, cmd, s, topic, t.version, gates.Trust)
		if err != nil {
			return err
		}
		compact, list, err := t.sign(cmd, root, version, time.Now())
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
	list, err := publish.ReadTrust([]byte(compact))
	if err != nil {
		return fmt.Errorf("%s is no signed trust list", file)
	}
	if list.Aud != site {
		return hint.New("gates of one site refuse the list of another", "%s is the trust list of %s, not of %s", file, list.Aud, site)
	}
	return siteSession(cmd, broker, "trust", site, func(ctx context.Context, s *publish.Session, gates *publish.InForce) error {
		topic := s.Topics.Trust(site)
		// What gates have already may be this very list, which the broker lost.
		have := func() publish.Version {
			v := gates.Trust()
			if v.N == list.Ver {
				v.N--
			}
			return v
		}
		if _, err := nextVersion(ctx, cmd, s, topic, list.Ver, have); err != nil {
			return err
		}
		if err := retain(ctx, s, topic, compact); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "trust list version %d published on %s\n", list.Ver, topic)
		return nil
	})
}

func printTrust(cmd *cobra.Command, list signed.Trust) {
	out := cmd.OutOrStdout()
	fmt.Fprintf(out, "trust list of %s, version %d\n", list.Aud, list.Ver)
	passports := map[string]int{}
	for _, k := range list.Keys {
		if k.Role == signed.RolePassport {
			passports[k.Alg]++
			continue
		}
		until := "until a newer list"
		if k.Exp != 0 {
			until = "until " + time.Unix(k.Exp, 0).UTC().Format(time.DateOnly)
		}
		fmt.Fprintf(out, "  %-9s %s, %s\n", k.Role, k.Kid, until)
	}
	for _, alg := range slices.Sorted(maps.Keys(passports)) {
		fmt.Fprintf(out, "  %-9s %d keys for %s\n", signed.RolePassport, passports[alg], alg)
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

// siteSession is a session that also hears what the gates of a site have in
// force.
func siteSession(cmd *cobra.Command, broker *brokerFlags, role, site string, do func(context.Context, *publish.Session, *publish.InForce) error) error {
	var gates publish.InForce
	s, err := broker.connect(cmd.Context(), role, func(l *mqttlink.Link, topics wire.Topics) { gates.Follow(l, topics, site) })
	if err != nil {
		return err
	}
	return errors.Join(do(cmd.Context(), s, &gates), s.Close())
}

// nextVersion gives the version to publish: the one asked for, which must be
// newer than what is published and than what gates have, or the next.
func nextVersion(ctx context.Context, cmd *cobra.Command, s *publish.Session, topic string, asked uint64, inForce func() publish.Version) (uint64, error) {
	there, err := published(ctx, cmd, s, topic)
	if err != nil {
		return 0, err
	}
	gate := inForce()
	if gate.N > there {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s has version %d in force, and the broker has forgotten it; versions go on from there\n", gate.Gate, gate.N)
	}
	switch {
	case asked == 0:
		return max(there, gate.N) + 1, nil
	case asked <= there:
		return 0, hint.New("gates refuse what is not newer than what they have", "version %d is not above version %d, which is published", asked, there)
	case asked <= gate.N:
		return 0, hint.New("gates refuse what is not newer than what they have", "version %d is not above version %d, which %s has in force", asked, gate.N, gate.Gate)
	}
	return asked, nil
}

// published gives the version that the broker has. Something that is no
// document is replaced: gates refuse it anyway.
func published(ctx context.Context, cmd *cobra.Command, s *publish.Session, topic string) (uint64, error) {
	n, err := s.Version(ctx, topic)
	if errors.Is(err, publish.ErrNoDocument) {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: what is retained on %s is no document of ours; it is replaced. Who may write there?\n", topic)
		return 0, nil
	}
	return n, err
}

func retain(ctx context.Context, s *publish.Session, topic, compact string) error {
	return hint.Wrap(s.Retained(ctx, topic, []byte(compact)), "look at the broker's access list and its log")
}
