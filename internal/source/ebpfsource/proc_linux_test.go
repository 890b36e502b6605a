// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
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

// awaitState waits until a process sleeps (S), is stopped (T) or dead (Z), or one of
// several.
func awaitState(t *testing.T, pid int, states string) {
	t.Helper()
	require.Eventually(t, func() bool {
		stat, _ := os.ReadFile("/proc/" + itoa(pid) + "/stat")
		_, rest, _ := strings.Cut(string(stat), ") ")
		return rest != "" && strings.Contains(states, rest[:1])
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
		stat, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, limit, time.Millisecond)
}

// childrenOf returns the host's pids of the children of a process, in order.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var pids []int
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, name := range stats {
		stat, _ := os.ReadFile(name) // it may be gone
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) < 2 || fields[1] != itoa(pid) {
			continue
		}
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		require.NoError(t, err)
		pids = append(pids, child)
	}
	slices.Sort(pids)
	return pids
}
