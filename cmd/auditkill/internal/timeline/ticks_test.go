// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTicks has room for twelve labels.
func TestTicks(t *testing.T) {
	t.Parallel()
	kathmandu, saoPaulo := location("Asia/Kathmandu"), location("America/Sao_Paulo")
	at := func(l *time.Location, text string) time.Time {
		parsed, err := time.ParseInLocation("2006-01-02 15:04:05.999", text, l)
		require.NoError(t, err)
		return parsed
	}
	tests := map[string]struct {
		location *time.Location
		from, to string
		context  string
		want     string // labels, with what they begin after a slash
	}{
		"milliseconds": {
			berlin, "2025-09-17 11:59:59.997", "2025-09-17 12:00:00.003", "Wed 17 Sep",
			"11:59:59.997 11:59:59.998 11:59:59.999 12:00:00.000 12:00:00.001 12:00:00.002 12:00:00.003",
		},
		"a second": {
			berlin, "2025-09-17 11:59:59.600", "2025-09-17 12:00:00.600", "Wed 17 Sep",
			"11:59:59.600 11:59:59.700 11:59:59.800 11:59:59.900 12:00:00.000 12:00:00.100 12:00:00.200 12:00:00.300 12:00:00.400 12:00:00.500 12:00:00.600",
		},
		"a minute around midnight": {
			berlin, "2025-09-17 23:59:33", "2025-09-18 00:00:27", "Wed 17 Sep",
			"23:59:35 23:59:40 23:59:45 23:59:50 23:59:55 00:00:00/Thu 18 Sep 00:00:05 00:00:10 00:00:15 00:00:20 00:00:25",
		},
		"an hour": {
			berlin, "2025-09-17 02:03:00", "2025-09-17 03:01:00", "Wed 17 Sep",
			"02:05 02:10 02:15 02:20 02:25 02:30 02:35 02:40 02:45 02:50 02:55 03:00",
		},
		"a day": {
			berlin, "2025-09-17 02:03:00", "2025-09-18 02:01:00", "Wed 17 Sep",
			"04:00 06:00 08:00 10:00 12:00 14:00 16:00 18:00 20:00 22:00 00:00/Thu 18 Sep 02:00",
		},
		"a day where the offset is 5:45": {
			kathmandu, "2025-09-17 02:03:00", "2025-09-18 02:01:00", "Wed 17 Sep",
			"04:00 06:00 08:00 10:00 12:00 14:00 16:00 18:00 20:00 22:00 00:00/Thu 18 Sep 02:00",
		},
		"the night of summer time": {
			berlin, "2025-03-29 23:00:00", "2025-03-30 06:00:00", "Sat 29 Mar",
			"23:00 00:00/Sun 30 Mar 01:00 03:00 04:00 05:00 06:00",
		},
		"the night of winter time": {
			berlin, "2025-10-25 23:00:00", "2025-10-26 06:00:00", "Sat 25 Oct",
			"23:00 00:00/Sun 26 Oct 01:00 02:00 02:00 03:00 04:00 05:00 06:00",
		},
		"a week with summer time": {
			berlin, "2025-03-27 12:00:00", "2025-04-02 12:00:00", "March 2025",
			"Fri 28 Sat 29 Sun 30 Mon 31 Tue 1/April 2025 Wed 2",
		},
		"a day without midnight": {
			saoPaulo, "2018-11-01 00:00:00", "2018-11-05 12:00:00", "Thu 1 Nov",
			"00:00 12:00 00:00/Fri 2 Nov 12:00 00:00/Sat 3 Nov 12:00 12:00/Sun 4 Nov 00:00/Mon 5 Nov 12:00",
		},
		"days without midnight among them": {
			saoPaulo, "2018-10-28 00:00:00", "2018-11-07 12:00:00", "October 2018",
			"Sun 28 Mon 29 Tue 30 Wed 31 Thu 1/November 2018 Fri 2 Sat 3 Sun 4 Mon 5 Tue 6 Wed 7",
		},
		"weeks begin on Monday": {
			berlin, "2025-08-17 00:00:00", "2025-10-01 00:00:00", "2025",
			"18 Aug 25 Aug 1 Sep 8 Sep 15 Sep 22 Sep 29 Sep",
		},
		"a year": {
			berlin, "2024-11-05 03:00:00", "2025-10-31 03:00:00", "2024",
			"December January/2025 February March April May June July August September October",
		},
		"years": {
			berlin, "2020-02-01 00:00:00", "2025-10-01 00:00:00", "2020",
			"Jul Jan/2021 Jul Jan/2022 Jul Jan/2023 Jul Jan/2024 Jul Jan/2025 Jul",
		},
		"all of time": {
			time.UTC, "1970-01-01 00:00:00", "9999-12-31 23:59:59", "",
			"2000 3000 4000 5000 6000 7000 8000 9000",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines, context := ticks(at(test.location, test.from), at(test.location, test.to),
				func(lines []tick) bool { return len(lines) <= 12 })
			var got []string
			for i, line := range lines {
				text := line.label
				if line.context != "" {
					text += "/" + line.context
				}
				got = append(got, text)
				if i > 0 {
					assert.True(t, line.time.After(lines[i-1].time), "%v follows %v", line.time, lines[i-1].time)
				}
			}
			assert.Equal(t, test.want, strings.Join(got, " "))
			assert.Equal(t, test.context, context)
		})
	}
}

// TestTicksWhereOffsetsAreOdd has the last country whose time differed by no multiple of 15
// minutes, when it changed to one that does.
func TestTicksWhereOffsetsAreOdd(t *testing.T) {
	t.Parallel()
	from := time.Date(1972, 1, 6, 22, 0, 0, 0, location("Africa/Monrovia"))
	lines, _ := ticks(from, from.Add(6*time.Hour), func(lines []tick) bool { return len(lines) <= 12 })
	require.NotEmpty(t, lines)
	for _, line := range lines {
		assert.Equal(t, "00", line.time.Format("05"))
	}
}
