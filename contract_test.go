// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/auditkill/auditkillreceiver/internal/stub"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

// TestConsumeContract lets the collector's own test append events to a log, and check for losses,
// duplicates and retries after a permanent error.
func TestConsumeContract(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	f := newFixture(t, log.path)
	f.config.File.Get().StartAt = startAtEnd
	receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
		T:             t,
		Factory:       withTestID(),
		Signal:        pipeline.SignalLogs,
		Config:        f.config,
		Generator:     generator{log},
		GenerateCount: 300,
	})
}

// generator writes each event to the log.
type generator struct{ log *auditLog }

func (generator) Start() {}
func (generator) Stop()  {}

func (g generator) Generate() []receivertest.UniqueIDAttrVal {
	return []receivertest.UniqueIDAttrVal{testID(g.log.kill(1))}
}

func testID(pid int) receivertest.UniqueIDAttrVal {
	return receivertest.UniqueIDAttrVal(strconv.Itoa(pid))
}

// withTestID is the factory with a consumer in between that gives each log record the pid of its
// target, in the attribute that the test checks.
func withTestID() receiver.Factory {
	factory := NewFactory()
	createLogs := func(
		ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs,
	) (receiver.Logs, error) {
		named, err := consumer.NewLogs(func(ctx context.Context, logs plog.Logs) error {
			records := stub.Records(logs)
			for i, pid := range stub.Targets(records) {
				records[i].Attributes().PutStr(receivertest.UniqueIDAttrName, string(testID(pid)))
			}
			return next.ConsumeLogs(ctx, logs)
		})
		if err != nil {
			return nil, err
		}
		return factory.CreateLogs(ctx, set, cfg, named)
	}
	return receiver.NewFactory(metadata.Type, factory.CreateDefaultConfig, receiver.WithLogs(createLogs, metadata.LogsStability))
}

// TestConsumeContractTraces is the same for traces: each event is a termination.
func TestConsumeContractTraces(t *testing.T) {
	t.Parallel()

	source := newLiveSource()
	f := newFixture(t, "")
	factory := newFactory(source.create(f))
	createTraces := func(
		ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Traces,
	) (receiver.Traces, error) {
		named, err := consumer.NewTraces(func(ctx context.Context, traces ptrace.Traces) error {
			for _, span := range traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().All() {
				pid, _ := span.Attributes().Get("kill.target.pid")
				span.Attributes().PutStr(receivertest.UniqueIDAttrName, string(testID(int(pid.Int()))))
			}
			return next.ConsumeTraces(ctx, traces)
		})
		if err != nil {
			return nil, err
		}
		return factory.CreateTraces(ctx, set, cfg, named)
	}
	receivertest.CheckConsumeContract(receivertest.CheckConsumeContractParams{
		T: t,
		Factory: receiver.NewFactory(
			metadata.Type, factory.CreateDefaultConfig, receiver.WithTraces(createTraces, metadata.TracesStability),
		),
		Signal:        pipeline.SignalTraces,
		Config:        f.config,
		Generator:     &terminator{source: source},
		GenerateCount: 300,
	})
}

// terminator ends one process after the other.
type terminator struct {
	source *liveSource
	pid    atomic.Int32
}

func (*terminator) Start() {}
func (*terminator) Stop()  {}

func (g *terminator) Generate() []receivertest.UniqueIDAttrVal {
	pid := int(g.pid.Add(1)) // it is called by several at a time
	g.source.sends(signalTo(kill.SIGKILL, "mysqld", pid), ended(pid, 9, "mysqld"))
	return []receivertest.UniqueIDAttrVal{testID(pid)}
}
