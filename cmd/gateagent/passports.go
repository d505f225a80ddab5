package main

import (
	"time"

	"gateagent/agent/passport"
	"gateagent/sync/signed"
)

// passportKeys gives the keys that the trust list of a site has for vaccine
// passports; revoked says which passports are revoked. Lines that are no key
// this version can use are left out and counted: they take nothing from the
// others. The result does not change with the list: a newer list needs a new
// one.
func passportKeys(trust signed.Trust, site string, revoked func(passport.Hash) bool) (keys *passport.Keys, leftOut int) {
	lines := trust.Of(signed.RolePassport, site)
	usable := make([]passport.Key, 0, len(lines))
	for _, line := range lines {
		k, err := passportKey(line)
		if err != nil {
			leftOut++
			continue
		}
		usable = append(usable, k)
	}
	return passport.NewKeys(usable, revoked), leftOut
}

func passportKey(line signed.TrustKey) (passport.Key, error) {
	kid, err := line.PassportKID()
	if err != nil {
		return passport.Key{}, err
	}
	public, err := passport.ParsePublic(line.Key)
	if err != nil {
		return passport.Key{}, err
	}
	k := passport.Key{KID: kid, Public: public}
	for _, letter := range line.Usage {
		switch letter {
		case signed.UsageTest:
			k.Usage |= passport.UsageTest
		case signed.UsageVaccination:
			k.Usage |= passport.UsageVaccination
		case signed.UsageRecovery:
			k.Usage |= passport.UsageRecovery
		default: // whatever else it is for, it is not for all
			k.Usage |= passport.UsageOther
		}
	}
	if line.Nbf != 0 {
		k.NotBefore = time.Unix(line.Nbf, 0)
	}
	if line.Exp != 0 {
		k.NotAfter = time.Unix(line.Exp, 0)
	}
	return k, nil
}
