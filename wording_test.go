// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"
	"fmt"
	"testing"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func TestAllAdviceIsWorded(t *testing.T) {
	t.Parallel()
	for _, advice := range problem.AllAdvice() {
		said := words{}.Advise(advice)
		assert.NotEmpty(t, said, advice)
		assert.NotContains(t, said, "--", "that is a flag of the command")
	}
}

func TestAllLossesAreLogged(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	r := f.new(t)
	for _, loss := range source.AllLosses() {
		if p := loss.Problem(7); p != nil {
			r.warn(p)
		}
	}
	logged := f.logged.All()
	assert.Len(t, logged, len(source.AllLosses())-1, "all but those that the source logs")
	for _, entry := range logged {
		assert.Contains(t, fmt.Sprint(entry.ContextMap()), ":7", "the number of %s", entry.Message)
	}
	ring := f.logged.FilterMessage("signals were lost because the ring buffer was full").All()
	require.Len(t, ring, 1)
	assert.Equal(t, map[string]any{"signals": int64(7), "fix": "raise ebpf::ring_buffer"}, ring[0].ContextMap())
}

func TestWarn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "")
	r := f.new(t)
	for range 3 {
		r.warn(&problem.Problem{
			What: "a process is not watched", Err: fmt.Errorf("opening: %w", &problem.Problem{
				What: "no right", Lacking: []capability.Cap{capability.CAP_BPF, capability.CAP_PERFMON},
			}),
			Fix: "restart it", Advice: []problem.Advice{problem.WatchFewer},
			Details: []problem.Detail{{Name: "pid", Value: 7}}, Lines: []string{"auditctl -e 1"},
		})
	}
	logged := f.logged.All()
	require.Len(t, logged, 1, "once in a while")
	assert.Equal(t, "a process is not watched", logged[0].Message)
	assert.Equal(t, map[string]any{
		"fix": "restart it, or set a shorter outcome::timeout, or name targets", "pid": int64(7), "lines": []any{"auditctl -e 1"},
		"error": "opening: no right: the collector lacks CAP_BPF and CAP_PERFMON; with systemd set AmbientCapabilities=CAP_BPF CAP_PERFMON " +
			"(and add it to CapabilityBoundingSet=), in Kubernetes securityContext.capabilities.add: [BPF, PERFMON] and runAsUser: 0, " +
			"with Docker --cap-add BPF --cap-add PERFMON",
	}, logged[0].ContextMap())
}

// An error that wraps a problem stays as it is, and can still be recognized.
func TestWorded(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	err := worded{fmt.Errorf("ebpf: %w", &problem.Problem{Err: refused, Advice: []problem.Advice{problem.UseNetlink}})}
	require.EqualError(t, err, "ebpf: refused; use netlink")
	require.ErrorIs(t, err, refused)
}
