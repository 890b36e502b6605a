// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const gib = 1 << 30

// outOfMemory is an OOM kill of which everything is known.
func outOfMemory(change func(*kill.Event, *kill.OutOfMemory)) *kill.Event {
	o := &kill.OutOfMemory{
		Constraint: kill.OOMConstraintMemcg, Cgroup: "/system.slice/mysql.service", Limit: kill.NewAmount(2 * gib), Usage: kill.NewAmount(2*gib - 4096),
		Invoker: kill.Process{PID: 3940, Command: "mysqld"},
	}
	e := &kill.Event{
		Kind: kill.KindSignal, Time: time.UnixMilli(1450214919813), Signal: kill.SIGKILL, SignalKnown: true, Origin: kill.OriginKernel,
		Cause: kill.CauseOOM, Scope: kill.ScopeProcess, Result: kill.Success(), TargetCount: 1, Complete: true, Source: "ebpf",
		OutOfMemory: o,
	}
	*e.AddTarget() = kill.Process{PID: 3936, Command: "mysqld", Memory: mysqldMemory()}
	change(e, o)
	return e
}

func mysqldMemory() *kill.Memory {
	return &kill.Memory{
		AnonRSS: kill.NewAmount(2_000_000_000), FileRSS: kill.NewAmount(40_000_000), ShmemRSS: kill.NewAmount(0),
		TotalVM: kill.NewAmount(5 * gib), PageTables: kill.NewAmount(4_100_096), ScoreAdj: kill.NewAmount(-100),
	}
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	record := convert(testConfig(), outOfMemory(func(_ *kill.Event, o *kill.OutOfMemory) { o.Inferred = true }))
	assert.Equal(t, plog.SeverityNumberError, record.SeverityNumber())
	got := record.Attributes().AsRaw()
	delete(got, "log.record.uid")
	assert.Equal(t, map[string]any{
		"event.name":         "kill.signal",
		"kill.signal.number": int64(9), "kill.signal.name": "SIGKILL", "kill.origin": "kernel", "kill.cause": "oom", "kill.scope": "process",
		"kill.result": "success", "kill.target.count": int64(1), "kill.target.pid": int64(3936), "kill.target.name": "mysqld",
		"kill.oom.constraint": "memcg", "kill.oom.cgroup": "/system.slice/mysql.service", "kill.evidence": "inferred",
		"kill.oom.limit": int64(2 * gib), "kill.oom.usage": int64(2*gib - 4096), "kill.oom.anon_rss": int64(2_000_000_000),
		"kill.oom.file_rss": int64(40_000_000), "kill.oom.shmem_rss": int64(0), "kill.oom.total_vm": int64(5 * gib),
		"kill.oom.page_tables": int64(4_100_096), "kill.oom.score_adj": int64(-100),
		"kill.oom.invoker.pid": int64(3940), "kill.oom.invoker.name": "mysqld", "kill.complete": true, "kill.source": "ebpf",
	}, got)
}

// What is not known is absent, as is everything about memory if something else was the cause.
func TestOutOfMemoryUnknown(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*kill.Event{
		"nothing is known": outOfMemory(func(e *kill.Event, _ *kill.OutOfMemory) { e.OutOfMemory, e.Targets[0].Memory = nil, nil }),
		"no number is": outOfMemory(func(e *kill.Event, o *kill.OutOfMemory) {
			*o, e.Targets[0].Memory = kill.OutOfMemory{Inferred: true}, &kill.Memory{}
		}),
		"another cause": managedEvent(func(*kill.Event) {}),
	} {
		for key := range convert(testConfig(), e).Attributes().AsRaw() {
			assert.False(t, strings.HasPrefix(key, "kill.oom."), "%s: %s", name, key)
			assert.True(t, key != "kill.evidence" || name == "another cause", name)
		}
	}
	e := outOfMemory(func(e *kill.Event, o *kill.OutOfMemory) {
		o.Constraint, o.Limit, e.Targets[0].Memory = "none", kill.Amount{}, nil
	})
	got := convert(testConfig(), e).Attributes().AsRaw()
	assert.Equal(t, "observed", got["kill.evidence"])
	assert.NotContains(t, got, "kill.oom.limit")
	assert.NotContains(t, got, "kill.oom.score_adj")
}

func TestOutOfMemorySentences(t *testing.T) {
	t.Parallel()
	unknown := func(e *kill.Event, o *kill.OutOfMemory) { *o, e.Targets[0].Memory = kill.OutOfMemory{}, nil }
	const held = "mysqld[3936] held 1.9 GiB"
	const asked = "; memory was asked for by mysqld[3940]"
	tests := map[string]struct {
		change func(*kill.Event, *kill.OutOfMemory)
		want   string
	}{
		"all":      {func(*kill.Event, *kill.OutOfMemory) {}, ": /system.slice/mysql.service reached its limit of 2 GiB, " + held + asked},
		"inferred": {func(_ *kill.Event, o *kill.OutOfMemory) { o.Inferred = true }, ": probably /system.slice/mysql.service reached its limit of 2 GiB, " + held + asked},
		"limit not known": {
			func(_ *kill.Event, o *kill.OutOfMemory) { o.Limit = kill.Amount{} },
			": /system.slice/mysql.service reached its limit, " + held + asked,
		},
		"group not known":      {func(_ *kill.Event, o *kill.OutOfMemory) { o.Cgroup = "" }, ": a control group reached its limit of 2 GiB, " + held + asked},
		"host":                 {func(_ *kill.Event, o *kill.OutOfMemory) { o.Constraint = "none" }, ": the host had none left, " + held + asked},
		"cpuset":               {func(_ *kill.Event, o *kill.OutOfMemory) { o.Constraint = "cpuset" }, ": the memory nodes of a cpuset had none left, " + held + asked},
		"memory policy":        {func(_ *kill.Event, o *kill.OutOfMemory) { o.Constraint = "mempolicy" }, ": the memory nodes of a memory policy had none left, " + held + asked},
		"new constraint":       {func(_ *kill.Event, o *kill.OutOfMemory) { o.Constraint = "a b" }, `: constraint "a b", ` + held + asked},
		"constraint not known": {func(_ *kill.Event, o *kill.OutOfMemory) { o.Constraint = "" }, ": " + held + asked},
		"asked itself":         {func(_ *kill.Event, o *kill.OutOfMemory) { o.Invoker.PID = 3936 }, ": /system.slice/mysql.service reached its limit of 2 GiB, " + held + " and asked for more"},
		"invoker without pid": {
			func(_ *kill.Event, o *kill.OutOfMemory) { o.Invoker.PID = 0 },
			": /system.slice/mysql.service reached its limit of 2 GiB, " + held + "; memory was asked for by mysqld",
		},
		"invoker not known": {func(_ *kill.Event, o *kill.OutOfMemory) { o.Invoker = kill.Process{} }, ": /system.slice/mysql.service reached its limit of 2 GiB, " + held},
		"memory not known":  {func(e *kill.Event, _ *kill.OutOfMemory) { e.Targets[0].Memory = nil }, ": /system.slice/mysql.service reached its limit of 2 GiB" + asked},
		"a part of it": {
			func(e *kill.Event, _ *kill.OutOfMemory) {
				e.Targets[0].Memory = &kill.Memory{AnonRSS: kill.NewAmount(gib)}
			},
			": /system.slice/mysql.service reached its limit of 2 GiB" + asked,
		},
		"only the invoker": {func(e *kill.Event, o *kill.OutOfMemory) { unknown(e, o); o.Invoker.Command = "stress" }, ": memory was asked for by stress"},
		"only the memory":  {func(e *kill.Event, _ *kill.OutOfMemory) { e.OutOfMemory = nil }, ": " + held},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := convert(testConfig(), outOfMemory(tt.change)).Body().Str()
			assert.Equal(t, "the kernel sent SIGKILL to mysqld[3936]: out of memory"+tt.want, body)
		})
	}
	assert.Equal(t, "the kernel sent SIGKILL to mysqld[3936] (out of memory)", convert(testConfig(), outOfMemory(unknown)).Body().Str())
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{
		0: "0 bytes", 1023: "1023 bytes", 1024: "1 KiB", 4096: "4 KiB", 64 << 20: "64 MiB", 1536 << 20: "1.5 GiB", gib - 1: "1 GiB",
		1023 << 20: "1023 MiB", 5 << 40: "5 TiB", math.MaxInt64: "8 EiB", -4096: "-4096 bytes",
	} {
		assert.Equal(t, want, string(appendBytes(nil, bytes)))
	}
}

// Whoever may make control groups gives them any name, and a process itself any.
func TestForgedOutOfMemory(t *testing.T) {
	t.Parallel()
	forged := func(text string) *kill.Event {
		return outOfMemory(func(e *kill.Event, o *kill.OutOfMemory) {
			o.Cgroup, o.Invoker.Command, e.Targets[0].Command = text, text, text
		})
	}
	want := skeleton(convert(testConfig(), forged("word")).Body().Str())
	for _, text := range []string{
		"/a reached its limit of 1 KiB, mysqld[1] held 2 GiB", "/a\nb", "/a; memory was asked for by bob", "/\x1b]0;x\a", "/a\u202eb", "/" + strings.Repeat("x", 5000),
	} {
		record := convert(testConfig(), forged(text))
		assert.Equal(t, want, skeleton(strings.ReplaceAll(record.Body().Str(), "…", "")), text)
		assert.Less(t, len(record.Body().Str()), 1024)
	}
}

// A span and its events say the same as the log records, and so does the outcome.
func TestOutOfMemoryInTraces(t *testing.T) {
	t.Parallel()
	oom := outOfMemory(func(*kill.Event, *kill.OutOfMemory) {})
	e := outcomeEvent(func(e *kill.Event) {
		e.OutOfMemory, e.Targets[0].Memory = oom.OutOfMemory, oom.Targets[0].Memory
		o := e.Outcome
		o.Verdict, o.Exit.Status, o.Escalated, o.LastCause, o.LastSignal = kill.VerdictKilled, 9, true, kill.CauseOOM, kill.SIGKILL
		o.LastSender = &kill.Process{}
		o.Signals = append(o.Signals, kill.Sent{
			Signal: kill.SIGKILL, Sender: o.LastSender, Cause: kill.CauseOOM, Origin: kill.OriginKernel,
			OutOfMemory: oom.OutOfMemory, Memory: oom.Targets[0].Memory,
		})
	})
	record := convert(testConfig(), e)
	assert.Contains(t, record.Body().Str(), "; then the kernel sent SIGKILL: out of memory: /system.slice/mysql.service reached its limit of 2 GiB, ")
	traces := NewTraces(testConfig())
	traces.Append(e)
	span := traces.Take().ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	require.Equal(t, 2, span.Events().Len())
	for key, value := range convert(testConfig(), oom).Attributes().AsRaw() {
		if !strings.HasPrefix(key, "kill.oom.") && key != "kill.evidence" {
			continue
		}
		assert.Equal(t, value, record.Attributes().AsRaw()[key], key)
		assert.Equal(t, value, span.Attributes().AsRaw()[key], key)
		assert.NotContains(t, span.Events().At(0).Attributes().AsRaw(), key)
		assert.Equal(t, value, span.Events().At(1).Attributes().AsRaw()[key], key)
	}
}
