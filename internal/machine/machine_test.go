// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachineID(t *testing.T) {
	t.Parallel()

	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	missing := filepath.Join(folder, "missing")
	good := file("good", "0123456789abcdef0123456789abcdef\n")
	other := file("other", "fedcba9876543210fedcba9876543210\n")
	fresh := file("fresh", "uninitialized\n") // machine-id(5): the first boot is not over
	empty := file("empty", "\n")

	const id = "0123456789abcdef0123456789abcdef"
	assert.Equal(t, id, machineID(good, other))
	assert.Equal(t, id, machineID(missing, good))
	assert.Equal(t, id, machineID(fresh, good))
	assert.Equal(t, id, machineID(empty, good))
	assert.Empty(t, machineID(missing, fresh, empty))
}

func TestThisMachine(t *testing.T) {
	t.Parallel()

	name, err := os.Hostname()
	require.NoError(t, err)
	got := This("")
	assert.Equal(t, name, got.Name)
	assert.Equal(t, runtime.GOOS, got.OS)
	assert.Equal(t, "/etc/passwd", got.Passwd)
}

// TestOtherRoot has a host whose root directory is mounted in the collector's container.
func TestOtherRoot(t *testing.T) {
	t.Parallel()

	own, err := os.Hostname()
	require.NoError(t, err)
	root := t.TempDir()
	got := This(root)
	assert.Equal(t, own, got.Name, "better than none")
	assert.Empty(t, got.ID)
	assert.Equal(t, filepath.Join(root, "etc", "passwd"), got.Passwd)

	write := func(path, content string) {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
	write("etc/hostname", "# the name\n\ndb1.example.com\n")
	write("var/lib/dbus/machine-id", "fedcba9876543210fedcba9876543210\n")
	got = This(root)
	assert.Equal(t, "db1.example.com", got.Name)
	assert.Equal(t, "fedcba9876543210fedcba9876543210", got.ID)
	write("etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	assert.Equal(t, "0123456789abcdef0123456789abcdef", This(root).ID)
	write("etc/hostname", "# nothing\n")
	assert.Equal(t, own, This(root).Name)
}
