// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// fakeSource is one that opens or does not.
type fakeSource struct {
	err, closeErr   error
	started, closed int
}

func (f *fakeSource) Start(context.Context) error {
	f.started++
	return f.err
}

func (*fakeSource) Run(context.Context, source.Deliver) {}

func (f *fakeSource) Close() error {
	f.closed++
	return f.closeErr
}

// TestChoose has no source in its configuration: one line says which it is, and
// why none of those that would see more.
func TestChoose(t *testing.T) {
	t.Parallel()

	noBTF, noRight, noLog := errors.New("no BTF"), errors.New("CAP_AUDIT_READ is missing"), errors.New("no log")
	tests := map[string]struct {
		ebpf, netlink, file error
		// chosen is the place of the source that is left open, -1 if none is.
		chosen int
		level  zapcore.Level
		says   string
		fields map[string]any
	}{
		"ebpf": {
			chosen: 0, level: zapcore.InfoLevel, fields: map[string]any{},
			says: "tracing signals in the kernel, as no source is configured and eBPF is possible",
		},
		"netlink": {
			ebpf: noBTF, chosen: 1, level: zapcore.InfoLevel, fields: map[string]any{"ebpf": "no BTF"},
			says: "listening to the kernel, as no source is configured and eBPF is not possible",
		},
		"file": {
			ebpf: noBTF, netlink: noRight, chosen: 2, level: zapcore.WarnLevel,
			fields: map[string]any{
				"ebpf": "no BTF", "netlink": "CAP_AUDIT_READ is missing", "path": "/var/log/audit/audit.log",
			},
			says: "reading the audit log, as no source is configured and the kernel is out of reach; " +
				"signals are in it if audit rules say so (see deploy/audit_kill.rules)",
		},
		"none": {
			ebpf: noBTF, netlink: noRight, file: noLog, chosen: -1, level: zapcore.WarnLevel,
			fields: map[string]any{
				"ebpf": "no BTF", "netlink": "CAP_AUDIT_READ is missing", "path": "/var/log/audit/audit.log",
			},
			says: "reading the audit log, as no source is configured and the kernel is out of reach; " +
				"signals are in it if audit rules say so (see deploy/audit_kill.rules)",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "")
			r := f.new(t)
			fakes := []*fakeSource{{err: test.ebpf}, {err: test.netlink}, {err: test.file}}
			err := r.choose(t.Context(),
				candidate{Source: fakes[0], key: keyEBPF, tellsProcesses: true},
				candidate{Source: fakes[1], key: keyNetlink}, candidate{Source: fakes[2], key: keyFile})
			require.Equal(t, test.file, err, "the last one may say why it cannot")

			logged := f.logged.All()
			require.Len(t, logged, 1)
			assert.Equal(t, test.level, logged[0].Level)
			assert.Equal(t, test.says, logged[0].Message)
			assert.Equal(t, test.fields, logged[0].ContextMap())
			assert.Equal(t, test.chosen == 0, r.source.tellsProcesses)

			require.NoError(t, r.close())
			require.NoError(t, r.close(), "only once")
			for i, fake := range fakes {
				opened := test.chosen < 0 || i <= test.chosen
				assert.Equal(t, opened, fake.started == 1, i)
				assert.Equal(t, fake.started, fake.closed, i)
			}
		})
	}
}

// What a failed attempt leaves behind is no reason not to go on.
func TestChooseCleansUp(t *testing.T) {
	t.Parallel()

	f := newFixture(t, "")
	r := f.new(t)
	stuck := &fakeSource{err: errors.New("no BTF"), closeErr: errors.New("still there")}
	require.NoError(t, r.choose(t.Context(), candidate{Source: stuck, key: keyEBPF}, candidate{Source: &fakeSource{}, key: keyNetlink}))
	told := f.logged.FilterLevelExact(zapcore.ErrorLevel).All()
	require.Len(t, told, 1)
	assert.Equal(t, map[string]any{"source": "ebpf", "error": "still there"}, told[0].ContextMap())
	assert.Equal(t, keyNetlink, r.source.key)
}

// TestManaged says who loads rules: whoever is told to, and netlink by itself.
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
		r := f.new(t)
		r.health = &health{}
		ebpf, netlink, file := defaultEBPFConfig(), defaultNetlinkConfig(), defaultFileConfig()
		assert.Equal(t, test.ebpf, r.trace(&ebpf).rules, name)
		assert.Equal(t, test.netlink, r.netlink(&netlink).rules, name)
		assert.Equal(t, test.onFile, r.file(&file).rules, name)
	}
}
