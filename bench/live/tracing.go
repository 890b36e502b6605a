// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Configurations of the receiver: for the signal that is sent, or for another signal or target.
const (
	traceSent         = "{ebpf: {}, signals: [CONT]}"
	traceSentPlain    = "{ebpf: {}, signals: [CONT], include_failed: false}"
	traceOther        = "{ebpf: {}, signals: [KILL]}"
	traceOtherPlain   = "{ebpf: {}, signals: [KILL], include_failed: false}"
	traceOtherTargets = "{ebpf: {}, signals: [CONT], targets: [nobody], include_failed: false}"
)

// tracing measures what the ebpf source adds to system calls, compared with auditd and
// bpftrace's killsnoop.
func tracing(o options) error {
	const calls = 200_000
	type row struct {
		name, call string
		with       func() (taker, error)
		base       int // the row to compare with
		least      time.Duration
	}
	nothing := func() (taker, error) { return nil, auditctl("-e", "0") }
	auditd := func() (taker, error) { return startAuditd("RAW") }
	ours := func(receiver string) func() (taker, error) {
		return func() (taker, error) { return startCollector(o.collector, receiver, toNowhere) }
	}
	rows := []*row{
		{name: "getppid(2), nothing", call: "getppid", with: nothing},
		{name: "getppid(2), ebpf, include_failed: false", call: "getppid", with: ours(traceSentPlain)},
		{name: "getppid(2), ebpf", call: "getppid", with: ours(traceSent)},
		{name: "getppid(2), killsnoop.bt", call: "getppid", with: startKillsnoop},
		{name: "getppid(2), auditd's single rule", call: "getppid", with: auditd},
		{name: "kill(2), nothing", call: "kill", with: nothing, base: 5},
		{name: "kill(2) of another signal, ebpf, include_failed: false", call: "kill", with: ours(traceOtherPlain), base: 5},
		{name: "kill(2) of another target, ebpf, include_failed: false", call: "kill", with: ours(traceOtherTargets), base: 5},
		{name: "kill(2) of another signal, ebpf", call: "kill", with: ours(traceOther), base: 5},
		{name: "kill(2) that is reported, ebpf, include_failed: false", call: "kill", with: ours(traceSentPlain), base: 5},
		{name: "kill(2) that is reported, ebpf", call: "kill", with: ours(traceSent), base: 5},
		{name: "kill(2) that is reported, killsnoop.bt", call: "kill", with: startKillsnoop, base: 5},
		{name: "kill(2) that is reported, auditd", call: "kill", with: auditd, base: 5},
	}
	for range o.rounds {
		for _, r := range rows {
			if err := timeOnce(r.name, r.call, calls, r.with, &r.least); err != nil {
				return err
			}
		}
	}
	fmt.Println("| least time of a call | ns | compared with nothing | added ns |")
	fmt.Println("|---|--:|--:|--:|")
	for _, r := range rows {
		base := rows[r.base].least
		fmt.Printf("| %s | %d | %.2f | %d |\n", r.name, r.least.Nanoseconds(), float64(r.least)/float64(base),
			(r.least - base).Nanoseconds())
		switch {
		case !strings.Contains(r.name, "ebpf"):
		case r.call == "getppid":
			o.aims.atMost(r.name+": times nothing", float64(r.least)/float64(base), 1.01)
		case strings.Contains(r.name, "reported"):
			o.aims.atMost(r.name+": added ns", float64((r.least - base).Nanoseconds()), 200)
		case r.call == "kill":
			o.aims.atMost(r.name+": times nothing", float64(r.least)/float64(base), 1.1)
		}
	}
	added := func(row int) float64 { return float64(rows[row].least - rows[rows[row].base].least) }
	o.aims.atMost("kill(2) that is reported: what ebpf adds, times what killsnoop.bt adds", added(10)/added(11), 1)
	o.aims.atMost("kill(2) that is reported: what ebpf adds, times what auditd adds", added(10)/added(12), 0.1)
	return nil
}

// throughput finds the highest rate at which each signal gets a record of its own, on the way to a file and to nowhere.
func throughput(o options) error {
	fmt.Println("\n| each signal in a record of its own | signals a second | CPU seconds for 100,000 |")
	fmt.Println("|---|--:|--:|")
	for _, way := range []struct {
		name, receiver, exporter string
		cpu                      float64 // that is asked for
	}{
		{"ebpf, to a file, as protobuf", traceSent, toFile, 0.6},
		{"ebpf, include_failed: false, to a file, as protobuf", traceSentPlain, toFile, 0.6},
		{"ebpf, to the debug exporter", traceSent, toNowhere, 0.5},
	} {
		c, err := startCollector(o.collector, way.receiver, way.exporter)
		if err != nil {
			return err
		}
		cpu, err := cost(c)
		rate := 0.0
		if err == nil {
			rate, err = highestRate(c, time.Duration(o.seconds*float64(time.Second)))
		}
		err = errors.Join(err, c.stop())
		if err != nil {
			return err
		}
		fmt.Printf("| %s | %.0f | %.2f |\n", way.name, rate, cpu)
		o.aims.atLeast(way.name+": signals a second", rate, 200_000)
		o.aims.atMost(way.name+": CPU seconds for 100,000", cpu, way.cpu)
	}
	return nil
}

// burst sends a million signals as fast as four senders can, and counts how many are told: each by a record of its
// own, or in a sum.
func burst(o options) error {
	const senders, signals = 4, 250_000
	c, err := startCollector(o.collector, traceSent, toFile)
	if err != nil {
		return err
	}
	var started []*sender
	begin := time.Now()
	for range senders {
		started = append(started, startSender("flood", signals, 0))
	}
	for _, s := range started {
		if _, waited := s.wait(); waited != nil {
			err = errors.Join(err, waited)
		}
	}
	elapsed := time.Since(begin)
	told := joiner{c}
	settled(told, senders*signals)
	fmt.Printf("\nA million signals from %d senders in %.1f s: %d told, by %d records (%s)\n",
		senders, elapsed.Seconds(), told.count(), c.count(), c.losses())
	o.aims.atLeast("signals told of a million", float64(told.count()), senders*signals)
	return errors.Join(err, c.stop())
}

// joiner counts signals instead of records: those that waited or had no room are told as sums (kill.count).
type joiner struct{ *collector }

func (j joiner) count() int { return int(j.signals()) }

// idle measures the collector while no signals are sent.
func idle(o options) error {
	c, err := startCollector(o.collector, "{ebpf: {}}", toNowhere)
	if err != nil {
		return err
	}
	const minute = time.Minute
	time.Sleep(5 * time.Second) // until its start is complete
	before := c.cpu()
	time.Sleep(minute)
	used := c.cpu() - before
	share, resident := 100*used.Seconds()/minute.Seconds(), c.resident()>>20
	fmt.Printf("\nIdle for a minute: %.2f%% of a processor, %d MB resident\n", share, resident)
	o.aims.atMost("idle, % of a processor", share, 0.05)
	o.aims.atMost("idle, MB resident", float64(resident), 40)
	return c.stop()
}

// resident returns the resident memory of a program, in bytes.
func (p *program) resident() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	var size, resident int
	_, _ = fmt.Sscan(string(text), &size, &resident)
	return resident * os.Getpagesize()
}

// killsnoop is bpftrace's tool killsnoop.bt.
type killsnoop struct {
	*program
	unmount func() error
}

// startKillsnoop starts killsnoop.bt.
func startKillsnoop() (taker, error) {
	path := tool("killsnoop.bt")
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("bpftrace is not installed; on Debian: apt-get install bpftrace: %w", err)
	}
	unmount, err := mountTracefs()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "killsnoop")
	if err != nil {
		return nil, err
	}
	k := &killsnoop{unmount: unmount}
	k.program = &program{command: exec.Command("bpftrace", path), folder: folder} //nolint:gosec // the path was looked up
	k.command.Stdout, k.command.Stderr = &k.said, &k.said
	k.command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	if err := k.command.Start(); err != nil {
		return nil, err
	}
	return k, await("bpftrace traces", func() bool { return strings.Contains(k.said.String(), "TPID") })
}

// mountTracefs mounts tracefs if necessary: bpftrace needs it to find the tracepoints of system calls.
func mountTracefs() (func() error, error) {
	const at = "/sys/kernel/tracing"
	if _, err := os.Stat(at + "/events"); err == nil {
		return func() error { return nil }, nil
	}
	if err := unix.Mount("tracefs", at, "tracefs", 0, ""); err != nil {
		return nil, fmt.Errorf("mounting tracefs: %w", err)
	}
	return func() error { return unix.Unmount(at, 0) }, nil
}

func (k *killsnoop) count() int { return strings.Count(k.said.String(), "\n") }

func (k *killsnoop) stop() error {
	err := k.command.Process.Signal(unix.SIGINT)
	_ = k.command.Wait() // its exit status means nothing here
	return errors.Join(err, os.RemoveAll(k.folder), k.unmount())
}
