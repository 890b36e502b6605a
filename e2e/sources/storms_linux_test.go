// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// What one user floods costs that user's events, joined and counted exactly, never another's.
func TestNobodyHidesBehindAFlood(t *testing.T) {
	harness.NeedRoot(t)
	const (
		copies = 6
		kills  = 1000
	)
	name := fmt.Sprintf("db-%d", os.Getpid())
	path := filepath.Join(t.TempDir(), "out.pb")
	c := collector.Start(t, collector.Config{
		// Parents' command lines would be most of what is written, and depend on who runs the test.
		Receiver: fmt.Sprintf(`{ebpf: {}, targets: [%q], command_line: "off"}`, name),
		Exporter: fmt.Sprintf(`{file: {path: %q, format: proto}}`, path),
	})
	c.Ready()
	program := filepath.Join(harness.PublicDir(t), name)
	sleep, err := exec.LookPath("sleep")
	require.NoError(t, err)
	require.NoError(t, exec.Command("cp", sleep, program).Run()) //nolint:gosec // paths of this test
	var victims []*exec.Cmd
	for range kills {
		victim := exec.Command(program, "600") //nolint:gosec // as above
		require.NoError(t, victim.Start())
		victims = append(victims, victim)
	}
	var floods []*process.Flood
	for range copies {
		floods = append(floods, process.StartFlood(t, name, 8*time.Second))
	}
	time.Sleep(2 * time.Second)
	began := time.Now()
	for _, victim := range victims {
		require.NoError(t, unix.Kill(victim.Process.Pid, unix.SIGKILL))
	}
	sending := time.Since(began)
	for _, victim := range victims {
		_ = victim.Wait()
	}
	floodedBy := map[int64]int{}
	for _, f := range floods {
		f.Wait()
		floodedBy[int64(f.PID)] = f.Sent
	}
	all := 0
	for _, sent := range floodedBy {
		all += sent
	}
	harness.Eventually(t, func() bool {
		return c.MetricOf("audit_kill_events", `event_name="kill.signal"`)+c.Metric("audit_kill_joined") >= all+kills
	}, "all signals are told")
	assert.Zero(t, c.MetricOf("audit_kill_ring_dropped", `record="signal"`))
	assert.Zero(t, c.Metric("audit_kill_queue_dropped"))
	c.Stop()

	told, killed, outcomes := map[int64]int{}, map[int64]int{}, map[int64]bool{}
	latest, records, written := time.Duration(0), 0, 0
	for logs := range messages(t, path) {
		for _, r := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
			sender, target := number(r, "process.pid"), number(r, "kill.target.pid")
			_, isFlood := floodedBy[sender]
			switch {
			case r.EventName() == "kill.outcome":
				outcomes[target] = text(r, "kill.outcome") == "killed" && sender == int64(os.Getpid())
			case isFlood:
				told[sender] += max(1, int(number(r, "kill.count")))
				records++
				written += sizeOf(r)
			case number(r, "kill.signal.number") == int64(unix.SIGKILL) && sender == int64(os.Getpid()):
				killed[target]++
				assert.Zero(t, number(r, "kill.count"))
				assert.Equal(t, name, text(r, "kill.target.name"))
				latest = max(latest, r.ObservedTimestamp().AsTime().Sub(r.Timestamp().AsTime()))
			}
		}
	}
	for pid, sent := range floodedBy {
		assert.Equal(t, sent, told[pid], "flood of %d", pid)
	}
	assert.Len(t, killed, kills)
	for _, victim := range victims {
		pid := int64(victim.Process.Pid)
		assert.Equal(t, 1, killed[pid])
		assert.True(t, outcomes[pid], "the outcome of %d", pid)
	}
	t.Logf("%d signals of the flood in %d records of %d KB; 1,000 kills sent in %v, told within %v", all, records, written>>10,
		sending.Round(time.Millisecond), latest.Round(time.Millisecond))
	assert.Less(t, written, 1<<20, "bytes of the flood")
}

// sizeOf returns how many bytes a log record takes.
func sizeOf(r plog.LogRecord) int {
	logs := plog.NewLogs()
	r.CopyTo(logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty())
	return (&plog.ProtoMarshaler{}).LogsSize(logs)
}

// number and text return an attribute, or 0 and "".
func number(r plog.LogRecord, key string) int64 {
	value, _ := r.Attributes().Get(key)
	return value.Int()
}

func text(r plog.LogRecord, key string) string {
	value, _ := r.Attributes().Get(key)
	return value.Str()
}
