// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Interruptible returns a context that is done once the program is told to end, so that
// what it has opened in the kernel is closed: by Ctrl-C, by Ctrl-\ where that seemed not to
// help, as its terminal is gone, or by kill.
func Interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM)
}
