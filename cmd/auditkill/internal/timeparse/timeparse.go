// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package timeparse reads a point in time as people write it.
package timeparse

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// layout is a form of a time, and how long a time in this form lasts.
type layout struct {
	text  string
	lasts time.Duration
}

// layouts have a date. Without a zone they are local time, as in ausearch(8).
var layouts = []layout{
	{time.RFC3339Nano, time.Second},
	{"2006-01-02T15:04:05", time.Second},
	{"2006-01-02T15:04", time.Minute},
	{"2006-01-02 15:04:05", time.Second},
	{"2006-01-02 15:04", time.Minute},
	{"2006/01/02 15:04:05", time.Second},
	{"2006/01/02 15:04", time.Minute},
}

// days have no time of day. ausearch prints the last ones, where only one order of month and day makes sense.
var days = []string{time.DateOnly, "2006/01/02"}

// clocks have no date, which means today.
var clocks = []layout{{"15:04:05", time.Second}, {"15:04", time.Minute}}

// Parse returns the first and the last instant of the time that a text names at the time now:
// "2 hours ago", "2 hours", "90m", "-90m", "last week", "yesterday 22:00", "03:15", "2026-11-22 03:15", "2026/11/22",
// RFC 3339, "@1700000000", "1700000000.123". A day, a minute or a second includes all of its instants; "last week" is the
// week until now.
//
// The libraries for this either guess what they do not understand, which is wrong in a search
// for evidence, or do not support "2 hours ago".
func Parse(text string, now time.Time) (first, last time.Time, err error) {
	trimmed := strings.Join(strings.Fields(text), " ")
	if from, to, ok := parseRelative(strings.ToLower(trimmed), now); ok {
		return from, to, nil
	}
	trimmed, err = yearFirst(trimmed)
	if err != nil {
		return first, last, err
	}
	for _, form := range days {
		if day, err := time.ParseInLocation(form, trimmed, now.Location()); err == nil {
			return day, lastOf(day), nil
		}
	}
	for _, form := range layouts {
		if t, err := time.ParseInLocation(form.text, trimmed, now.Location()); err == nil {
			return t, form.last(t), nil
		}
	}
	if from, to, ok := parseEpoch(trimmed, now.Location()); ok {
		return from, to, nil
	}
	return first, last, fmt.Errorf("%q is not a time: use \"2 hours ago\", 90m, \"last week\", \"yesterday 22:00\", 03:15, "+
		"\"2026-11-22 03:15\" or 2026-11-22T03:15:00Z", text)
}

// slashes is a date with the year at its end.
var slashes = regexp.MustCompile(`^(\d{1,2})/(\d{1,2})/(\d{4})( .*)?$`)

// yearFirst turns a date with the year at its end around, if only one of its numbers can be the month.
func yearFirst(text string) (string, error) {
	m := slashes.FindStringSubmatch(text)
	if m == nil {
		return text, nil
	}
	a, _ := strconv.Atoi(m[1]) // two digits
	b, _ := strconv.Atoi(m[2])
	if a != b && a <= 12 && b <= 12 {
		return text, fmt.Errorf("%q may be in month %d or %d: write %s/%02d/%02d or %s/%02d/%02d", text, a, b, m[3], a, b, m[3], b, a)
	}
	if a > 12 {
		a, b = b, a
	}
	return fmt.Sprintf("%s/%02d/%02d%s", m[3], a, b, m[4]), nil
}

// epoch is a number of seconds since 1970, or of milliseconds, as logs and programs print it.
var epoch = regexp.MustCompile(`^(?:@(\d{1,12})|(\d{10})|(\d{13}))(?:\.(\d{1,9}))?$`)

func parseEpoch(text string, location *time.Location) (first, last time.Time, ok bool) {
	m := epoch.FindStringSubmatch(text)
	if m == nil {
		return first, last, false
	}
	if m[3] != "" {
		n, _ := strconv.ParseInt(m[3], 10, 64) // 13 digits
		t := time.UnixMilli(n).In(location)
		return t, t.Add(time.Millisecond - 1), m[4] == ""
	}
	n, _ := strconv.ParseInt(m[1]+m[2], 10, 64) // 12 digits
	if m[4] == "" {
		t := time.Unix(n, 0).In(location)
		return t, t.Add(time.Second - 1), true
	}
	nanos, _ := strconv.ParseInt((m[4] + "000000000")[:9], 10, 64) // nine digits
	t := time.Unix(n, nanos).In(location)
	return t, t, true
}

// last returns the last instant of a time that begins at t. A fraction of a second is one
// instant.
func (l layout) last(t time.Time) time.Time {
	if t.Nanosecond() != 0 {
		return t
	}
	return t.Add(l.lasts - 1)
}

// lastOf returns the last instant of a day, which may have 23 or 25 hours.
func lastOf(day time.Time) time.Time { return day.AddDate(0, 0, 1).Add(-1) }

func parseRelative(text string, now time.Time) (first, last time.Time, ok bool) {
	if text == "now" {
		return now, now, true
	}
	if amount, ok := strings.CutSuffix(text, " ago"); ok {
		t, ok := ago(amount, now)
		return t, t, ok
	}
	if unit, ok := strings.CutPrefix(text, "last "); ok && !strings.ContainsAny(unit, "0123456789") {
		t, ok := ago("a "+unit, now)
		return t, now, ok
	}
	if t, ok := ago(strings.TrimPrefix(strings.TrimPrefix(text, "last "), "-"), now); ok {
		return t, t, true
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
			return first, last, false
		}
	}
	year, month, date := now.Date()
	if clock == "" {
		first = time.Date(year, month, date-back, 0, 0, 0, 0, now.Location())
		return first, lastOf(first), true
	}
	for _, form := range clocks {
		if t, err := time.Parse(form.text, clock); err == nil {
			first = time.Date(year, month, date-back, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location())
			return first, form.last(first), true
		}
	}
	return first, last, false
}

// ago parses "2 hours", "an hour", "90m" or "1h30m", and goes back by that much.
func ago(amount string, now time.Time) (time.Time, bool) {
	if d, err := time.ParseDuration(strings.ReplaceAll(amount, " ", "")); err == nil && d >= 0 {
		return now.Add(-d), true
	}
	number, unit, ok := strings.Cut(amount, " ")
	if !ok {
		unit = strings.TrimLeft(amount, "0123456789")
		number = strings.TrimSuffix(amount, unit)
	}
	n, err := strconv.ParseUint(number, 10, 20) // more hours would not fit in a Duration
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
		return monthsAgo(now, count), true
	case "year", "y":
		return monthsAgo(now, 12*count), true
	}
	return time.Time{}, false
}

// monthsAgo goes back by months, to the last day if that month is shorter.
func monthsAgo(now time.Time, months int) time.Time {
	t := now.AddDate(0, -months, 0)
	if t.Day() != now.Day() { // AddDate takes the 31st of a month with 30 days for the 1st of the next
		t = t.AddDate(0, 0, -t.Day())
	}
	return t
}
