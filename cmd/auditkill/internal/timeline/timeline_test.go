// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2025, 9, 17, 12, 0, 0, 0, time.UTC)

func TestLanes(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		senders  int
		lanes    int
		lastName string
		others   int
	}{
		"one":                  {1, 1, "sender-0000", 0},
		"as many as are drawn": {20, 20, "sender-0019", 0},
		"one too many":         {21, 20, "", 2},
		"many":                 {100, 20, "", 81},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeline := New("", time.UTC)
			// The first is the busiest.
			for sender := range test.senders {
				for i := range 200 - sender {
					timeline.Add(Mark{noon.Add(time.Duration(i) * time.Second), fmt.Sprintf("sender-%04d", sender), "", "SIGKILL", Delivered})
				}
			}
			lanes, others := timeline.drawn()
			require.Len(t, lanes, test.lanes)
			assert.Equal(t, "sender-0000", lanes[0].name)
			assert.Equal(t, test.lastName, lanes[len(lanes)-1].name)
			assert.Equal(t, test.others, others)
			var sum int64
			for _, l := range lanes {
				sum += l.count
			}
			assert.Equal(t, timeline.count, sum, "each kill is in one lane")
		})
	}
}

func TestLatecomersGetALane(t *testing.T) {
	t.Parallel()
	timeline := New("", time.UTC)
	for i := range 5000 {
		timeline.Add(Mark{noon.Add(time.Duration(i) * time.Second), fmt.Sprintf("early-%04d", i), "", "SIGTERM", Delivered})
	}
	for i := range 100 {
		timeline.Add(Mark{noon.Add(time.Duration(5000+i) * time.Second), "late", "", "SIGKILL", Delivered})
	}
	lanes, others := timeline.drawn()
	require.Len(t, lanes, maxLanes)
	assert.Equal(t, "late", lanes[0].name)
	assert.InDelta(t, 100, lanes[0].count, 5, "what came before it had a lane is with the others")
	assert.Equal(t, timeline.count-lanes[0].count-18, lanes[19].count)
	assert.InEpsilon(t, 5001-19, others, 0.03)
	assert.Contains(t, timeline.summary(), "5,100 signals by about 5,0")
	assert.Contains(t, texts(t, timeline), "≥ "+number(lanes[0].count))
}

// TestSendersAreNoLanes counts who sent, not to how many.
func TestSendersAreNoLanes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		senders, targets int
		want             string
	}{
		"few senders of many targets":   {2, 30, "60 signals by 2 senders,"},
		"one of more than have a lane":  {1, 200, "200 signals by 1 sender,"},
		"as many as are counted":        {maxDistinct, 1, "128 signals by 128 senders,"},
		"more than are counted exactly": {300, 1, "300 signals by about 300 senders,"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeline := New("", time.UTC)
			for _, sender := range senders(test.senders) {
				for i := range test.targets {
					timeline.Add(Mark{noon, sender, fmt.Sprintf("target-%d", i), "SIGKILL", Delivered})
				}
			}
			assert.Contains(t, timeline.summary(), test.want)
		})
	}
}

// TestSendersOfOneRankKeepTheirLanes has kills by many in turn: none may lose what it has to
// another that is no busier.
func TestSendersOfOneRankKeepTheirLanes(t *testing.T) {
	t.Parallel()
	timeline := New("", time.UTC)
	names := senders(1000)
	for i := range 20 * len(names) {
		timeline.Add(Mark{noon.Add(time.Duration(i) * time.Second), names[i%len(names)], "", "SIGTERM", Delivered})
	}
	require.Len(t, timeline.lanes, maxPairs)
	for _, l := range timeline.lanes {
		assert.EqualValues(t, 20, l.count, l.name)
		assert.Zero(t, l.before)
	}
}

func TestALaneForgetsItsSender(t *testing.T) {
	t.Parallel()
	l, others := &lane{}, &lane{}
	for b := range int64(100) {
		l.add(b, kind{signal: sigkill, result: Result(b % 3)})
	}
	others.takeOver(l)
	l.add(50, kind{signal: sigterm})
	assert.Equal(t, []signal{sigterm}, l.rows())
	assert.Equal(t, []signal{sigkill}, others.rows())
	assert.EqualValues(t, 1, l.count)
	assert.EqualValues(t, 100, others.count)
	assert.Zero(t, l.at(kind{}.index(), 51))
	assert.EqualValues(t, 1, others.at(kind{}.index(), 51))
}

// TestEveryKillIsInItsPlace compares the buckets with a plain list of times, whatever the
// order that the times come in.
func TestEveryKillIsInItsPlace(t *testing.T) {
	t.Parallel()
	orders := map[string]func(i int) int{
		"oldest first": func(i int) int { return i },
		"newest first": func(i int) int { return 9999 - i },
		"both ends":    func(i int) int { return []int{5000 + i/2, 4999 - i/2}[i%2] },
		"scattered":    func(i int) int { return i * 7919 % 10000 },
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeline := New("", time.UTC)
			want := map[int64]int{}
			times := make([]int64, 10000)
			for i := range times {
				at := noon.Add(time.Duration(order(i)) * 12345 * time.Millisecond)
				times[i] = at.UnixMilli()
				timeline.Add(Mark{at, "sender", "", "SIGKILL", Result(i % int(results))})
			}
			for _, at := range times {
				want[timeline.grid.bucket(at)]++
			}
			l := timeline.lanes[0]
			assert.Less(t, l.hi-l.lo, int64(slots))
			assert.GreaterOrEqual(t, l.hi-l.lo, int64(slots/2)-1, "no coarser than needed")
			got := map[int64]int{}
			for b := l.lo; b <= l.hi; b++ {
				for _, k := range sigkill.each() {
					if n := int(l.at(k.index(), b)); n > 0 {
						got[b] += n
					}
				}
			}
			assert.Equal(t, want, got)
			first, last := timeline.times()
			assert.Equal(t, noon, first)
			assert.Equal(t, noon.Add(9999*12345*time.Millisecond), last)
		})
	}
}

func TestManyKillsAtOnceAreNotForgotten(t *testing.T) {
	t.Parallel()
	timeline := New("", time.UTC)
	for range 100_000 {
		timeline.Add(Mark{noon, "sender", "", "SIGKILL", Delivered})
	}
	assert.EqualValues(t, 65535, timeline.lanes[0].at(0, timeline.grid.lo), "a slot overflowed")
	assert.EqualValues(t, 100_000, timeline.lanes[0].count)
}

func TestTimesThatAreNone(t *testing.T) {
	t.Parallel()
	timeline := New("", time.UTC)
	for name, at := range map[string]time.Time{
		"none":          {},
		"before 1970":   time.Unix(-1, 0),
		"after 9999":    time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		"a damaged one": time.Unix(1<<60, 0),
	} {
		timeline.Add(Mark{Time: at, Sender: name, Signal: "SIGKILL"})
	}
	assert.Zero(t, timeline.count)
	timeline.Add(Mark{Time: time.Unix(0, 0), Sender: "the first of all", Signal: "SIGKILL"})
	timeline.Add(Mark{Time: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), Sender: "the last of all", Signal: "SIGKILL"})
	assert.EqualValues(t, 2, timeline.count)
}

// TestMemoryIsBounded adds what a log of 1 GB may hold at most, by more senders than there is
// room for, of each kind.
func TestMemoryIsBounded(t *testing.T) {
	before := heap()
	timeline := New("", time.UTC)
	names := senders(20_000)
	for i := range 1_000_000 {
		timeline.Add(Mark{
			noon.Add(time.Duration(i) * time.Minute), names[i*7919%len(names)], "",
			[]string{"SIGKILL", "SIGTERM", "SIGHUP"}[i%3], Result(i % int(results)),
		})
	}
	grown := int64(heap() - before)
	t.Logf("%d kB", grown/1000)
	assert.Less(t, grown, int64(4<<20))
	assert.Len(t, timeline.lanes, maxPairs)
	assert.Len(t, timeline.byName, maxPairs)
	runtime.KeepAlive(names)
}

func TestLongNamesAreNotKept(t *testing.T) {
	before := heap()
	timeline := New("", time.UTC)
	for i := range maxPairs {
		buffer := strconv.Itoa(i) + strings.Repeat("x", 1<<20)
		timeline.Add(Mark{noon, buffer, "", buffer, Delivered})
		timeline.Add(Mark{noon, buffer[:10], "", buffer[:10], Delivered})
	}
	assert.Less(t, int64(heap()-before), int64(2<<20))
	assert.Len(t, timeline.otherSignals, maxOtherSignals+1)
	runtime.KeepAlive(timeline)
}

func TestAddDoesNotAllocate(t *testing.T) {
	timeline := New("", time.UTC)
	names := senders(5000)
	i := 0
	add := func() {
		timeline.Add(Mark{noon.Add(time.Duration(i) * time.Millisecond), names[i%len(names)], "", "SIGHUP", Delivered})
		i++
	}
	for range 10_000 {
		add()
	}
	assert.Zero(t, testing.AllocsPerRun(1000, add))
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func senders(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("/opt/batch/job-%05d", i)
	}
	return names
}

func TestShorten(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text  string
		limit int
		want  string
	}{
		"fits":             {"abc", 3, "abc"},
		"cut":              {"abcdefghij", 7, "ab…ij"},
		"odd":              {"abcdefghij", 8, "ab…hij"},
		"letters of three": {"ぷろせすぷろせす", 11, "ぷ…す"},
		"hardly any room":  {"abcdefghij", 3, "…"},
		"not UTF-8":        {"\x80\x80\x80\x80\x80\x80\x80\x80", 7, "…"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := shorten(test.text, test.limit)
			assert.Equal(t, test.want, got)
			assert.LessOrEqual(t, len(got), test.limit)
			assert.True(t, utf8.ValidString(got))
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{10, 256, 5000} {
		b.Run(fmt.Sprintf("senders=%d", n), func(b *testing.B) {
			names := senders(n)
			timeline := New("", time.UTC)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				timeline.Add(Mark{noon.Add(time.Duration(i) * time.Millisecond), names[i*7919%n], "", "SIGTERM", Delivered})
			}
		})
	}
}
