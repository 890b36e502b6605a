// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Real backends, and collectors with the configurations of configs/, beside each
// other on one machine.

// FreeAddress is one that nobody listens at.
func FreeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// nextPort begins at a place that differs between processes, below the ports
// that the system hands out by itself.
var nextPort = func() *atomic.Int32 {
	port := new(atomic.Int32)
	port.Store(int32(20_000 + os.Getpid()%100*100))
	return port
}()

func FreePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := int(nextPort.Add(1))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			require.NoError(t, listener.Close())
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}
