package policy

import "gateagent/agent/gate"

// ListRule says what being on a list of that name does. Who is on it, and
// within which days and hours, is data.
type ListRule struct {
	Name   string
	Effect ListEffect
	// Hours are when the rule applies; none: always.
	Hours []gate.Window
	// NotOnHolidays: it does not apply on the days of the policy's calendar.
	NotOnHolidays bool
	// Classes and Levels bound which classes at which levels a list that lets
	// in lets in; without classes it opens nothing but closed hours. No levels
	// are all of them.
	Classes classSet
	Levels  levelSet
	Note    string // for those who write the policy
}

// levelSet is a set of levels, a bit each; none stands for all.
type levelSet uint8

func (s levelSet) has(level int) bool { return s == 0 || s>>level&1 != 0 }

// ListEffect is what a list does.
type ListEffect uint8

// The effects, from none to the strictest.
const (
	ListNone   ListEffect = iota // nothing
	ListAllow                    // lets in, also outside the hours of the site; never over BLOCK
	ListNotice                   // who would pass, passes with notice
	ListManual                   // who would pass, sees the guard
	ListBlock                    // row 1: BLOCK
	ListAlert                    // BLOCK, and the guard is called whatever the action table says
)

var listEffectNames = [...]string{"none", "allow", "notice", "manual", "block", "alert"}

func (e ListEffect) String() string {
	if int(e) < len(listEffectNames) {
		return listEffectNames[e]
	}
	return "invalid"
}

// blockingLists are the names of the lists of row 1, which block when a policy
// has no rule for them.
var blockingLists = [...]string{"deny", "watch"}

// blockingEffects say what a rule may make of these lists: one that denies
// blocks; one that watches may leave it to the guard. Neither lets anybody in
// or is passed over.
var blockingEffects = [len(blockingLists)][]ListEffect{
	{ListBlock, ListAlert},
	{ListNotice, ListManual, ListBlock, ListAlert},
}

// effectsOf gives the effects that a rule for a list may have; nil for any.
func effectsOf(list string) []ListEffect {
	for i, name := range blockingLists {
		if name == list {
			return blockingEffects[i]
		}
	}
	return nil
}

// listing is what the lists of a person do at one moment.
type listing struct {
	block, alert, manual, notice bool
	// entry: a list lets in, also outside the hours of the site.
	entry bool
	// lets are the classes for which it opens at this level.
	lets classSet
}

// listed applies the rules of the lists that a person is on. By a clock that
// cannot tell, a list that blocks does so and one that lets in does not.
func (p *Policy) listed(f *gate.Facts, m *moment, level int) (l listing) {
	if !f.HasExtras {
		return l
	}
	e := &f.Extras
	for i := range e.Lists[:min(int(e.ListN), len(e.Lists))] {
		member := &e.Lists[i]
		rule, effect := p.listRule(member.List)
		if m.known {
			if !member.Window.Contains(m.today, m.minute) || rule != nil && !p.within(rule.Hours, rule.NotOnHolidays, m) {
				continue
			}
		} else if effect == ListAllow {
			continue
		}
		switch effect {
		case ListAllow:
			l.entry = true
			if rule.Levels.has(level) {
				l.lets |= rule.Classes
			}
		case ListNotice:
			l.notice = true
		case ListManual:
			l.manual = true
		case ListBlock:
			l.block = true
		case ListAlert:
			l.block, l.alert = true, true
		}
	}
	return l
}

// listRule gives the rule for a list, and what it does; nil where the policy
// has none.
func (p *Policy) listRule(name string) (*ListRule, ListEffect) {
	for i := range p.lists {
		if p.lists[i].Name == name {
			return &p.lists[i], p.lists[i].Effect
		}
	}
	for _, blocking := range blockingLists {
		if name == blocking {
			return nil, ListBlock
		}
	}
	return nil, ListNone
}
