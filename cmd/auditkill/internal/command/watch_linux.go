// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// untilUnread returns a context that is also done when nobody can read the output anymore:
// `watch -o json | head -1` is to end with the first signal, and not with the next one, and
// as a table `watch | head -1` at once, with the header.
func untilUnread(ctx context.Context, out io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	file, ok := out.(*os.File)
	if !ok {
		return ctx, cancel
	}
	ended, end, err := os.Pipe()
	if err != nil {
		return ctx, cancel // writing will tell, later
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		awaitUnread(int32(file.Fd()), int32(ended.Fd()))
		cancel()
	})
	return ctx, sync.OnceFunc(func() {
		_ = end.Close() // which ends the wait
		waiting.Wait()
		_ = ended.Close() // nothing was written
		cancel()
	})
}

// awaitUnread waits until either of the two has lost its other end (poll(2): POLLERR of a
// pipe or socket that is written, POLLHUP of one that is read; both come without being
// asked for).
func awaitUnread(out, ended int32) {
	files := []unix.PollFd{{Fd: out}, {Fd: ended}}
	for {
		n, err := unix.Poll(files, -1)
		if n > 0 || !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
