package main

import (
	"testing"
	"time"
)

func TestPassTimes(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 9, 30, 0, 0, zone)
	since := now.Add(time.Hour)
	for _, c := range []struct {
		text  string
		isEnd bool
		want  string // empty: refused
	}{
		{"2026-12-01", false, "2026-12-01 00:00"},
		{"2026-12-01", true, "2026-12-02 00:00"},
		{"2026-12-01 17:05", true, "2026-12-01 17:05"},
		{"2026-12-01T17:05", true, "2026-12-01 17:05"},
		{"17:05", true, "2026-11-24 17:05"},
		{"24:00", true, "2026-11-25 00:00"},
		{"90m", true, "2026-11-24 12:00"},
		{"2d", true, "2026-11-26 10:30"},
		{"", true, ""},
		{"24:01", true, ""},
		{"7:5", true, ""},
		{"-4h", true, ""},
		{"0d", true, ""},
		{"90s", true, ""},
		{"2026-02-30", true, ""},
		{"1e3d", true, ""},
	} {
		got, err := readTime("until", c.text, now, since, c.isEnd)
		if text := got.Format("2006-01-02 15:04"); (err == nil) != (c.want != "") || err == nil && text != c.want {
			t.Errorf("%q: %s, %v; want %q", c.text, text, err, c.want)
		}
	}
}

func TestPassHours(t *testing.T) {
	for text, want := range map[string][2]uint16{
		"": {}, "08:00-17:00": {480, 1020}, "22:00-06:00": {1320, 360}, "08:00-24:00": {480, 1440}, "08:00-00:00": {480, 1440}, "8:00 - 9:30": {480, 570},
	} {
		if a, b, err := readHours(text); err != nil || a != want[0] || b != want[1] {
			t.Errorf("%q: %d, %d, %v", text, a, b, err)
		}
	}
	for _, text := range []string{"8-17", "08:00", "08:00-08:00", "24:00-08:00", "25:00-26:00", "08:00-17:60"} {
		if _, _, err := readHours(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	for text, want := range map[string]uint8{"": 0, "mon-fri": 31, "sat,sun": 96, "Sun": 64, "fri-mon": 113, "wed, mon": 5} {
		if got, err := readWeekdays(text); err != nil || got != want {
			t.Errorf("%q: %b, %v", text, got, err)
		}
	}
	for _, text := range []string{"monday", "mon-", ",", "mon fri"} {
		if _, err := readWeekdays(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}
