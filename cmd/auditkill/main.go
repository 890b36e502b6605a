// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command auditkill shows which process sent a signal: from the audit log, or live. It needs no
// collector.
package main

import (
	"context"
	"os"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/command"
)

func main() {
	ctx, stop := command.Interruptible(context.Background())
	code := command.Execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
