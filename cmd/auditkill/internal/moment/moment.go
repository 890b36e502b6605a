// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package moment reads a point in time as people write it.
package moment

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// layouts are those with a date. What does not name a zone is local time, as in ausearch(8).
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly,
}

// clocks are those of today.
var clocks = []string{"15:04:05", "15:04"}

// Parse returns the moment that a text means, if it is now the given time: "2 hours ago",
// "90m ago", "yesterday 22:00", "03:15", "2026-11-22 03:15", RFC 3339, "@1700000000".
//
// The libraries for this either take anything, with a guess for what they do not
// understand, which is the wrong thing to do with a question for evidence, or know no
// "2 hours ago".
func Parse(text string, now time.Time) (time.Time, error) {
	trimmed := strings.Join(strings.Fields(text), " ")
	if t, ok := parseRelative(strings.ToLower(trimmed), now); ok {
		return t, nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, trimmed, now.Location()); err == nil {
			return t, nil
		}
	}
	if seconds, ok := strings.CutPrefix(trimmed, "@"); ok {
		if n, err := strconv.ParseInt(seconds, 10, 64); err == nil && n >= 0 && n < 1<<40 {
			return time.Unix(n, 0).In(now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write \"2 hours ago\", \"yesterday 22:00\", 03:15, "+
		"\"2026-11-22 03:15\" or 2026-11-22T03:15:00Z", text)
}

func parseRelative(text string, now time.Time) (time.Time, bool) {
	if text == "now" {
		return now, true
	}
	if amount, ok := strings.CutSuffix(text, " ago"); ok {
		return ago(amount, now)
	}
	day, clock, _ := strings.Cut(text, " ")
	back := 0
	switch day {
	case "today":
	case "yesterday":
		back = 1
	default:
		clock = text
		if clock == "" {
			return time.Time{}, false
		}
	}
	year, month, date := now.Date()
	if clock == "" {
		return time.Date(year, month, date-back, 0, 0, 0, 0, now.Location()), true
	}
	for _, layout := range clocks {
		if t, err := time.Parse(layout, clock); err == nil {
			return time.Date(year, month, date-back, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

// ago reads "2 hours", "an hour", "90m" or "1h30m", and goes back by that.
func ago(amount string, now time.Time) (time.Time, bool) {
	if d, err := time.ParseDuration(strings.ReplaceAll(amount, " ", "")); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	number, unit, ok := strings.Cut(amount, " ")
	if !ok {
		unit = strings.TrimLeft(amount, "0123456789")
		number = strings.TrimSuffix(amount, unit)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if number == "a" || number == "an" {
		n, err = 1, nil
	}
	if err != nil {
		return time.Time{}, false
	}
	count := int(n)
	switch strings.TrimSuffix(unit, "s") {
	case "second", "sec":
		return now.Add(-time.Duration(count) * time.Second), true
	case "minute", "min":
		return now.Add(-time.Duration(count) * time.Minute), true
	case "hour", "hr":
		return now.Add(-time.Duration(count) * time.Hour), true
	case "day", "d":
		return now.AddDate(0, 0, -count), true
	case "week", "w":
		return now.AddDate(0, 0, -7*count), true
	case "month":
		return now.AddDate(0, -count, 0), true
	case "year", "y":
		return now.AddDate(-count, 0, 0), true
	}
	return time.Time{}, false
}
