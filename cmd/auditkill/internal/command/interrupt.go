// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Interruptible returns a context that is done once the program is asked to end, so that it
// cleans up in the kernel: by Ctrl-C, by Ctrl-\ if that did not seem to help, by the end of its
// terminal, or by kill.
func Interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM)
}
