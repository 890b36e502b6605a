// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// printed are the rows that a printer got: TARGET PID RESULT.
type printed struct {
	rows []string
	err  error
}

func (p *printed) Begin() error { return nil }

func (p *printed) Print(e Entry) error {
	p.rows = append(p.rows, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.TargetName(), e.TargetPID(), e.Result())))
	return p.err
}

func (p *printed) Flush() error { return p.err }

// to is an entry of a signal to a process.
func to(name string, pid int, edit ...func(*kill.Event)) Entry {
	return only(event(func(e *kill.Event) {
		e.Targets = []kill.Process{{PID: pid, Command: name}}
		for _, f := range edit {
			f(e)
		}
	}))
}

func ended(after time.Duration, verdict kill.Verdict) func(*kill.Event) {
	return func(e *kill.Event) {
		e.Kind, e.Time = kill.KindOutcome, at.Add(after)
		e.Outcome = &kill.Outcome{Began: at, Verdict: verdict, Exit: kill.Exit{Known: true, Status: 9}}
	}
}

func idle(e *kill.Event) { e.Delivery = kill.DeliveryIgnored }

func otherSender(e *kill.Event) { e.Sender.PID++ }

func TestJoined(t *testing.T) {
	t.Parallel()
	group := make([]Entry, 0, 41)
	for n := range 41 {
		group = append(group, to("mysqld", 100+n))
	}
	for name, tt := range map[string]struct {
		entries []Entry
		want    []string
	}{
		"one":                     {group[:1], []string{"mysqld 100 ok"}},
		"a group of 41":           {group, []string{"mysqld ×41  ok"}},
		"two":                     {group[:2], []string{"mysqld 100 ok", "mysqld 101 ok"}},
		"of different names":      {append(group[:2:2], to("nginx", 1)), []string{"3 processes  ok"}},
		"of different senders":    {append(group[:3:3], to("mysqld", 1, otherSender)), []string{"mysqld ×3  ok", "mysqld 1 ok"}},
		"one of which was ending": {append(group[:2:2], to("mysqld", 1, idle)), []string{"mysqld ×3  2 ok, 1 no effect"}},
		"their ends": {
			[]Entry{
				to("mysqld", 1, ended(time.Second, kill.VerdictKilled)), to("mysqld", 2, ended(3*time.Second, kill.VerdictKilled)),
				to("mysqld", 4, ended(2*time.Second, kill.VerdictKilled)),
				to("mysqld", 3, ended(2*time.Second, kill.VerdictExited)),
			},
			[]string{"mysqld ×3  gone within 3.0 s, by SIGKILL", "mysqld 3 gone after 2.0 s, exit code 0"},
		},
		"one for many signals": {append(group[:1:1], to("mysqld", 1, func(e *kill.Event) { e.Count = 7 })), []string{"mysqld 100 ok", "mysqld 1 ok"}},
		"no target":            {[]Entry{{Event: event(nil)}, {Event: event(nil)}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &printed{}
			j := NewJoined(out, redact.Redacted)
			for _, e := range tt.entries {
				require.NoError(t, j.Print(e))
			}
			assert.Empty(t, out.rows, "more may come")
			require.NoError(t, j.Flush())
			if tt.want == nil {
				assert.Len(t, out.rows, len(tt.entries))
				return
			}
			assert.Equal(t, tt.want, out.rows)
		})
	}
}

// Rows are printed once nothing has come for a moment, and a sweep that goes on for long in parts.
func TestJoinedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &printed{}
		j := NewJoined(out, redact.Redacted)
		require.NoError(t, j.Print(to("mysqld", 1)))
		time.Sleep(quiet + time.Millisecond)
		synctest.Wait()
		assert.Equal(t, []string{"mysqld 1 ok"}, out.rows)
		for n := range 100 {
			require.NoError(t, j.Print(to("mysqld", n)))
			time.Sleep(quiet/2 - time.Microsecond) // nothing happens at the instant at which a row is due
		}
		time.Sleep(quiet)
		synctest.Wait()
		assert.Equal(t, []string{"mysqld 1 ok", "mysqld ×41  ok", "mysqld ×41  ok", "mysqld ×18  ok"}, out.rows)
		require.NoError(t, j.Flush())
	})
}

func TestJoinedIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // so that time stands still, on a busy machine as well
		out := &printed{}
		j := NewJoined(out, redact.Redacted)
		for n := range maxHeld {
			require.NoError(t, j.Print(to("mysqld", n, func(e *kill.Event) { e.Sender.PID = n + 1 })))
		}
		assert.Len(t, out.rows, maxHeld)
		j = NewJoined(out, redact.Redacted)
		results := []kill.Delivery{kill.DeliveryUnknown, kill.DeliveryIgnored, kill.DeliveryPending, kill.DeliveryOverflow}
		out.rows = nil
		for n := range 40 {
			require.NoError(t, j.Print(to("mysqld", n, func(e *kill.Event) { e.Delivery = results[n%4] })))
		}
		require.NoError(t, j.Flush())
		require.Equal(t, []string{"mysqld ×40  10 ok, 10 no effect, 20 others"}, out.rows)
	})
}

// An error that happens while time passes is returned with the next row.
func TestJoinedFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no space left on device")
		j := NewJoined(&printed{err: broken}, redact.Redacted)
		require.NoError(t, j.Print(to("mysqld", 1)))
		time.Sleep(2 * quiet)
		synctest.Wait()
		require.ErrorIs(t, j.Print(to("mysqld", 1)), broken)
		require.ErrorIs(t, j.Flush(), broken)
	})
}
