package gate

// Reason is a stable code that says why a verdict was reached. Codes appear in
// entries, on the page and in metrics; texts for people belong to the policy.
type Reason string

// Reasons of the health rules (PAYLOADS §7.2, one per row).
const (
	ReasonDenyList         Reason = "deny_list"
	ReasonPositive         Reason = "positive"
	ReasonQuarantine       Reason = "quarantine"
	ReasonVaccinated       Reason = "vaccinated"
	ReasonRecovered        Reason = "recovered"
	ReasonPartlyVaccinate  Reason = "partly_vaccinated"
	ReasonTested           Reason = "tested"
	ReasonNoFactCounts     Reason = "no_fact_counts"
	ReasonNoRecord         Reason = "no_record"
	ReasonNeedsExtras      Reason = "needs_extras"        // the record says more than this version reads
	ReasonReservedKind     Reason = "reserved_kind"       // a fact kind of a later version
	ReasonAmbiguous        Reason = "ambiguous"           // masked or doubtful identity
	ReasonFutureFact       Reason = "future_fact"         // a fact dated after today, ignored
	ReasonDoubtfulCard     Reason = "doubtful_card"       // two or more warnings on an unsigned card
	ReasonCardExpired      Reason = "card_expired"        // a warning unless the policy refuses
	ReasonClockUntrusted   Reason = "clock_untrusted"     // a rule needed better time than there is
	ReasonStaleData        Reason = "stale_data"          // older than the soft age
	ReasonExpiredData      Reason = "expired_data"        // older than the hard age
	ReasonNoData           Reason = "no_data"             // no data set in force, or its key is missing
	ReasonPolicyNotInForce Reason = "policy_not_in_force" // before valid_from or after valid_to
	ReasonOutsideWindow    Reason = "outside_window"      // not one of the person's own days and hours
)

// Reasons of vaccine passports: why one does not count, or what it lacks.
const (
	ReasonPassport          Reason = "passport"           // it counts, and turned the outcome
	ReasonPassportMalformed Reason = "passport_malformed" // no passport, or none that can be read
	ReasonPassportUnknown   Reason = "passport_unknown"   // nobody we trust signed it
	ReasonPassportForged    Reason = "passport_forged"    // its signature does not hold
	ReasonPassportUsage     Reason = "passport_usage"     // signed by a key that is for other events
	ReasonPassportEarly     Reason = "passport_early"     // issued after now
	ReasonPassportExpired   Reason = "passport_expired"
	ReasonPassportRevoked   Reason = "passport_revoked"
	ReasonPassportMismatch  Reason = "passport_mismatch" // not the holder of the card
	// It is good and of the holder of the card, and gives less than it might:
	ReasonPassportTooYoung Reason = "passport_too_young" // the dose does not count yet
	ReasonPassportTooOld   Reason = "passport_too_old"   // the last dose, recovery or test no longer does
	ReasonPassportNothing  Reason = "passport_nothing"   // it is about nothing that counts here
	ReasonNeedsCard        Reason = "needs_card"         // show the ID card as well
)

// Reasons of passes.
const (
	ReasonPass          Reason = "pass" // it counts
	ReasonPassMalformed Reason = "pass_malformed"
	ReasonPassUnknown   Reason = "pass_unknown" // no key we trust signed it
	ReasonPassForged    Reason = "pass_forged"
	ReasonPassEarly     Reason = "pass_early"
	ReasonPassExpired   Reason = "pass_expired"
	ReasonPassRevoked   Reason = "pass_revoked"
	ReasonPassSpent     Reason = "pass_spent"     // a single entry, made already
	ReasonPassElsewhere Reason = "pass_elsewhere" // for another site, gate or zone
)

// Reasons of lists, hours and passages.
const (
	ReasonListed       Reason = "listed"        // on a list that lets in
	ReasonClosed       Reason = "closed"        // outside the hours, or on a holiday
	ReasonAntiPassback Reason = "anti_passback" // in twice without out, or out without in
	ReasonReentry      Reason = "reentry"       // back sooner than the policy allows
	// The policy asks when they last passed, and the box cannot tell.
	ReasonPassagesUnknown Reason = "passages_unknown"
)

// Reasons of RETRY and of trouble on the box.
const (
	ReasonUnreadable         Reason = "unreadable"          // a code is in view and cannot be read
	ReasonUnsupported        Reason = "unsupported"         // read, but not a credential
	ReasonUnsupportedDynamic Reason = "unsupported_dynamic" // looks like a one-minute VNeID code
	ReasonStoreFault         Reason = "store_fault"         // the data could not be read: on_fault decides
	ReasonRecordFault        Reason = "record_fault"        // the journal cannot be written: on_fault decides
	ReasonRelayFault         Reason = "relay_fault"         // the relay did not obey: shown, never recorded as a reason
)

// Warnings of a card's own data (PAYLOADS §1, §2). They never refuse alone.
const (
	ReasonSexMismatch       Reason = "sex_mismatch"
	ReasonBirthYearMismatch Reason = "birth_year_mismatch"
	ReasonUnknownPlaceCode  Reason = "unknown_place_code"
	ReasonSixFields         Reason = "six_fields"
	ReasonExtraFields       Reason = "extra_fields"
	ReasonMasked            Reason = "masked" // the national QR in its usual form: number and birth date in part
	ReasonProxy             Reason = "proxy"  // the national QR of somebody whom another person declared
	// A code on a phone stood for the card, of which it is no proof.
	ReasonPersonalCode Reason = "personal_code"
	ReasonControlChars Reason = "control_chars"
	// The national QR with the number of an old nine-digit card or of a passport.
	ReasonOtherNumber Reason = "other_number"
	ReasonIssuedEarly Reason = "issued_before_birth"
	// What the card says is not what central has for its number (check bits).
	ReasonCardDataMismatch Reason = "card_data_mismatch"
)

// Reasons lists every code, in the order above: for checks and metrics.
func Reasons() []Reason {
	return []Reason{
		ReasonDenyList, ReasonPositive, ReasonQuarantine, ReasonVaccinated, ReasonRecovered,
		ReasonPartlyVaccinate, ReasonTested, ReasonNoFactCounts, ReasonNoRecord, ReasonNeedsExtras,
		ReasonReservedKind, ReasonAmbiguous, ReasonFutureFact, ReasonDoubtfulCard, ReasonCardExpired,
		ReasonClockUntrusted, ReasonStaleData, ReasonExpiredData, ReasonNoData, ReasonPolicyNotInForce, ReasonOutsideWindow,
		ReasonUnreadable, ReasonUnsupported, ReasonUnsupportedDynamic, ReasonStoreFault, ReasonRecordFault, ReasonRelayFault,
		ReasonSexMismatch, ReasonBirthYearMismatch, ReasonUnknownPlaceCode, ReasonSixFields, ReasonExtraFields,
		ReasonCardDataMismatch,
		ReasonPassport, ReasonPassportMalformed, ReasonPassportUnknown, ReasonPassportForged, ReasonPassportUsage,
		ReasonPassportEarly, ReasonPassportExpired, ReasonPassportRevoked, ReasonPassportMismatch,
		ReasonPassportTooYoung, ReasonPassportTooOld, ReasonPassportNothing, ReasonNeedsCard,
		ReasonPass, ReasonPassMalformed, ReasonPassUnknown, ReasonPassForged, ReasonPassEarly, ReasonPassExpired,
		ReasonPassRevoked, ReasonPassSpent, ReasonPassElsewhere,
		ReasonListed, ReasonClosed, ReasonAntiPassback, ReasonReentry, ReasonPassagesUnknown,
		ReasonMasked, ReasonProxy, ReasonPersonalCode, ReasonControlChars, ReasonOtherNumber,
		ReasonIssuedEarly,
	}
}
