// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"strconv"
	"testing"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pipeline"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

// TestConsumeContract lets the collector's own test append events to a log and
// look for losses, duplicates and a second try after a permanent error.
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

// withTestID is the factory with a consumer in between that names each log
// record after its target, under the attribute that the test looks at.
func withTestID() receiver.Factory {
	factory := NewFactory()
	createLogs := func(
		ctx context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs,
	) (receiver.Logs, error) {
		named, err := consumer.NewLogs(func(ctx context.Context, logs plog.Logs) error {
			records := recordsOf(logs)
			for i, pid := range targetsOf(records) {
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
