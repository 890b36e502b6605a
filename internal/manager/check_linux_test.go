// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	listen, sessions := Check(t.Context(), h.root)
	require.ErrorIs(t, listen, os.ErrNotExist)
	require.ErrorContains(t, listen, "/run/dbus/system_bus_socket")
	require.ErrorIs(t, sessions, os.ErrNotExist)

	bus := h.newFakeBus(hostBus)
	h.write(sessionsPath+"21", aliceFile)
	listen, sessions = Check(t.Context(), h.root)
	require.NoError(t, listen)
	require.NoError(t, sessions)
	assert.Zero(t, bus.called("Hello"), "nothing is asked")

	require.NoError(t, os.RemoveAll(filepath.Join(h.root, "proc/1")))
	listen, sessions = Check(t.Context(), h.root)
	require.ErrorIs(t, listen, ErrNone)
	require.ErrorIs(t, sessions, ErrNone)
}
