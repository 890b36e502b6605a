// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/pdatatest/plogtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/internal/stub"
)

func TestWithoutMembersOnlyIncidentsGoOn(t *testing.T) {
	t.Parallel()
	next := &consumertest.LogsSink{}
	f := newFixture(t).logs(next).start()
	require.NoError(t, f.send(restarts(0, 1)))
	foreign := restarts(0, 1)
	stub.Records(foreign)[0].SetEventName("other")
	require.NoError(t, f.send(foreign))
	f.stop()
	assert.Empty(t, next.AllLogs())
}

// TestIncidentsReplaceSignals has all kinds of records come together: what is no signal, crash or outcome goes on, untouched and once, also
// if the next consumer has refused it first.
func TestIncidentsReplaceSignals(t *testing.T) {
	t.Parallel()
	next := stub.Answering(errBusy, nil)
	f := newFixture(t)
	f.config.Members, f.config.MinTargets = membersReplace, 10
	f.logs(next).start()
	logs := restarts(0, 1)
	restarts(1, 1).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	for n, event := range []string{"kill.tamper", "kill.outcome", "other", "kill.abend"} {
		stub.Records(logs)[n].SetEventName(event)
	}
	before := plog.NewLogs()
	logs.CopyTo(before)
	require.ErrorIs(t, f.send(logs), errBusy)
	require.NoError(t, f.send(logs))
	require.NoError(t, plogtest.CompareLogs(before, logs), "the sender still has all of it")
	require.NoError(t, f.send(restarts(5, 1)), "only signals")
	f.stop()
	require.Len(t, next.Attempts(), 2)
	got := stub.Records(next.Attempts()[1])
	require.Len(t, got, 2)
	for n, place := range []int{0, 2} {
		assert.Equal(t, stub.Records(before)[place].EventName(), got[n].EventName())
		assert.Equal(t, stub.Records(before)[place].Attributes().AsRaw(), got[n].Attributes().AsRaw())
	}
	assert.Equal(t, "web-0", next.Attempts()[1].ResourceLogs().At(0).Resource().Attributes().AsRaw()["host.name"])
}
