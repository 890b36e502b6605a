// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import "time"

// tick is a line of the grid, with its label below.
type tick struct {
	time  time.Time
	label string
	// context is what the labels from here on are part of, such as the day of an hour. It
	// is empty if nothing changes.
	context string
}

// scale is a way to divide the time axis.
type scale struct {
	// next returns the first round time after t.
	next func(t time.Time) time.Time
	// label and context are layouts of package time.
	label, context string
}

// scales are the ways to divide the time axis, from the finest to the coarsest. Hours are
// those of the wall clock, so that they stay round when the clock changes for summer.
func scales() []scale {
	const date = "Mon 2 Jan"
	var all []scale
	for _, d := range []time.Duration{1, 2, 5, 10, 20, 50, 100, 200, 500} {
		all = append(all, scale{clock(d * time.Millisecond), "15:04:05.000", date})
	}
	for _, d := range []time.Duration{1, 2, 5, 10, 15, 30} {
		all = append(all, scale{clock(d * time.Second), "15:04:05", date})
	}
	for _, d := range []time.Duration{1, 2, 5, 10, 15, 30, 60, 2 * 60, 3 * 60, 6 * 60, 12 * 60} {
		all = append(all, scale{clock(d * time.Minute), "15:04", date})
	}
	all = append(all,
		scale{days, "Mon 2", "January 2006"},
		scale{days, "2", "January 2006"},
		scale{weeks, "2 Jan", "2006"},
		scale{months(1), "January", "2006"},
		scale{months(1), "Jan", "2006"},
		scale{months(3), "Jan", "2006"},
		scale{months(6), "Jan", "2006"},
	)
	for _, years := range []int{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000} {
		all = append(all, scale{months(12 * years), "2006", ""})
	}
	return all
}

// clock returns the next for steps of at most a day that divide a day.
func clock(step time.Duration) func(time.Time) time.Time {
	// What time zones differ by, and what clocks change by, is a multiple of 15 minutes.
	stride := min(step, 15*time.Minute)
	return func(t time.Time) time.Time {
		for {
			t = t.Add(stride - sinceMidnight(t)%stride)
			if sinceMidnight(t)%step == 0 {
				return t
			}
		}
	}
}

// sinceMidnight returns what the wall clock shows.
func sinceMidnight(t time.Time) time.Duration {
	hour, minute, second := t.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute +
		time.Duration(second)*time.Second + time.Duration(t.Nanosecond())
}

// days returns the next midnight.
func days(t time.Time) time.Time {
	year, month, day := t.Date()
	return midnight(year, month, day+1, t.Location())
}

// weeks returns the midnight before the next Monday.
func weeks(t time.Time) time.Time {
	year, month, day := t.Date()
	return midnight(year, month, day+7-(int(t.Weekday())+6)%7, t.Location())
}

// months returns the next for steps of n months that begin with a year.
func months(n int) func(time.Time) time.Time {
	return func(t time.Time) time.Time {
		sinceZero := 12*t.Year() + int(t.Month()) - 1
		next := sinceZero - sinceZero%n + n
		return midnight(next/12, time.Month(next%12+1), 1, t.Location())
	}
}

// midnight returns the beginning of a day, which is an hour later where the clock changes at
// midnight.
func midnight(year int, month time.Month, day int, location *time.Location) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, location)
	if t.Hour() > 12 {
		t = t.Add(time.Hour)
	}
	return t
}

// ticks returns the lines of the grid from one time to another: as many as fits accepts.
func ticks(from, to time.Time, fits func([]tick) bool) (lines []tick, context string) {
	for _, s := range scales() {
		lines, context = s.ticks(from, to), from.Format(s.context)
		if len(lines) <= maxTicks && fits(lines) {
			break
		}
	}
	return lines, context
}

// maxTicks is more than any drawing has room for.
const maxTicks = 100

// ticks returns the lines of a scale, and no more than one beyond maxTicks.
func (s scale) ticks(from, to time.Time) []tick {
	var all []tick
	context := from.Format(s.context)
	for t := s.next(from.Add(-1)); !t.After(to) && len(all) <= maxTicks; t = s.next(t) {
		next := tick{time: t, label: t.Format(s.label)}
		if c := t.Format(s.context); c != context {
			next.context, context = c, c
		}
		all = append(all, next)
	}
	return all
}
