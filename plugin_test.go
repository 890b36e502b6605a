// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/config/configoptional"
)

// TestPlugin reads from a socket what others read from a log.
func TestPlugin(t *testing.T) {
	t.Parallel()

	log := newAuditLog(t)
	log.kill(3)
	// A test's own directory has its name, which may be too long for the path of a socket.
	directory, err := os.MkdirTemp("", "plugin") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(directory)) })
	path := filepath.Join(directory, "events")
	f := newFixture(t, "")
	f.config.File = configoptional.Default(defaultFileConfig())
	f.config.Plugin = configoptional.Some(PluginConfig{Path: path})
	f.config.Outcome.Enabled = false // of processes that are not here
	require.ErrorContains(t, f.new(t).Start(t.Context(), f.host), "run `service auditd reload`")

	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	stop := f.start(t)
	conn, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	_, err = conn.Write([]byte(log.content(t)))
	require.NoError(t, err)
	for _, record := range f.sink.await(t, 3) {
		assert.Equal(t, "audit_plugin", text(record, "kill.source"))
		assert.Equal(t, "mykill", text(record, "process.executable.name"))
	}
	stop()
	assert.EqualValues(t, 9, f.metric(t, "otelcol_receiver_audit_kill_records_read"))
}
