// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// senderRole makes this program send signals. It runs as a process of its own, because the
// kernel records only processes that started after audit was first on (prepare).
const senderRole = "-send"

// signal is the signal that is sent. It has no effect on a running process.
const signal = unix.SIGCONT

// sender is a process that sends signals.
type sender struct {
	command *exec.Cmd
	output  bytes.Buffer
	err     error
}

// sent is what a sender has done.
type sent struct {
	signals int
	elapsed time.Duration
	// least is the shortest time of a call; 0 if calls were not timed.
	least time.Duration
	// times are the times at which signals were sent (CLOCK_MONOTONIC, nanoseconds), if they
	// were wanted.
	times []int64
}

// startSender starts a sender. The meaning of number depends on what it does; some need the path of a socket.
func startSender(what string, number int, duration time.Duration, socket ...string) *sender {
	arguments := append([]string{senderRole, what, strconv.Itoa(number), duration.String()}, socket...)
	s := &sender{command: exec.Command(os.Args[0], arguments...)} //nolint:gosec // this program
	s.command.Stdout, s.command.Stderr = &s.output, os.Stderr
	s.err = s.command.Start()
	return s
}

// startOrphan starts a sender whose parent is that of all: it has no others whose command lines could be told, which
// would make each record longer.
func startOrphan(what string, number int, duration time.Duration) *sender {
	s := &sender{command: exec.Command("sh", "-c", `"$0" "$@" &`, os.Args[0], senderRole, what, strconv.Itoa(number), duration.String())} //nolint:gosec // this program
	s.command.Stdout, s.command.Stderr = &s.output, os.Stderr
	s.err = s.command.Start()
	return s
}

// wait waits until a sender has closed its output.
func (s *sender) wait() (sent, error) {
	if s.err != nil {
		return sent{}, s.err
	}
	if err := s.command.Wait(); err != nil {
		return sent{}, err
	}
	var result sent
	var elapsed, least int64
	if _, err := fmt.Fscanf(&s.output, "%d %d %d\n", &result.signals, &elapsed, &least); err != nil {
		return sent{}, fmt.Errorf("sender: %w", err)
	}
	result.elapsed, result.least = time.Duration(elapsed), time.Duration(least)
	for {
		var at int64
		if err := binary.Read(&s.output, binary.NativeEndian, &at); err == io.EOF { //nolint:errorlint // as documented
			return result, nil
		} else if err != nil {
			return sent{}, err
		}
		result.times = append(result.times, at)
	}
}

// send is the main function of a sender.
func send(args []string) error {
	number, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	duration, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	if args[0] == "living" {
		return live(number)
	}
	target := exec.Command("sleep", "1000")
	err = target.Start()
	if err != nil {
		return err
	}
	defer func() { _, _ = target.Process.Kill(), target.Wait() }()
	pid := target.Process.Pid
	var result sent
	switch args[0] {
	case "flood":
		result = flood(pid, number)
	case "rate":
		result = paced(number, duration, false, func() { _ = unix.Kill(pid, signal) })
	case "times":
		result = paced(number, duration, true, func() { _ = unix.Kill(pid, signal) })
	case "fatal":
		blocking, started := startBlocking()
		if started != nil {
			return started
		}
		defer func() { _, _ = blocking.Process.Kill(), blocking.Wait() }()
		time.Sleep(time.Second) // until it blocks the signal
		result = paced(number, duration, false, func() { _ = unix.Kill(blocking.Process.Pid, fatal) })
	case "deaths":
		result, err = deaths(duration)
	case "kill":
		result = timed(number, func() { _ = unix.Kill(pid, signal) })
	case "kill0":
		result = timed(number, func() { _ = unix.Kill(pid, 0) })
	case "getppid":
		result = timed(number, func() { unix.Getppid() })
	case "getuid":
		result = timed(number, func() { unix.Getuid() })
	case "connect":
		result, err = timedConnects(args[3], number)
	case "processes":
		result, err = startProcesses(number, duration)
	case "stops":
		result, err = stops(args[3], number, duration)
	default:
		return fmt.Errorf("the sender does not know %q", args[0])
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	fmt.Fprintln(out, result.signals, int64(result.elapsed), int64(result.least))
	if err := binary.Write(out, binary.NativeEndian, result.times); err != nil {
		return err
	}
	return out.Flush()
}

// flood sends as fast as it can.
func flood(pid, signals int) sent {
	start := time.Now()
	for range signals {
		_ = unix.Kill(pid, signal)
	}
	return sent{signals: signals, elapsed: time.Since(start)}
}

// paced sends signals at a rate per second, some of them each millisecond.
func paced(rate int, duration time.Duration, keep bool, send func()) sent {
	var result sent
	start := time.Now()
	for {
		elapsed := time.Since(start)
		if elapsed >= duration {
			result.elapsed = elapsed
			return result
		}
		for due := int(float64(rate) * elapsed.Seconds()); result.signals < due; result.signals++ {
			if keep {
				result.times = append(result.times, monotonic())
			}
			send()
		}
		time.Sleep(time.Millisecond)
	}
}

// timed times many batches of calls, and returns the least time of a call.
func timed(calls int, call func()) sent {
	const batch = 1000
	var times []time.Duration
	start := time.Now()
	for range calls / batch {
		begin := time.Now()
		for range batch {
			call()
		}
		times = append(times, time.Since(begin)/batch)
	}
	return sent{signals: calls, elapsed: time.Since(start), least: slices.Min(times)}
}

// monotonic returns the time of a clock that all processes share.
func monotonic() int64 {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail for this clock
	return now.Nano()
}
