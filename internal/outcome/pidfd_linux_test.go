// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"
)

func TestExplainOpen(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"gone":    {unix.ESRCH, "process 7: the process has ended already"},
		"thread":  {unix.ENOENT, "process 7: the process has ended already"},
		"thread2": {unix.EINVAL, "process 7: the process has ended already"},
		"files":   {unix.EMFILE, "following process 7: too many open files: give the collector more file descriptors, with systemd by LimitNOFILE="},
		"seccomp": {unix.EPERM, "following process 7: pidfd_open: operation not permitted: allow that system call in the collector's seccomp profile"},
		"host":    {unix.ENFILE, "following process 7: too many open files in system: raise the sysctl fs.file-max"},
		"old":     {unix.ENOSYS, "following process 7: pidfd_open: function not implemented: it takes Linux 5.3 or CAP_NET_ADMIN"},
		"other":   {unix.ENODEV, "following process 7: pidfd_open: no such device"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := NewWatcher(WatcherConfig{Logger: zaptest.NewLogger(t)})
			w.connectorOpen = func() (*connector, error) { return nil, unix.EPERM } // which needs no pidfds
			require.NoError(t, w.Start())
			t.Cleanup(func() { assert.NoError(t, w.Close()) })
			w.pidfdOpen = func(int, int) (int, error) { return 0, test.err }
			_, err := w.Follow(Target{PID: 7, Start: 1})
			require.EqualError(t, err, test.want)
			require.ErrorIs(t, err, map[bool]error{true: ErrGone, false: test.err}[errors.Is(err, ErrGone)])
		})
	}
}

func TestReleaseTellsExit(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"6.15.0": true, "6.18.44-fc": true, "7.0-rc1": true, "10.2": true,
		"6.14.11-300.fc42.x86_64": false, "5.15.0-1": false, "4.18.0-553.el8_10.x86_64": false, "": false, "x": false,
	} {
		assert.Equal(t, want, releaseTellsExit(release), release)
	}
}
