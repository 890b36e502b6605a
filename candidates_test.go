// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/delivery"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// fakeSource is a source that opens or fails to.
type fakeSource struct {
	err, closeErr   error
	started, closed int
}

func (f *fakeSource) Start(context.Context) error {
	f.started++
	return f.err
}

func (*fakeSource) Traits() source.Traits { return source.Traits{Live: true, TracksProcesses: true} }

func (*fakeSource) Run(context.Context, source.Deliver) {}

func (f *fakeSource) Close() error {
	f.closed++
	return f.closeErr
}

// openable returns a receiver that can open some sources, without outcomes.
func openable(t *testing.T, f *fixture, candidates ...capture.Candidate) *killReceiver {
	t.Helper()
	f.config.File, f.config.Outcome.Enabled = configoptional.Default(defaultFileConfig()), false
	r := f.new(t)
	r.candidates, r.health = candidates, delivery.NewHealth(func(*componentstatus.Event) {})
	return r
}

// TestChoose has no source in its configuration. One line of the log says which was chosen, and
// why those that would see more were not.
func TestChoose(t *testing.T) {
	t.Parallel()

	noBTF, noRight, noLog := errors.New("no BTF"), errors.New("CAP_AUDIT_READ is missing"), errors.New("no log")
	tests := map[string]struct {
		ebpf, netlink, file error
		// chosen is the index of the source that is left open, -1 if none is.
		chosen int
		level  zapcore.Level
		says   string
		fields map[string]any
	}{
		"ebpf": {
			chosen: 0, level: zapcore.InfoLevel, fields: map[string]any{},
			says: "tracing signals in the kernel because no source is configured and eBPF is possible",
		},
		"netlink": {
			ebpf: noBTF, chosen: 1, level: zapcore.InfoLevel, fields: map[string]any{"ebpf": "no BTF"},
			says: "listening to the kernel because no source is configured and eBPF is not possible",
		},
		"file": {
			ebpf: noBTF, netlink: noRight, chosen: 2, level: zapcore.WarnLevel,
			fields: map[string]any{
				"ebpf": "no BTF", "netlink": "CAP_AUDIT_READ is missing", "path": "/var/log/audit/audit.log",
			},
			says: "reading the audit log because no source is configured and the kernel is out of reach; " +
				"it has signals only if audit rules record them (see deploy/audit_kill.rules)",
		},
		"none": {
			ebpf: noBTF, netlink: noRight, file: noLog, chosen: -1, level: zapcore.WarnLevel,
			fields: map[string]any{
				"ebpf": "no BTF", "netlink": "CAP_AUDIT_READ is missing", "path": "/var/log/audit/audit.log",
			},
			says: "reading the audit log because no source is configured and the kernel is out of reach; " +
				"it has signals only if audit rules record them (see deploy/audit_kill.rules)",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "")
			fakes := []*fakeSource{{err: test.ebpf}, {err: test.netlink}, {err: test.file}}
			r := openable(t, f, capture.Custom(keyEBPF, fakes[0]), capture.Custom(keyNetlink, fakes[1]), capture.Custom(keyFile, fakes[2]))
			err := r.open(t.Context())
			require.ErrorIs(t, err, test.file, "the last one may say why it cannot")

			logged := f.logged.All()
			require.Len(t, logged, 1)
			assert.Equal(t, test.level, logged[0].Level)
			assert.Equal(t, test.says, logged[0].Message)
			assert.Equal(t, test.fields, logged[0].ContextMap())

			if test.chosen >= 0 {
				require.NoError(t, r.capture.Close())
				require.NoError(t, r.capture.Close(), "only once")
			}
			for i, fake := range fakes {
				opened := test.chosen < 0 || i <= test.chosen
				assert.Equal(t, opened, fake.started == 1, i)
				assert.Equal(t, fake.started, fake.closed, i)
			}
		})
	}
}

// The receiver goes on even if a failed attempt leaves something behind.
func TestChooseCleansUp(t *testing.T) {
	t.Parallel()

	f := newFixture(t, "")
	stuck := &fakeSource{err: errors.New("no BTF"), closeErr: errors.New("still there")}
	r := openable(t, f, capture.Custom(keyEBPF, stuck), capture.Custom(keyNetlink, &fakeSource{}))
	require.NoError(t, r.open(t.Context()))
	told := f.logged.FilterLevelExact(zapcore.ErrorLevel).All()
	require.Len(t, told, 1)
	assert.Equal(t, map[string]any{"source": "ebpf", "error": "still there"}, told[0].ContextMap())
	assert.Equal(t, keyNetlink, r.capture.Source())
	require.NoError(t, r.capture.Close())
}

// TestManaged covers which sources load rules: any that is configured to, and netlink by default.
func TestManaged(t *testing.T) {
	t.Parallel()

	yes, no := true, false
	for name, test := range map[string]struct {
		manage                *bool
		ebpf, netlink, onFile bool
	}{
		"by default": {nil, false, true, false},
		"yes":        {&yes, false, true, true},
		"no":         {&no, false, false, false},
	} {
		f := newFixture(t, "")
		f.config.Rules.Manage = test.manage
		c := f.config
		assert.Equal(t, test.ebpf, c.ebpf(defaultEBPFConfig()).ManageRules, name)
		assert.Equal(t, test.netlink, c.netlink(defaultNetlinkConfig()).ManageRules, name)
		assert.Equal(t, test.onFile, c.file(defaultFileConfig()).ManageRules, name)
		assert.Equal(t, test.onFile, c.plugin(defaultPluginConfig()).ManageRules, name)
	}
}
