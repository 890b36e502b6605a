// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"errors"
	"testing"

	"github.com/auditkill/auditkillreceiver/internal/outcome"

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
		"files":   {unix.EMFILE, "watching process 7: too many open files; allow this process more file descriptors, with systemd by LimitNOFILE="},
		"seccomp": {unix.EPERM, "watching process 7: pidfd_open: operation not permitted; allow that system call in the seccomp profile of this process"},
		"host":    {unix.ENFILE, "watching process 7: too many open files in system; raise the sysctl fs.file-max"},
		"old":     {unix.ENOSYS, "watching process 7: pidfd_open: function not implemented; use Linux 5.3 or newer, or grant CAP_NET_ADMIN"},
		"other":   {unix.ENODEV, "watching process 7: pidfd_open: no such device"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(Config{Logger: zaptest.NewLogger(t)})
			w.connectorOpen = func() (*connector, error) { return nil, unix.EPERM } // which needs no pidfds
			require.NoError(t, w.Start())
			t.Cleanup(func() { assert.NoError(t, w.Close()) })
			w.pidfdOpen = func(int, int) (int, error) { return 0, test.err }
			_, err := w.Watch(outcome.Target{PID: 7, Start: 1})
			require.EqualError(t, err, test.want)
			require.ErrorIs(t, err, map[bool]error{true: outcome.ErrGone, false: test.err}[errors.Is(err, outcome.ErrGone)])
		})
	}
}

func TestReleaseReportsExit(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]bool{
		"6.15.0": true, "6.18.44-fc": true, "7.0-rc1": true, "10.2": true,
		"6.14.11-300.fc42.x86_64": false, "5.15.0-1": false, "4.18.0-553.el8_10.x86_64": false, "": false, "x": false,
	} {
		assert.Equal(t, want, releaseReportsExit(release), release)
	}
}
