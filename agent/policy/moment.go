package policy

import (
	"math"
	"time"

	"gateagent/agent/gate"
)

// moment is the time of a scan as the rules see it.
type moment struct {
	known  bool  // whether the clock can be believed
	now    int64 // UTC milliseconds
	today  gate.Day
	minute int // of the day
}

// moment reads the clock of a scan for rules that want at least this level.
func (p *Policy) moment(nowMS int64, clock, least gate.ClockLevel) moment {
	seconds := floorDiv(nowMS, 1000)
	_, offset := time.Unix(seconds, 0).In(p.zone).Zone()
	seconds += int64(offset)
	day := floorDiv(seconds, 86400)
	return moment{
		known: least <= clock && clock <= gate.ClockCentral, now: nowMS,
		today: clampDay(day), minute: int((seconds - day*86400) / 60),
	}
}

// day gives the calendar day of an instant in the policy's time zone.
func (p *Policy) day(nowMS int64) gate.Day {
	seconds := floorDiv(nowMS, 1000)
	_, offset := time.Unix(seconds, 0).In(p.zone).Zone()
	return clampDay(floorDiv(seconds+int64(offset), 86400))
}

// clampDay ends instants beyond the range of a Day, which only a broken clock
// shows, at its ends.
func clampDay(day int64) gate.Day { return gate.Day(max(math.MinInt32, min(math.MaxInt32, day))) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
