// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// These ports are below those that the kernel assigns (net.ipv4.ip_local_port_range). Several test
// processes may need ports at the same time, so each reserves a block: it listens at the first port
// of the block until it ends.
const (
	firstPort = 20_000
	lastPort  = 32_000
	blockSize = 1000
)

// ports are the ports of this process.
var ports struct {
	mutex sync.Mutex
	// held are the listeners at the first ports of its blocks. next is the next port of the last
	// block, which has left more.
	held []net.Listener
	next int
	left int
}

// FreePort returns a port that is free, and that no other caller gets.
func FreePort(t *testing.T) int {
	t.Helper()
	ports.mutex.Lock()
	defer ports.mutex.Unlock()
	for {
		if ports.left == 0 {
			takeBlock(t)
		}
		port := ports.next
		ports.next, ports.left = ports.next+1, ports.left-1
		if listener, err := listen(t, port); err == nil {
			require.NoError(t, listener.Close())
			return port
		}
	}
}

// takeBlock reserves the first block that no other process has.
func takeBlock(t *testing.T) {
	t.Helper()
	for block := firstPort; block < lastPort; block += blockSize {
		if listener, err := listen(t, block); err == nil {
			ports.held = append(ports.held, listener)
			ports.next, ports.left = block+1, blockSize-1
			return
		}
	}
	require.FailNow(t, "no free ports", "other processes hold all blocks from %d to %d", firstPort, lastPort)
}

func listen(t *testing.T, port int) (net.Listener, error) {
	t.Helper()
	return new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
}

// FreeAddress returns a free address of this machine.
func FreeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}
