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

// untilUnread returns a context that is also done when nothing can read the output any more:
// `watch -o json | head -1` must end with the first signal rather than with the next one, and
// with a table `watch | head -1` at once, after the header.
func untilUnread(ctx context.Context, out io.Writer) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	file, ok := out.(*os.File)
	if !ok {
		return ctx, cancel
	}
	ended, end, err := os.Pipe()
	if err != nil {
		return ctx, cancel // writing will fail, later
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		awaitUnread(int32(file.Fd()), int32(ended.Fd()))
		cancel()
	})
	return ctx, sync.OnceFunc(func() {
		_ = end.Close() // this ends the wait
		waiting.Wait()
		_ = ended.Close() // nothing was written
		cancel()
	})
}

// awaitUnread waits until the other end of either of the two is closed (poll(2): POLLERR for a
// pipe or socket that we write to, POLLHUP for one that we read; both are always reported).
func awaitUnread(out, ended int32) {
	files := []unix.PollFd{{Fd: out}, {Fd: ended}}
	for {
		n, err := unix.Poll(files, -1)
		if n > 0 || !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
