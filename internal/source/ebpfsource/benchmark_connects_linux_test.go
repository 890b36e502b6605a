// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/process"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

func init() { roles["timer"] = beTimer }

// timedCalls is how many calls are timed together, timedRounds how often.
const (
	timedCalls  = 100
	timedRounds = 2000
)

// beTimer prints the least time of a connect(2) to a socket of its own and, for comparison, of a short call.
func beTimer(arguments []string) {
	runtime.LockOSThread()
	listener, err := net.Listen("unix", arguments[0])
	check(err)
	address := &unix.SockaddrUnix{Name: arguments[0]}
	least, short := time.Hour, time.Hour
	fds := make([]int, timedCalls)
	for range timedRounds {
		for i := range fds {
			fds[i], err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
			check(err)
		}
		begin := time.Now()
		for _, fd := range fds {
			check(unix.Connect(fd, address))
		}
		least = min(least, time.Since(begin)/timedCalls)
		for _, fd := range fds {
			accepted, err := listener.Accept()
			check(err)
			check(accepted.Close())
			check(unix.Close(fd))
		}
		begin = time.Now()
		for range timedCalls {
			unix.Getppid()
		}
		short = min(short, time.Since(begin)/timedCalls)
	}
	check(listener.Close())
	fmt.Println(least.Nanoseconds(), short.Nanoseconds()) //nolint:forbidigo // this is how it answers
}

// BenchmarkConnect measures what the programs add to connect(2), and to a call that is none of theirs. Compare with
// "nothing", or with the same ends of calls where no socket is listed.
func BenchmarkConnect(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("only root may load programs into the kernel")
	}
	folder := b.TempDir()
	listed := filepath.Join(folder, "listed")
	sameBeginning := filepath.Join(folder, "others")
	longer := filepath.Join(folder, "of another length")
	sameLength := "/tmp/another_" + strings.Repeat("x", len(listed)-len("/tmp/another_"))
	for _, test := range []struct {
		name     string
		ends     callEnds
		sockets  []string
		connects connects
		path     string
	}{
		{name: "nothing", path: longer},
		{name: "failed signals", ends: endsOfAllCalls, path: longer},
		{name: "failed signals and sockets, another length", ends: endsOfAllCalls, sockets: []string{listed}, path: longer},
		{name: "failed signals, another path", ends: endsOfAllCalls, path: sameLength},
		{name: "failed signals and sockets, another beginning", ends: endsOfAllCalls, sockets: []string{listed}, path: sameLength},
		{name: "failed signals and sockets, another end", ends: endsOfAllCalls, sockets: []string{listed}, path: sameBeginning},
		{name: "failed signals and sockets, listed", ends: endsOfAllCalls, sockets: []string{listed}, path: listed},
		{name: "all calls", ends: endsUnseen, sockets: []string{listed}, connects: connectsOfAllCalls, path: sameLength},
		{name: "tracepoints", ends: endsUnseen, sockets: []string{listed}, connects: connectsOfCall, path: sameLength},
		{name: "functions", ends: endsUnseen, sockets: []string{listed}, connects: connectsOfFunction, path: sameLength},
	} {
		b.Run(test.name, func(b *testing.B) {
			if test.connects != "" && test.connects.check() != nil {
				b.Skip("this kernel does not permit it")
			}
			if test.ends != "" {
				stop := trace(b, wish{
					ring: 4 << 20, signals: kill.DefaultSignals(), includeFailed: test.ends == endsOfAllCalls,
					calls: test.ends, sockets: test.sockets, connects: test.connects,
				})
				defer stop()
			}
			var connect, short float64
			for b.Loop() {
				connect, short = timed(b, test.path)
			}
			b.ReportMetric(connect, "ns/connect")
			b.ReportMetric(short, "ns/getppid")
		})
	}
}

// trace attaches programs until stop is called.
func trace(b *testing.B, w wish) (stop func()) {
	b.Helper()
	s := New(Settings{
		RingBuffer: w.ring, Processes: process.NewTable(process.Config{}), CorrelationTimeout: time.Second, MaxPending: 100,
		Counts: new(source.Counts), Logger: zap.NewNop(), Health: func(error) {},
	})
	var err error
	if s.programs, err = load(w); err != nil {
		b.Fatal(err)
	}
	if err := s.attach(); err != nil {
		b.Fatal(err)
	}
	return func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
}

// timed returns the least time of a connect and of a short call.
func timed(b *testing.B, path string) (connect, short float64) {
	b.Helper()
	c := exec.CommandContext(b.Context(), "/proc/self/exe", path)
	c.Env = append(os.Environ(), roleVariable+"=timer")
	out, err := c.Output()
	if err != nil {
		b.Fatal(err)
	}
	words := strings.Fields(string(out))
	connect, _ = strconv.ParseFloat(words[0], 64)
	short, _ = strconv.ParseFloat(words[1], 64)
	return connect, short
}
