// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command facts prints what systemds tell as lines of JSON, for the end-to-end tests: that of the host, and those
// whose pids are its arguments. It ends when it is terminated.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/manager"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

func main() {
	lines := json.NewEncoder(os.Stdout)
	w := manager.New(manager.Config{
		Tell: func(fact attribution.Fact) { _ = lines.Encode(fact) },
		Warn: func(p *problem.Problem) { fmt.Fprintln(os.Stderr, p) },
	})
	for _, argument := range os.Args[1:] {
		if pid, err := strconv.Atoi(argument); err == nil {
			w.Watch(pid)
		}
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	w.Run(ctx)
	fmt.Fprintf(os.Stderr, "%+v\n", w.Counts())
}
