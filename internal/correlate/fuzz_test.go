// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// FuzzCorrelator feeds any lines in any order. Nothing may panic or grow, and the safe position may
// never pass a pending event.
func FuzzCorrelator(f *testing.F) {
	for _, name := range []string{"seed.log", "variants.log", "tamper.log", "behind.log"} {
		log, err := os.ReadFile("../../testdata/" + name)
		require.NoError(f, err)
		// A few records each: the fuzzer is slow with long inputs.
		for chunk := range slices.Chunk(bytes.Split(log, []byte("\n")), 9) {
			f.Add(bytes.Join(chunk, []byte("\n")), uint64(len(chunk)%3))
		}
	}
	cases, err := filepath.Glob("../../testdata/cases/*.log")
	require.NoError(f, err)
	for i, path := range cases {
		log, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(log, uint64(i%3))
	}
	f.Add([]byte("type=OBJ_PID msg=audit(1.001:1): opid=1\ntype=SYSCALL msg=audit(1.001:1): arch=c000003e syscall=62"), uint64(2))
	call := "type=SYSCALL msg=audit(1.001:1): arch=c000003e syscall="
	f.Add([]byte(call+"44\n"+call+"62\ntype=OBJ_PID msg=audit(1.001:1): opid=1\n"+
		"type=CONFIG_CHANGE msg=audit(1.001:1): audit_enabled=0 res=1\n"+call+"62"), uint64(1))
	f.Fuzz(func(t *testing.T, log []byte, seed uint64) {
		lines := bytes.Split(log, []byte("\n"))
		if seed != 0 {
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // an order, no secret
			random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		}
		const maxPending = 4
		now := time.Unix(1450214919, 0)
		targets, emitted := 0, 0
		config := Config{Timeout: time.Second, MaxPending: maxPending, KeepOriginal: seed%2 == 1}
		if seed%3 != 1 {
			config.Fact = func(f *attribution.Fact) { requireSound(t, f) }
		}
		if seed%5 == 2 {
			config.Wait = func(e *kill.Event) time.Duration { return time.Duration(len(e.Targets)) * time.Millisecond }
		}
		c := New(config, func(e *kill.Event) {
			require.LessOrEqual(t, e.TargetCount, len(e.Targets))
			switch e.Kind {
			case kill.KindSignal, kill.KindAbend:
				emitted += len(e.Targets)
				require.Nil(t, e.Tamper)
			case kill.KindTamper:
				require.NotEmpty(t, e.Tamper.Action)
			default:
				require.Fail(t, "an event of no kind", e.Kind)
			}
		})
		for i, line := range lines {
			record, err := auditrecord.Parse(line)
			kind, _, _ := auditrecord.Split(line)
			switch kind {
			case auditrecord.TypeObjPID, auditrecord.TypeAnomAbend, auditrecord.TypeSeccomp, auditrecord.TypeLandlockAccess:
				targets++
			case auditrecord.TypeSyscall: // a process that queues a signal to itself is the target
				arch, number, _ := auditrecord.CallOf(record.Fields)
				if called := c.calls.lookup(arch, number); called != nil && strings.HasPrefix(called.name, "rt_") {
					targets++
				}
			}
			verdict := c.AddLine(line, false, Position(i), now)
			ignored := kind == auditrecord.TypeOther || auditrecord.IsOther(line) || // which does not look for the end of the type
				kind.Explains() && config.Fact == nil
			require.Equal(t, err != nil && !ignored, verdict == NoRecord)
			require.LessOrEqual(t, c.Pending(), maxPending)
			require.LessOrEqual(t, len(c.logins.order), maxLogins)
			require.Len(t, c.logins.order, len(c.logins.byKey))
			require.LessOrEqual(t, len(c.texts.decoded.texts)+len(c.texts.plainly.texts), 2*maxTexts)
			require.LessOrEqual(t, c.Safe(Position(i+1)), Position(i+1))
		}
		c.Expire(now.Add(time.Hour))
		require.Zero(t, c.Pending())
		require.Zero(t, c.Held())
		require.Zero(t, c.held.bytes)
		require.Zero(t, c.table.bytes)
		require.Zero(t, c.table.anonymous)
		require.Zero(t, c.table.settled)
		require.Zero(t, c.table.tampers)
		require.LessOrEqual(t, emitted, targets)
		require.Equal(t, Position(len(lines)), c.Safe(Position(len(lines))))
	})
}

// requireSound expects a fact to be one thing, and not larger than a record.
func requireSound(t *testing.T, f *attribution.Fact) {
	t.Helper()
	said := 0
	if l := f.Login; l != nil {
		said++
		require.NotEmpty(t, l.Session.Service)
		require.True(t, l.Audit.Known)
		require.LessOrEqual(t, len(l.Session.TTY), longestTerminal)
		require.LessOrEqual(t, len(l.Session.Address), longestHost)
	}
	if f.Logout != nil {
		said++
		require.NotEmpty(t, f.Logout.ID)
	}
	if f.Job != nil {
		said++
		require.NotEmpty(t, f.Job.Unit)
	}
	if f.Shutdown != nil {
		said++
	}
	if f.Command != nil {
		said++
		require.NotEmpty(t, f.Command.Title)
		require.LessOrEqual(t, len(f.Command.Title), longestCommand)
	}
	require.Equal(t, 1, said)
}
