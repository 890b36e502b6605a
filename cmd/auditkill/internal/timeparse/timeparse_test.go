// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeparse

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Date(2026, 3, 31, 12, 30, 45, 0, berlin)
	at := func(month time.Month, day, hour, minute, second int) time.Time {
		return time.Date(2026, month, day, hour, minute, second, 0, berlin)
	}
	for text, want := range map[string]time.Time{
		"now":                       now,
		"2 hours ago":               at(3, 31, 10, 30, 45),
		" 2  Hours  AGO ":           at(3, 31, 10, 30, 45),
		"1 hour ago":                at(3, 31, 11, 30, 45),
		"an hour ago":               at(3, 31, 11, 30, 45),
		"a minute ago":              at(3, 31, 12, 29, 45),
		"90m ago":                   at(3, 31, 11, 0, 45),
		"1h30m ago":                 at(3, 31, 11, 0, 45),
		"1h 30m ago":                at(3, 31, 11, 0, 45),
		"45 sec ago":                at(3, 31, 12, 30, 0),
		"3 days ago":                at(3, 28, 12, 30, 45), // over the change to summer time: the same clock
		"3d ago":                    at(3, 28, 12, 30, 45),
		"2 weeks ago":               at(3, 17, 12, 30, 45),
		"2w ago":                    at(3, 17, 12, 30, 45),
		"2 months ago":              at(1, 31, 12, 30, 45),
		"1 month ago":               at(2, 28, 12, 30, 45),
		"70000 minutes ago":         now.Add(-70000 * time.Minute),
		"03:15:20.5":                at(3, 31, 3, 15, 20).Add(time.Second / 2),
		"1 year ago":                time.Date(2025, 3, 31, 12, 30, 45, 0, berlin),
		"today":                     at(3, 31, 0, 0, 0),
		"yesterday":                 at(3, 30, 0, 0, 0),
		"Yesterday 22:00":           at(3, 30, 22, 0, 0),
		"today 03:15:20":            at(3, 31, 3, 15, 20),
		"03:15":                     at(3, 31, 3, 15, 0),
		"3:15":                      at(3, 31, 3, 15, 0),
		"2026-03-22":                at(3, 22, 0, 0, 0),
		"2026-03-22 03:15":          at(3, 22, 3, 15, 0),
		"2026-03-22T03:15":          at(3, 22, 3, 15, 0),
		"2026-03-22 03:15:07":       at(3, 22, 3, 15, 7),
		"2026-03-22T03:15:07Z":      time.Date(2026, 3, 22, 3, 15, 7, 0, time.UTC),
		"2026-03-22T03:15:07+02:00": time.Date(2026, 3, 22, 1, 15, 7, 0, time.UTC),
		"@1700000000":               time.Unix(1700000000, 0),
		"1700000000":                time.Unix(1700000000, 0),
		"1700000000.123":            time.UnixMilli(1700000000123),
		"1700000000123":             time.UnixMilli(1700000000123),
		"2 hours":                   at(3, 31, 10, 30, 45),
		"5m":                        at(3, 31, 12, 25, 45),
		"-2h":                       at(3, 31, 10, 30, 45),
		"- 2h":                      at(3, 31, 10, 30, 45),
		"1h30m":                     at(3, 31, 11, 0, 45),
		"last week":                 at(3, 24, 12, 30, 45),
		"last hour":                 at(3, 31, 11, 30, 45),
		"last 2 hours":              at(3, 31, 10, 30, 45),
		"last day":                  at(3, 30, 12, 30, 45),
		"2026/03/22":                at(3, 22, 0, 0, 0),
		"2026/03/22 03:15":          at(3, 22, 3, 15, 0),
		"03/22/2026":                at(3, 22, 0, 0, 0),
		"22/3/2026 03:15:07":        at(3, 22, 3, 15, 7),
		"3/3/2026":                  at(3, 3, 0, 0, 0),
	} {
		got, last, err := Parse(text, now)
		require.NoError(t, err, text)
		assert.False(t, last.Before(got), text)
		assert.True(t, want.Equal(got), "%q: %v, not %v", text, got, want)
	}
}

// What is written to the minute is all of that minute.
func TestParseLasts(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Date(2026, 10, 26, 12, 30, 45, 0, berlin)
	for text, want := range map[string]time.Duration{
		"now": 0, "2 hours ago": 0, "03:15": time.Minute, "03:15:20": time.Second, "yesterday 03:15": time.Minute,
		"today": 24 * time.Hour, "yesterday": 25 * time.Hour, "2026-10-25": 25 * time.Hour, "2026-10-25 03:15": time.Minute,
		"last hour": time.Hour + 1, "2 hours": 0, "1700000000": time.Second, "1700000000.5": 0, "1700000000123": time.Millisecond,
		"2026/10/25": 25 * time.Hour, "10/25/2026 03:15": time.Minute,
		"2026-10-25T03:15:07": time.Second, "2026-10-25T03:15:07Z": time.Second, "2026-10-25T03:15:07.5Z": 0, "@1700000000": time.Second,
	} {
		first, last, err := Parse(text, now)
		require.NoError(t, err, text)
		assert.Equal(t, max(0, want-1), last.Sub(first), text)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "ago", " ago", "two hours ago", "2 fortnights ago", "-2 hours ago", "-2h ago", "tomorrow", "2", "-", "last", "last 5", "last mysqld", "17000000", "1700000000123.5", "--2h", "25:00", "03:75",
		"yesterday evening", "2026-13-01", "2026-02-30", "22.11.2026", "31/02/2026", "13/13/2026", "@", "@-1", "@1e9", "@99999999999999999999", "99999999999 days ago",
	} {
		_, _, err := Parse(text, time.Now())
		require.Error(t, err, text)
		assert.ErrorContains(t, err, "2 hours ago", text)
	}
}

func TestParseRefusesWhatMayBeTwoDays(t *testing.T) {
	t.Parallel()
	_, _, err := Parse("11/12/2026 03:15", time.Now())
	assert.EqualError(t, err, `"11/12/2026 03:15" may be in month 11 or 12: write 2026/11/12 or 2026/12/11`)
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{"2 hours ago", "yesterday 22:00", "03:15", "2026-11-22 03:15", "@1700000000", "1h30m ago"} {
		f.Add(text)
	}
	now := time.Date(2026, 11, 22, 3, 15, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		first, last, err := Parse(text, now)
		if err != nil {
			assert.True(t, first.IsZero())
		}
		assert.False(t, last.Before(first))
	})
}
