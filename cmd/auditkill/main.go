// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command auditkill tells which process sent a signal: from the audit log, or live. It
// needs no collector.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/command"
)

func main() {
	// What a command has opened in the kernel is closed after these, too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := command.Execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
