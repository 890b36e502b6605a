// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// self is this process, other one that certainly lives for as long.
var (
	self  = uint32(os.Getpid())
	other = uint32(os.Getppid())
)

// usual are the settings of a kernel that have not been changed.
func usual(pid uint32) libaudit.AuditStatus {
	return libaudit.AuditStatus{Enabled: 1, Failure: 1, PID: pid, BacklogLimit: 64, BacklogWaitTime: 15000}
}

func TestBegin(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mode  Mode
		pid   uint32
		calls []string
		warns bool
	}{
		"auto, no daemon":           {ModeAuto, 0, []string{"register"}, false},
		"auto, a daemon":            {ModeAuto, other, []string{"join"}, false},
		"unicast, no daemon":        {ModeUnicast, 0, []string{"register"}, false},
		"multicast, a daemon":       {ModeMulticast, other, []string{"join"}, false},
		"multicast, but no daemon":  {ModeMulticast, 0, []string{"join"}, true},
		"auto, a daemon was killed": {ModeAuto, ended(t), []string{"register"}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.mode, usual(tt.pid))
			require.NoError(t, b.supervisor.begin(t.Context()))
			assert.Equal(t, tt.calls, b.transport.calls())
			assert.Equal(t, tt.warns, len(b.warnings()) == 1, "%v", b.warnings())
		})
	}
}

// The lack of an audit daemon is reported once, until there was one.
func TestWarnsOnceOfBeingAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t, ModeMulticast, usual(0))
	require.NoError(t, b.supervisor.begin(t.Context()))
	b.look(0)
	b.look(time.Hour)
	assert.Len(t, b.warnings(), 1)
	b.kernel.status.PID = other
	b.look(1)
	b.kernel.status.PID = 0
	b.look(1)
	b.look(time.Hour)
	assert.Len(t, b.warnings(), 2)
}

// ended is the pid of a process that has ended.
func ended(t *testing.T) uint32 {
	t.Helper()
	command := exec.CommandContext(t.Context(), "true")
	require.NoError(t, command.Run())
	return uint32(command.Process.Pid)
}

func TestBeginFails(t *testing.T) {
	t.Parallel()
	t.Run("unicast beside a daemon", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, ModeUnicast, usual(other))
		err := b.supervisor.begin(t.Context())
		require.ErrorIs(t, err, unix.EEXIST)
		assert.Regexp(t, `^.*\[\d+\] holds the audit pid; stop it$`, err.Error())
		var p *problem.Problem
		require.ErrorAs(t, err, &p)
		assert.Equal(t, []problem.Advice{problem.UseMulticast}, p.Advice)
		assert.Empty(t, b.transport.calls(), "not even tried")
		assert.Equal(t, usual(other), b.kernel.status, "nothing was changed")
	})
	t.Run("unicast, a daemon was faster", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, ModeUnicast, usual(0))
		b.transport.refuse = unix.EEXIST
		err := b.supervisor.begin(t.Context())
		require.ErrorIs(t, err, unix.EEXIST)
		assert.Equal(t, usual(0), b.kernel.status, "the settings are restored")
	})
	t.Run("multicast, no right to listen", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, ModeMulticast, usual(other))
		b.transport.joinError = unix.EPERM
		require.ErrorIs(t, b.supervisor.begin(t.Context()), unix.EPERM)
	})
	t.Run("unicast, no right to ask", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, ModeUnicast, usual(0))
		b.kernel.err = unix.EPERM
		require.ErrorIs(t, b.supervisor.begin(t.Context()), unix.EPERM)
	})
}

// The kernel sends an answer only if there is room in the socket.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	t.Run("but the place", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, ModeAuto, usual(0))
		b.supervisor.answerTimeout, b.transport.mute = time.Millisecond, true
		b.kernel.later = func(s *libaudit.AuditStatus) { s.PID = self }
		require.NoError(t, b.supervisor.begin(t.Context()))
		assert.Zero(t, b.kernel.status.BacklogWaitTime, "nobody waits")
		b.look(1)
		assert.Equal(t, []string{"register"}, b.transport.calls(), "and nothing else")

		b.kernel.status.PID = 0
		b.supervisor.yield(t.Context())
		assert.Equal(t, []string{"join", "unregister"}, b.transport.calls())
		assert.EqualValues(t, 15000, b.kernel.status.BacklogWaitTime)
		b.look(1)
		assert.Empty(t, b.transport.calls(), "it is the other's turn")
	})
	t.Run("nor the place", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, ModeUnicast, usual(0))
		b.supervisor.answerTimeout, b.transport.mute = time.Millisecond, true
		require.ErrorIs(t, b.supervisor.begin(t.Context()), errNoAnswer)
		assert.Equal(t, usual(0), b.kernel.status)
	})
}

// Where the settings are locked, a stalled audit daemon would stall the host.
func TestAutoDoesNotTakeAPlaceInWhichItMayStallTheHost(t *testing.T) {
	t.Parallel()
	b := newBench(t, ModeAuto, usual(0))
	b.kernel.locked = unix.EPERM
	require.NoError(t, b.supervisor.begin(t.Context()))
	assert.Equal(t, []string{"join"}, b.transport.calls())
	b.look(0)
	b.look(takeAfter)
	b.look(0)
	b.look(takeAfter)
	assert.Empty(t, b.transport.calls())
	assert.Equal(t, []error{nil, nil}, b.troubles, "it has tried twice, and listening is no problem")
	assert.Len(t, b.logs.FilterMessage("cannot change the settings of the kernel's audit queue").All(), 1, "not at every attempt")

	b = newBench(t, ModeUnicast, usual(0))
	b.kernel.locked = unix.EPERM
	require.NoError(t, b.supervisor.begin(t.Context()), "as configured")
	assert.Equal(t, []string{"register"}, b.transport.calls())
}

func TestAsksAgainWhereThereWasNoAnswer(t *testing.T) {
	t.Parallel()
	b := newBench(t, ModeAuto, usual(0))
	b.kernel.err = errors.New("no reply received")
	require.NoError(t, b.supervisor.begin(t.Context()))
	assert.Equal(t, []string{"join"}, b.transport.calls())
	b.kernel.err = nil
	b.look(1)
	b.look(takeAfter)
	assert.Equal(t, []string{"register"}, b.transport.calls())
}

func TestAutoListensWhereADaemonWasFaster(t *testing.T) {
	t.Parallel()
	b := newBench(t, ModeAuto, usual(0))
	b.transport.refuse = unix.EEXIST
	require.NoError(t, b.supervisor.begin(t.Context()))
	assert.Equal(t, []string{"register", "join"}, b.transport.calls())
	b.transport.send(true, recordsOf(1, 10, 20)...)
	assert.Equal(t, "audit_multicast", b.take(1)[0].Source)
}

// Without CAP_AUDIT_CONTROL the source can only listen, and does so.
func TestListensWithoutKnowingTheState(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{ModeAuto, ModeMulticast} {
		b := newBench(t, mode, usual(0))
		b.kernel.err = unix.EPERM
		require.NoError(t, b.supervisor.begin(t.Context()))
		assert.Equal(t, []string{"join"}, b.transport.calls())
		assert.Len(t, b.warnings(), 1)
		b.look(time.Hour)
		assert.Empty(t, b.transport.calls())
		b.kernel.err = nil
	}
}

func TestSettingsOfTheQueue(t *testing.T) {
	t.Parallel()
	large, panics, unlimited := usual(0), usual(0), usual(0)
	large.BacklogLimit, panics.Failure, unlimited.BacklogLimit = 100_000, 2, 0
	tests := map[string]struct {
		before libaudit.AuditStatus
		limit  uint32
	}{
		"usual":     {usual(0), minBacklog},
		"large":     {large, 100_000},
		"unlimited": {unlimited, minBacklog},
		"panics":    {panics, minBacklog},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, ModeUnicast, tt.before)
			require.NoError(t, b.supervisor.begin(t.Context()))
			during := b.kernel.status
			assert.Zero(t, during.BacklogWaitTime, "nobody waits")
			assert.Equal(t, tt.limit, during.BacklogLimit)
			assert.EqualValues(t, 1, during.Failure, "nothing panics")
			b.end()
			assert.Equal(t, tt.before, b.kernel.status)
			assert.Equal(t, []string{"register", "unregister", "close"}, b.transport.calls())
		})
	}
	t.Run("changed by somebody else", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, ModeUnicast, usual(0))
		require.NoError(t, b.supervisor.begin(t.Context()))
		b.kernel.status.BacklogLimit, b.kernel.status.BacklogWaitTime = 1000, 7
		b.end()
		assert.EqualValues(t, 1000, b.kernel.status.BacklogLimit)
		assert.EqualValues(t, 7, b.kernel.status.BacklogWaitTime)
	})
}

func TestTakesThePlaceOfADaemonThatEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, ModeAuto, usual(other))
	require.NoError(t, b.supervisor.begin(t.Context()))
	b.transport.calls()
	b.transport.send(true, recordsOf(1, 10, 20)...)

	b.kernel.status.PID = 0
	b.look(0)
	b.look(takeAfter - 1)
	assert.Empty(t, b.transport.calls(), "it may only be restarted")
	b.kernel.status.PID = other
	b.look(1)
	b.kernel.status.PID = 0
	b.look(0)
	b.look(takeAfter - 1)
	assert.Empty(t, b.transport.calls(), "it was")
	b.look(1)
	assert.Equal(t, []string{"register"}, b.transport.calls())
	assert.Zero(t, b.kernel.status.BacklogWaitTime)

	// Each record arrives twice, until the first has done so.
	b.kernel.status.PID = self
	both := func(serial int) {
		for _, m := range recordsOf(serial, 10, 20) {
			b.transport.send(true, m)
			b.transport.send(false, m)
		}
	}
	both(2)
	both(3)
	events := b.take(3)
	for i, e := range events {
		assert.EqualValues(t, i+1, e.Audit.Serial)
		assert.True(t, e.Complete)
		assert.Len(t, e.Targets, 1)
	}
	assert.Equal(t, "audit_multicast", events[0].Source)
	assert.Equal(t, "audit_unicast", events[2].Source)
	b.look(1)
	assert.Equal(t, []string{"leave"}, b.transport.calls())
	b.look(1)
	assert.Empty(t, b.transport.calls(), "only once")
	assert.Equal(t, []error{nil}, b.troubles)
}

func TestMakesRoomForADaemon(t *testing.T) {
	t.Parallel()
	b := newBench(t, ModeAuto, usual(0))
	require.NoError(t, b.supervisor.begin(t.Context()))
	b.kernel.status.PID = self
	b.transport.calls()
	b.transport.send(false, recordsOf(1, 10, 20)...)
	b.transport.send(false, message{kind: typeReplace})
	b.settled()
	<-b.reader.replace
	b.supervisor.yield(t.Context())
	assert.Equal(t, []string{"join", "unregister"}, b.transport.calls())
	assert.EqualValues(t, 15000, b.kernel.status.BacklogWaitTime, "the settings are the daemon's now")
	b.transport.send(true, recordsOf(2, 10, 20)...)
	events := b.take(2)
	assert.Equal(t, "audit_unicast", events[0].Source)
	assert.Equal(t, "audit_multicast", events[1].Source)
	assert.True(t, events[1].Complete)

	b.kernel.status.PID = 0
	b.look(takeAfterYield - 1)
	assert.Empty(t, b.transport.calls(), "somebody has to start it again")
	b.look(1)
	assert.Equal(t, []string{"register"}, b.transport.calls(), "nobody did")
}

func TestMakesNoRoomInModeUnicast(t *testing.T) {
	t.Parallel()
	b := newBench(t, ModeUnicast, usual(0))
	require.NoError(t, b.supervisor.begin(t.Context()))
	b.transport.calls()
	b.supervisor.yield(t.Context())
	assert.Empty(t, b.transport.calls())
	assert.Len(t, b.warnings(), 1)
}

// The kernel drops a daemon that it cannot reach.
func TestDismissed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		mode  Mode
		pid   uint32
		calls []string
		fails bool
	}{
		"auto, nobody has the place":       {ModeAuto, 0, []string{"register"}, false},
		"auto, somebody has the place":     {ModeAuto, other, []string{"join"}, false},
		"unicast, nobody has the place":    {ModeUnicast, 0, []string{"register"}, false},
		"unicast, somebody has the place ": {ModeUnicast, other, nil, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.mode, usual(0))
			require.NoError(t, b.supervisor.begin(t.Context()))
			b.transport.calls()
			b.kernel.status.PID = tt.pid
			b.look(1)
			assert.Equal(t, tt.calls, b.transport.calls())
			require.Len(t, b.troubles, 1)
			assert.Equal(t, tt.fails, b.troubles[0] != nil)
			if tt.fails {
				b.kernel.status.PID = 0
				b.look(1)
				assert.Equal(t, []string{"register"}, b.transport.calls(), "taken as soon as it is free")
				assert.NoError(t, b.troubles[1])
			}
		})
	}
}

func TestTellsWhatTheKernelHasLost(t *testing.T) {
	t.Parallel()
	status := usual(other)
	status.Lost = 100
	b := newBench(t, ModeAuto, status)
	require.NoError(t, b.supervisor.begin(t.Context()))
	b.look(1)
	assert.Empty(t, b.warnings(), "what was lost before is no news")

	half := recordsOf(1, 10, 20)
	b.transport.send(true, half[:2]...)
	b.settled()
	require.Eventually(t, func() bool { return b.reader.snapshot().pending == 1 }, limit, time.Millisecond)
	b.kernel.status.Lost = 107
	b.look(1)
	b.transport.send(true, half[2:]...)
	assert.False(t, b.take(1)[0].Complete, "may have been hit")
	b.kernel.status.Lost = 3 // was reset
	b.look(1)
	assert.EqualValues(t, 10, b.counts.Lost(source.KernelRecords))
}
