// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// roles are what this program does instead of its tests if it is started as a helper.
var roles = map[string]func(arguments []string){}

// roleVariable says which.
const roleVariable = "SIGNALTRACE_TEST_ROLE"

func TestMain(m *testing.M) {
	if play, ok := roles[os.Getenv(roleVariable)]; ok {
		play(os.Args[1:])
		return
	}
	if signal.Ignored(syscall.SIGHUP) { // by nohup(1): whatever the tests start would ignore it, too
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	goleak.VerifyTestMain(m)
}
