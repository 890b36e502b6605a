// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func itoa(n int) string { return strconv.Itoa(n) }

// awaitCommand waits until a process sleeps and has the name of the program that it was started
// for: it has that name before it runs the program, and before our programs are told.
func awaitCommand(t *testing.T, pid int, name string) {
	t.Helper()
	require.Eventually(t, func() bool {
		comm, _ := os.ReadFile("/proc/" + itoa(pid) + "/comm")
		return strings.TrimSpace(string(comm)) == name
	}, limit, time.Millisecond)
	awaitState(t, pid, "S")
}

// statOf returns the fields of /proc/pid/stat from the third, which is the state; nil if there is no such process. The
// second, its name, may look like those that follow.
func statOf(pid int) []string {
	stat, _ := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
}

// awaitState waits until a process sleeps (S), is stopped (T) or dead (Z), or one of
// several.
func awaitState(t *testing.T, pid int, states string) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat := statOf(pid)
		return len(stat) > 0 && strings.Contains(states, stat[0])
	}, limit, time.Millisecond)
}

// awaitGone waits until there is no such process.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat("/proc/" + itoa(pid))
		return os.IsNotExist(err)
	}, limit, time.Millisecond)
}

// awaitEnd waits until a process has ended, whether or not its parent takes notice.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat := statOf(pid)
		return len(stat) == 0 || stat[0] == "Z"
	}, limit, time.Millisecond)
}

// childrenOf returns the host's pids of the children of a process, in order.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var pids []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, name := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		require.NoError(t, err)
		if stat := statOf(child); len(stat) < 2 || stat[1] != itoa(pid) {
			continue
		}
		pids = append(pids, child)
	}
	slices.Sort(pids)
	return pids
}
