// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSession(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	w := New(Config{Root: h.root})
	defer w.sessions.close()
	_, ok := w.Session(0, "21")
	assert.False(t, ok)
	h.write(sessionsPath+"21", aliceFile)
	_, ok = w.Session(0, "21")
	assert.False(t, ok, "it is not looked for again at once")
	w.sessions.known[0]["21"].at = time.Time{}
	for _, manager := range []int{0, hostPID} {
		login, found := w.Session(manager, "21")
		assert.True(t, found)
		assert.Equal(t, aliceLogin("21"), login)
	}
	h.write(sessionsPath+"21", strings.Replace(aliceFile, "10.0.0.5", "10.0.0.66", 1))
	login, ok := w.Session(0, "21")
	assert.True(t, ok)
	assert.Equal(t, "10.0.0.66", login.Session.Address, "the file has changed")
	require.NoError(t, os.Remove(filepath.Join(h.root, sessionsPath+"21")))
	login, ok = w.Session(0, "21")
	assert.True(t, ok, "it is known even after it has ended")
	assert.Equal(t, "10.0.0.66", login.Session.Address)
}

// TestSessionsThatAreNone has files in place of sessions, some of which would never be read to an end.
func TestSessionsThatAreNone(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	w := New(Config{Root: h.root})
	defer w.sessions.close()
	h.write("elsewhere", aliceFile)
	h.write(sessionsPath+"1", "\x00\xff\n=\n")
	h.write(sessionsPath+"2", "UID=0\nCLASS=manager\n")
	h.write(sessionsPath+"3", strings.Repeat("x", maxSessionFile)+"\n"+aliceFile)
	require.NoError(t, os.Symlink("../../../elsewhere", filepath.Join(h.root, sessionsPath, "4")))
	require.NoError(t, unix.Mkfifo(filepath.Join(h.root, sessionsPath, "5"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(h.root, sessionsPath, "6"), 0o700))
	for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "../../../elsewhere", "", "."} {
		_, ok := w.Session(0, id)
		assert.False(t, ok, id)
	}
	assert.Equal(t, int64(2), w.Counts().Malformed)
	if os.Getuid() == 0 {
		h.write(sessionsPath+"8", aliceFile)
		require.NoError(t, os.Chown(filepath.Join(h.root, sessionsPath, "8"), 1000, 1000))
		_, ok := w.Session(0, "8")
		assert.False(t, ok, "it is not root's")
	}
}

func TestSessionWithoutSystemd(t *testing.T) {
	t.Parallel()
	w := New(Config{Root: t.TempDir()})
	_, ok := w.Session(0, "1")
	assert.False(t, ok)
}

func TestSessionsAreForgotten(t *testing.T) {
	t.Parallel()
	s := newSessions("", new(counters))
	for id := range 3 * maxSessions {
		login := aliceLogin(strings.Repeat("1", id%maxSessionID) + "c" + strings.Repeat("0", id/maxSessionID))
		login.Manager = container
		s.put(login)
	}
	assert.Len(t, s.known[container], maxSessions)
	s.put(aliceLogin("1"))
	s.forget(container)
	assert.Empty(t, s.known[container])
	assert.Len(t, s.known[0], 1)
}
