// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func init() {
	roles["acceptor"] = beAcceptor
	roles["visitor"] = beVisitor
}

// beAcceptor accepts connections, and closes them.
func beAcceptor(arguments []string) {
	listener, err := net.Listen("unix", arguments[0])
	check(err)
	check(os.Chmod(arguments[0], 0o777))
	fmt.Println("ready") //nolint:forbidigo // this is how it answers
	for {
		connection, err := listener.Accept()
		check(err)
		_ = connection.Close()
	}
}

// beVisitor connects again and again, at once or when it is asked to.
func beVisitor(arguments []string) {
	times, err := strconv.Atoi(arguments[1])
	check(err)
	wait := make([]byte, 100)
	if len(arguments) > 2 {
		_, _ = os.Stdin.Read(wait)
	}
	address := &unix.SockaddrUnix{Name: arguments[0]}
	for range times {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		check(err)
		check(unix.Connect(fd, address))
		check(unix.Close(fd))
	}
	fmt.Println("done") //nolint:forbidigo // this is how it answers
	_, _ = os.Stdin.Read(wait)
}

// However many requests there are, no signal is lost, and root's requests are not either.
func TestRequestsDisplaceNoSignals(t *testing.T) {
	path := filepath.Join(t.TempDir(), "listed")
	const ring, visitors, signals = 64 << 10, 100, 20
	w := start(t, func(s *Settings) { s.Sockets, s.RingBuffer = []string{path}, ring })
	acceptor := help(t, "acceptor", nil, path)
	require.True(t, acceptor.out.Scan())
	sender, root := help(t, "sender", nil), help(t, "client", nil)
	ordinary := unprivilegedIn(t, filepath.Dir(path))
	var clients []*helper
	for range visitors {
		clients = append(clients, help(t, "visitor", ordinary, path, "1", "asked"))
	}
	w.fence(t)
	w.reader.mutex.Lock()
	for _, client := range clients {
		client.say("go")
		require.True(t, client.out.Scan())
	}
	assert.Zero(t, root.connect("unix", path))
	for range signals {
		_, errno := sender.send(order{call: "kill", pid: sender.pid, signal: int(kill.SIGHUP)})
		assert.Zero(t, errno)
	}
	w.reader.mutex.Unlock()
	w.several(t, signals, by(sender.pid))
	w.fence(t)
	assert.Len(t, w.requests(root.pid), 1)
	told := 0
	for _, client := range clients {
		told += len(w.requests(client.pid))
	}
	lost, err := w.programs.losses()
	require.NoError(t, err)
	assert.EqualValues(t, visitors-told, lost.requests)
	assert.Positive(t, lost.requests)
	assert.Zero(t, lost.signals)
}
