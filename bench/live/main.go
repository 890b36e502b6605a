// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command live compares the live sources with auditd and bpftrace on the running
// kernel. It measures how many signals per second they handle without a loss, what
// that costs, what they add to system calls, and how long after kill(2) the log
// record arrives at a backend. `make bench-netlink` and `make bench-ebpf` run parts
// of it.
//
// It needs root, auditd and auditctl, bpftrace for ebpf, and a kernel whose audit
// system is not in use, which it restores at the end.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// options are the command line options.
type options struct {
	collector string
	seconds   float64
	rounds    int
	parts     string
	// aims are those of this run.
	aims *aims
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == senderRole {
		if err := send(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "sender:", err)
			os.Exit(1)
		}
		return
	}
	if filepath.Base(os.Args[0]) == clientRole {
		if err := askManager(); err != nil {
			fmt.Fprintln(os.Stderr, clientRole+":", err)
			os.Exit(1)
		}
		return
	}
	o := options{aims: new(aims)}
	flag.StringVar(&o.collector, "collector", "_build/otelcol-auditkill", "the collector to measure")
	flag.Float64Var(&o.seconds, "seconds", 3, "how many seconds each rate must be sustained")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds of the timings, in turn; the least time counts")
	flag.StringVar(&o.parts, "parts", "calls loads latencies", "the parts to measure")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/live:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	if os.Getuid() != 0 {
		return errors.New("only root may use the kernel's audit system; run it with sudo")
	}
	restore, err := prepare()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.aims.write(os.Stdout), restore()) }()
	parts := map[string]func(options) error{
		"calls": callTimes, "loads": loads, "latencies": latencies,
		"tracing": tracing, "throughput": throughput, "burst": burst, "idle": idle, "outcomes": outcomes,
		"behind": behind, "growth": growth,
	}
	for _, part := range behindParts {
		parts[part.name] = func(o options) error { return partOfBehind(o, part.run) }
	}
	for name := range strings.FieldsSeq(o.parts) {
		part, ok := parts[name]
		if !ok {
			return fmt.Errorf("there is no part %q", name)
		}
		if err := part(o); err != nil {
			return err
		}
	}
	return nil
}

// loads measures how many signals per second each program handles, and what that costs.
func loads(o options) error {
	type row struct {
		name   string
		start  func() (taker, error)
		rate   float64 // the highest per second without loss
		waited bool    // whether the kernel makes the senders wait
		cpu    float64 // seconds for 100,000 signals
	}
	rows := []*row{
		{name: "auditd, raw", start: func() (taker, error) { return startAuditd("RAW") }, waited: true},
		{name: "auditd, enriched", start: func() (taker, error) { return startAuditd("ENRICHED") }, waited: true},
		{name: "receiver, unicast", start: func() (taker, error) { return startNetlink(o.collector, "unicast", toNowhere) }},
		{name: "receiver, multicast", start: func() (taker, error) { return startBoth(o.collector) }},
	}
	for _, r := range rows {
		started, err := r.start()
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		r.cpu, err = cost(started)
		if err == nil && r.waited {
			r.rate, err = waitedRate(started)
		} else if err == nil {
			r.rate, err = highestRate(started, time.Duration(o.seconds*float64(time.Second)))
		}
		if err = errors.Join(err, started.stop()); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f/s, %.2f s for 100,000\n", r.name, r.rate, r.cpu)
	}
	fmt.Println("\n| | signals a second without loss | compared | CPU seconds for 100,000 signals | compared |")
	fmt.Println("|---|--:|--:|--:|--:|")
	for _, r := range rows {
		note := ""
		if r.waited {
			note = " (senders made to wait)"
		}
		fmt.Printf("| %s | %.0f%s | %.2f | %.2f | %.2f |\n", r.name, r.rate, note, r.rate/rows[0].rate, r.cpu, r.cpu/rows[1].cpu)
	}
	o.aims.atLeast("netlink, unicast: signals a second without loss, times those of auditd", rows[2].rate/rows[0].rate, 1)
	o.aims.atMost("netlink, unicast: CPU, times that of auditd (enriched)", rows[2].cpu/rows[1].cpu, 0.45)
	o.aims.atMost("netlink, multicast: CPU, times that of auditd (enriched)", rows[3].cpu/rows[1].cpu, 0.495)
	return nil
}

// cost returns the CPU seconds for 100,000 signals, at a rate that every program
// sustains.
func cost(t taker) (float64, error) {
	const rate, seconds = 10_000, 10
	before, count := t.cpu(), t.count()
	sent, err := startOrphan("rate", rate, seconds*time.Second).wait()
	if err != nil {
		return 0, err
	}
	settled(t, count+sent.signals)
	taken := t.count() - count
	if taken < sent.signals*99/100 {
		return 0, fmt.Errorf("took %d signals of %d at %d a second", taken, sent.signals, rate)
	}
	return (t.cpu() - before).Seconds() / float64(taken) * 100_000, nil
}

// waitedRate returns how many signals per second are sent while the kernel makes the
// senders wait for the daemon.
func waitedRate(t taker) (float64, error) {
	const signals = 200_000
	count := t.count()
	sent, err := startSender("flood", signals, 0).wait()
	if err != nil {
		return 0, err
	}
	settled(t, count+signals)
	taken := t.count() - count
	if taken < signals*99/100 {
		return 0, fmt.Errorf("took %d signals of %d", taken, signals)
	}
	return float64(taken) / sent.elapsed.Seconds(), nil
}

// highestRate raises the rate until a signal is lost three times in a row: a single loss
// may be due to another program on the machine.
func highestRate(t taker, hold time.Duration) (float64, error) {
	highest := 0.0
	failed := 0
	for rate := 20_000; rate < 2_000_000 && failed < 3; {
		count, lost := t.count(), kernelLost()
		sent, err := startOrphan("rate", rate, hold).wait()
		if err != nil {
			return 0, err
		}
		reached := float64(sent.signals) / sent.elapsed.Seconds()
		if settled(t, count+sent.signals) && kernelLost() == lost {
			highest, failed = max(highest, reached), 0
			if reached < 0.9*float64(rate) {
				break // the sender has reached its limit
			}
			rate += rate / 5
			continue
		}
		failed++
	}
	return highest, nil
}

// settled waits until this many signals have been taken, and reports whether exactly so
// many were.
func settled(t taker, count int) bool {
	last, since := -1, time.Now()
	for {
		now := t.count()
		switch {
		case now >= count:
			return now == count
		case now != last:
			last, since = now, time.Now()
		case time.Since(since) > 3*time.Second:
			return false
		}
		time.Sleep(250 * time.Millisecond) // asking costs the collector CPU time, too
	}
}
