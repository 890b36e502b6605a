// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

// Command measure runs a program and prints how many seconds it took and how
// many kB of memory it held at its peak.
//
// A collector does not end by itself, so measure ends it with SIGTERM. With -until
// it does so once the collector prints a certain text; the time includes the
// shutdown, in which the collector writes the rest. With -settled it does so once
// the collector's output file has not grown for a while; the time ends with the last
// byte.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// quiet is how long a file must not grow to count as complete. poll is how often to
// check that.
const (
	quiet = 10 * time.Second
	poll  = 10 * time.Millisecond
)

func main() {
	until := flag.String("until", "", "end the program once it writes this to its standard error")
	settled := flag.String("settled", "", "end the program once this file, which it writes, no longer grows")
	pause := flag.Duration("pause", 0, "how long to wait after -until; a program that has just started may not handle signals yet")
	out := flag.String("out", os.DevNull, "the file for the standard output of the program")
	flag.Parse()
	result, err := measure(flag.Args(), *out, *until, *settled, *pause)
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
	fmt.Println(result)
}

// result is the time and the memory of a run.
type result struct {
	elapsed time.Duration
	memory  int64 // kB
}

func (r result) String() string { return fmt.Sprintf("%.3f %d", r.elapsed.Seconds(), r.memory) }

func measure(args []string, out, until, settled string, pause time.Duration) (result, error) {
	if len(args) == 0 {
		return result{}, errors.New("no program to run")
	}
	stdout, err := os.Create(out)
	if err != nil {
		return result{}, err
	}
	defer stdout.Close()
	program := exec.Command(args[0], args[1:]...) //nolint:gosec // its purpose is to run a given program
	program.Stdout = stdout
	stderr, err := program.StderrPipe()
	if err != nil {
		return result{}, err
	}
	start := time.Now()
	err = program.Start()
	if err != nil {
		return result{}, err
	}
	end := func() {
		time.Sleep(pause)
		_ = program.Process.Signal(syscall.SIGTERM) // fails if it has ended
	}
	var lastByte chan time.Time
	if settled != "" {
		lastByte = make(chan time.Time, 1)
		go func() {
			lastByte <- wait(settled)
			end()
		}()
	}
	said, found := follow(stderr, until, end)
	err = program.Wait()
	finished := time.Now()
	switch {
	case err != nil:
		return result{}, fmt.Errorf("%s: %w:\n%s", args[0], err, said)
	case until != "" && !found:
		return result{}, fmt.Errorf("%s ended without printing %q:\n%s", args[0], until, said)
	case lastByte != nil:
		finished = <-lastByte
	}
	usage, ok := program.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return result{}, errors.New("this system does not report the peak memory of a process")
	}
	return result{elapsed: finished.Sub(start) - pause, memory: int64(usage.Maxrss)}, nil //nolint:unconvert // 32 bits on some machines
}

// follow reads everything that a program writes, and calls end when it finds a text.
// It returns the last lines, and whether it found the text.
func follow(r io.Reader, text string, end func()) (said string, found bool) {
	var last []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if text != "" && !found && strings.Contains(lines.Text(), text) {
			found = true
			end()
		}
		last = append(last, lines.Text())
		last = last[max(0, len(last)-lastLines):]
	}
	_, _ = io.Copy(io.Discard, r) // what follows a line that is too long
	return strings.Join(last, "\n"), found
}

// lastLines is how many lines of a failed program's output to show.
const lastLines = 20

// wait waits until a file is complete, and returns when it last grew.
func wait(path string) time.Time {
	var size int64
	grown := time.Now()
	for size == 0 || time.Since(grown) < quiet {
		time.Sleep(poll)
		if info, err := os.Stat(path); err == nil && info.Size() != size {
			size, grown = info.Size(), time.Now()
		}
	}
	return grown
}
