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

// Reasons of RETRY and of trouble on the box.
const (
	ReasonUnreadable         Reason = "unreadable"          // a code is in view and cannot be read
	ReasonUnsupported        Reason = "unsupported"         // read, but not a credential
	ReasonUnsupportedDynamic Reason = "unsupported_dynamic" // looks like a one-minute VNeID code
	ReasonStoreFault         Reason = "store_fault"         // the data could not be read: on_fault decides
	ReasonRecordFault        Reason = "record_fault"        // the journal cannot be written: on_fault decides
)

// Warnings of a card's own data (PAYLOADS §1, §2). They never refuse alone.
const (
	ReasonSexMismatch       Reason = "sex_mismatch"
	ReasonBirthYearMismatch Reason = "birth_year_mismatch"
	ReasonUnknownPlaceCode  Reason = "unknown_place_code"
	ReasonSixFields         Reason = "six_fields"
	ReasonExtraFields       Reason = "extra_fields"
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
		ReasonUnreadable, ReasonUnsupported, ReasonUnsupportedDynamic, ReasonStoreFault, ReasonRecordFault,
		ReasonSexMismatch, ReasonBirthYearMismatch, ReasonUnknownPlaceCode, ReasonSixFields, ReasonExtraFields,
		ReasonCardDataMismatch,
	}
}
