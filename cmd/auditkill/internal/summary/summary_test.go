// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package summary

import (
	"bytes"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var night = time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)

func entry(after time.Duration, sender, target string, signal kill.Signal, errno int) listing.Entry {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: night.Add(after), Signal: signal, SignalKnown: true, Origin: kill.OriginUser,
		Result: kill.Result{Known: true, Errno: errno},
		Sender: kill.Process{PID: 7, Command: sender, Login: kill.User{ID: kill.NewID(1000), Name: "alice"}},
	}
	if sender == "cron" {
		e.Sender.Login, e.Sender.Executable = kill.User{}, "/usr/sbin/cron"
	}
	e.AddTarget().Command = target
	return listing.Entries(e)[0]
}

func filled(by string) *Summary {
	s := New(by, time.UTC)
	for _, each := range []listing.Entry{
		entry(time.Hour, "kill", "mysqld", kill.SIGKILL, 0),
		entry(0, "kill", "nginx", kill.SIGTERM, 1),
		entry(2*time.Hour, "kill", "mysqld", kill.SIGTERM, 0),
		entry(90*time.Minute, "cron", "mysqld", kill.SIGTERM, 0),
	} {
		s.Add(each)
	}
	return s
}

func TestRows(t *testing.T) {
	t.Parallel()
	at := func(hours float64) time.Time { return night.Add(time.Duration(hours * float64(time.Hour))) }
	for by, want := range map[string][]Row{
		"sender": {{"kill", 3, 1, 0, at(0), at(2)}, {"/usr/sbin/cron", 1, 0, 0, at(1.5), at(1.5)}},
		"target": {{"mysqld", 3, 0, 0, at(1), at(2)}, {"nginx", 1, 1, 0, at(0), at(0)}},
		"signal": {{"SIGTERM", 3, 1, 0, at(0), at(2)}, {"SIGKILL", 1, 0, 0, at(1), at(1)}},
		"user":   {{"alice", 3, 1, 0, at(0), at(2)}, {"(no login)", 1, 0, 0, at(1.5), at(1.5)}},
		"hour": {
			{"2026-11-22 03:00 +00:00", 1, 1, 0, at(0), at(0)},
			{"2026-11-22 04:00 +00:00", 2, 0, 0, at(1), at(1.5)},
			{"2026-11-22 05:00 +00:00", 1, 0, 0, at(2), at(2)},
		},
	} {
		assert.Equal(t, want, filled(by).Rows(), by)
		require.NoError(t, Check(by))
	}
	assert.Equal(t, "sender, target, signal, user, address, requester, initiator, cause or hour", Choice())
	require.NoError(t, Check(""))
	require.ErrorContains(t, Check("weekday"), "weekday")
}

// TestRowsOfUnknownResult has kill(-1) report success, which one target need not have got.
func TestRowsOfUnknownResult(t *testing.T) {
	t.Parallel()
	s := New("target", time.UTC)
	e := entry(0, "kill", "mysqld", kill.SIGKILL, 0)
	e.Target.Result = &kill.Result{}
	s.Add(e)
	s.Add(entry(0, "kill", "mysqld", kill.SIGKILL, 1))
	s.Add(entry(0, "kill", "mysqld", kill.SIGKILL, 0))
	assert.Equal(t, []Row{{Name: "mysqld", Count: 3, Failed: 1, Unknown: 1, First: night, Last: night}}, s.Rows())
	var out bytes.Buffer
	require.NoError(t, s.Write(&out, listing.FormatTable, terminal.Terminal{}))
	assert.Equal(t, "COUNT  FAILED  UNKNOWN  FIRST                LAST                 TARGET\n"+
		"3      1       1        2026-11-22 03:00:00  2026-11-22 03:00:00  mysqld\n", out.String())
}

// Who is behind a signal has the same row whichever manager has sent it.
func TestRowsBehind(t *testing.T) {
	t.Parallel()
	type names struct{ known, none string }
	for by, want := range map[string]names{
		"user": {"bob", "alice"}, "address": {"10.0.0.5", "(no address)"}, "requester": {"/usr/bin/systemctl", "(no requester)"},
		"initiator": {"ansible", "(no initiator)"}, "cause": {"service_stop", "(no cause)"}, "sender": {"systemd", "kill"},
	} {
		s := New(by, time.UTC)
		s.Add(entry(0, "kill", "mysqld", kill.SIGKILL, 0))
		for range 2 {
			e := entry(0, "systemd", "mysqld", kill.SIGTERM, 0)
			e.Event.Cause, e.Event.Behind = kill.CauseServiceStop, &kill.Behind{
				Managed: true, User: kill.User{ID: kill.NewID(1001), Name: "bob"}, Session: &kill.Session{Address: "10.0.0.5"},
				Requester: &kill.Process{Executable: "/usr/bin/systemctl"}, Initiator: &kill.Ancestor{Command: "ansible"},
			}
			s.Add(e)
		}
		assert.Equal(t, []Row{{want.known, 2, 0, 0, night, night}, {want.none, 1, 0, 0, night, night}}, s.Rows(), by)
	}
}

// An hour that there is twice, when summer time ends, is two.
func TestHoursOfTheClockSetBack(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	s := New("hour", berlin)
	change := time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC).Sub(night)
	s.Add(entry(change, "kill", "mysqld", kill.SIGKILL, 0))
	s.Add(entry(change+time.Hour, "kill", "mysqld", kill.SIGKILL, 0))
	rows := s.Rows()
	require.Len(t, rows, 2)
	assert.Equal(t, "2026-10-25 02:00 +02:00", rows[0].Name)
	assert.Equal(t, "2026-10-25 02:00 +01:00", rows[1].Name)
}

// However many names processes take, a summary remembers a limited number.
func TestBounded(t *testing.T) {
	t.Parallel()
	s := New("target", time.UTC)
	for i := range maxRows + 1000 {
		s.Add(entry(0, "kill", strconv.Itoa(i), kill.SIGKILL, 0))
	}
	rows := s.Rows()
	assert.Len(t, rows, maxRows+1)
	assert.Equal(t, Row{others, 1000, 0, 0, night, night}, rows[0])
}

func TestWrite(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{
		listing.FormatTable: "COUNT  FAILED  FIRST                LAST                 SENDER\n" +
			"3      1       2026-11-22 03:00:00  2026-11-22 05:00:00  kill\n" +
			"1      0       2026-11-22 04:30:00  2026-11-22 04:30:00  /usr/sbin/cron\n",
		listing.FormatCSV: "count,failed,first,last,sender,unknown\n" +
			"3,1,2026-11-22T03:00:00Z,2026-11-22T05:00:00Z,kill,0\n" +
			"1,0,2026-11-22T04:30:00Z,2026-11-22T04:30:00Z,/usr/sbin/cron,0\n",
		listing.FormatJSON: `{"by":"sender","name":"kill","count":3,"failed":1,"unknown":0,"first":"2026-11-22T03:00:00Z","last":"2026-11-22T05:00:00Z"}` + "\n" +
			`{"by":"sender","name":"/usr/sbin/cron","count":1,"failed":0,"unknown":0,"first":"2026-11-22T04:30:00Z","last":"2026-11-22T04:30:00Z"}` + "\n",
	} {
		var out bytes.Buffer
		require.NoError(t, filled("sender").Write(&out, format, terminal.Terminal{}))
		assert.Equal(t, want, out.String())
		require.ErrorIs(t, filled("sender").Write(broken{}, format, terminal.Terminal{}), errBroken)
	}
}

// Names are in the place of names, whatever they are.
func TestWriteUntrusted(t *testing.T) {
	t.Parallel()
	s := New("target", time.UTC)
	s.Add(entry(0, "kill", "=1+1\n\u202e", kill.SIGKILL, 0))
	for format, want := range map[string]string{
		listing.FormatTable: "COUNT  FAILED  FIRST                LAST                 TARGET\n" +
			"1      0       2026-11-22 03:00:00  2026-11-22 03:00:00  =1+1\\n\\u202e\n",
		listing.FormatCSV: "count,failed,first,last,target,unknown\n1,0,2026-11-22T03:00:00Z,2026-11-22T03:00:00Z,'=1+1\\n\\u202e,0\n",
		listing.FormatJSON: `{"by":"target","name":"=1+1\\n\\u202e","count":1,"failed":0,"unknown":0,` +
			`"first":"2026-11-22T03:00:00Z","last":"2026-11-22T03:00:00Z"}` + "\n",
	} {
		var out bytes.Buffer
		require.NoError(t, s.Write(&out, format, terminal.Terminal{}))
		assert.Equal(t, want, out.String())
	}
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }
