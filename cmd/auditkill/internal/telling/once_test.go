// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telling

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var start = time.Date(2026, 11, 28, 3, 15, 0, 0, time.UTC)

// told is a SIGKILL of process 7 to some others.
func told(milliseconds int, record *plog.LogRecord, targets ...int) Telling {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: start.Add(time.Duration(milliseconds) * time.Millisecond), Signal: kill.SIGKILL, SignalKnown: true,
		Sender: kill.Process{PID: 7},
	}
	for _, pid := range targets {
		e.AddTarget().PID = pid
	}
	return Telling{Event: e, Record: record}
}

func TestOnce(t *testing.T) {
	t.Parallel()
	record := plog.NewLogRecord()
	other := func(t Telling, change func(*Telling)) Telling {
		change(&t)
		return t
	}
	for name, tc := range map[string]struct {
		tellings []Telling
		want     []string
	}{
		"none":                      {nil, nil},
		"the log after the record":  {[]Telling{told(0, &record, 1), told(9, nil, 1)}, []string{"recorded 1"}},
		"the log before the record": {[]Telling{told(0, nil, 1), told(9, &record, 1)}, []string{"recorded 1"}},
		"too far apart":             {[]Telling{told(0, nil, 1), told(51, &record, 1)}, []string{"1", "recorded 1"}},
		"twice in each": {
			[]Telling{told(0, nil, 1), told(1, nil, 1), told(2, &record, 1), told(3, &record, 1)}, []string{"recorded 1", "recorded 1"},
		},
		"twice in the log": {[]Telling{told(0, nil, 1), told(1, nil, 1), told(2, &record, 1)}, []string{"1", "recorded 1"}},
		"only in the log":  {[]Telling{told(0, nil, 1), told(1, nil, 1)}, []string{"1", "1"}},
		"several targets": {
			[]Telling{told(0, nil, 1, 2, 3), told(1, &record, 1), told(1, &record, 3)}, []string{"2", "recorded 1", "recorded 3"},
		},
		"all of several targets": {
			[]Telling{told(0, &record, 1), told(0, &record, 2), told(1, nil, 1, 2)}, []string{"recorded 1", "recorded 2"},
		},
		"without a target": {[]Telling{told(0, nil), told(1, &record)}, []string{"recorded"}},
		"another signal": {
			[]Telling{told(0, &record, 1), other(told(1, nil, 1), func(t *Telling) { t.Signal = kill.SIGTERM })}, []string{"recorded 1", "1"},
		},
		"another sender": {
			[]Telling{told(0, &record, 1), other(told(1, nil, 1), func(t *Telling) { t.Sender.PID = 8 })}, []string{"recorded 1", "1"},
		},
		"another host": {[]Telling{
			other(told(0, &record, 1), func(t *Telling) { t.Host = "db1" }), other(told(1, nil, 1), func(t *Telling) { t.Host = "db2" }),
		}, []string{"recorded 1", "1"}},
		"the same host": {[]Telling{
			other(told(0, &record, 1), func(t *Telling) { t.Host = "db1.example.com" }), other(told(1, nil, 1), func(t *Telling) { t.Host = "db1" }),
		}, []string{"recorded 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for each := range Once(slices.Values(tc.tellings)) {
				text := ""
				if each.recorded() {
					text = "recorded"
				}
				for i := range each.Targets {
					if text != "" {
						text += " "
					}
					text += strconv.Itoa(each.Targets[i].PID)
				}
				got = append(got, text)
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

// However many there are, only so many are held.
func TestOnceIsBounded(t *testing.T) {
	t.Parallel()
	count := 0
	for range Once(slices.Values(slices.Repeat([]Telling{told(0, nil, 1)}, 2*maxHeld))) {
		count++
	}
	assert.Equal(t, 2*maxHeld, count)
	for range Once(slices.Values([]Telling{told(0, nil, 1), told(99, nil, 1)})) {
		break
	}
}

// Of signals that a collector has recorded as one, the other log has each, whichever comes first.
func TestOnceOfJoinedSignals(t *testing.T) {
	t.Parallel()
	record := plog.NewLogRecord()
	sum := told(1, &record, 5)
	sum.Count, sum.LastTime = 3, start.Add(900*time.Millisecond)
	all := []Telling{told(0, nil, 5), sum, told(400, nil, 5), told(900, nil, 5), told(905, nil, 5), told(2000, nil, 5), told(400, nil, 6)}
	slices.SortStableFunc(all, func(a, b Telling) int { return a.Time.Compare(b.Time) })
	signals := map[int]int{}
	for one := range Once(slices.Values(all)) {
		signals[one.Targets[0].PID] += one.Signals()
	}
	assert.Equal(t, map[int]int{5: 3 + 2, 6: 1}, signals, "three in the sum, two that are in no sum")
}
