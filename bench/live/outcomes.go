// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// fatal is a signal that would end a process if the process did not block it.
	fatal = unix.SIGUSR1
	// watches is how many processes the collector watches at most.
	watches = 4096
)

// startBlocking starts a process that blocks the fatal signal.
func startBlocking() (*exec.Cmd, error) {
	c := exec.Command("env", "--block-signal=USR1", "sleep", "1000")
	err := c.Start()
	return c, err
}

// watchingSources are the live sources; both report the same signals.
var watchingSources = []struct{ name, receiver string }{
	{"ebpf", "ebpf: {}"},
	{"netlink, unicast", "netlink: {mode: unicast}"},
}

// outcomes measures what it costs to watch the targets of signals: it compares the collector
// with and without outcomes.
func outcomes(o options) error {
	fmt.Println("\n| CPU us of the collector | with outcomes | without | compared | added |")
	fmt.Println("|---|--:|--:|--:|--:|")
	for _, s := range watchingSources {
		for what, name := range map[string]string{
			"fatal": "a signal to a watched process", "deaths": "a signal that ends a process",
		} {
			with, without, err := bothWays(o, s.receiver, what)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Printf("| %s: %s | %.1f | %.1f | %.2f | %.1f |\n", s.name, name, with, without, with/without, with-without)
			if what == "fatal" {
				o.aims.atMost(s.name+": us that outcomes add to a signal", with-without, 2)
			}
		}
	}
	fmt.Printf("\n| %d processes that were sent a fatal signal, and live | MB with outcomes | without | added | "+
		"CPU %% with | without |\n", watches)
	fmt.Println("|---|--:|--:|--:|--:|--:|")
	for _, s := range watchingSources {
		with, err := manyWatches(o, s.receiver, true)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		without, err := manyWatches(o, s.receiver, false)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("| %s | %.1f | %.1f | %.1f | %.2f | %.2f |\n", s.name, with.resident, without.resident,
			with.resident-without.resident, with.busy, without.busy)
		o.aims.atMost(s.name+": MB for 4096 watches", with.resident-without.resident, 10)
	}
	return nil
}

// configured returns the configuration of a receiver with outcomes enabled or disabled.
func configured(receiver string, enabled bool) string {
	return fmt.Sprintf("{%s, signals: [USR1, KILL], outcome: {enabled: %t, timeout: 1h}}", receiver, enabled)
}

// bothWays returns the CPU time of the collector per signal in microseconds, with and
// without outcomes. It is the least of several rounds, in turn.
func bothWays(o options, receiver, what string) (with, without float64, err error) {
	for range max(o.rounds/2, 1) {
		for _, enabled := range []bool{true, false} {
			used, err := costOf(o, configured(receiver, enabled), what)
			if err != nil {
				return 0, 0, err
			}
			least := &without
			if enabled {
				least = &with
			}
			if *least == 0 || used < *least {
				*least = used
			}
		}
	}
	return with, without, nil
}

func costOf(o options, receiver, what string) (used float64, err error) {
	c, err := startCollector(o.collector, receiver, toNowhere)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	before := c.cpu()
	sent, err := startSender(what, 10_000, 3*time.Second).wait()
	if err != nil {
		return 0, err
	}
	time.Sleep(time.Second) // for the last signals and their outcomes
	if taken := c.count(); taken < sent.signals*99/100 {
		return 0, fmt.Errorf("took %d signals of %d (%s)", taken, sent.signals, c.losses())
	}
	return float64((c.cpu() - before).Microseconds()) / float64(sent.signals), nil
}

// deaths starts processes and kills each of them, for some time.
func deaths(duration time.Duration) (sent, error) {
	var result sent
	start := time.Now()
	for time.Since(start) < duration {
		target := exec.Command("sleep", "1000")
		if err := target.Start(); err != nil {
			return sent{}, err
		}
		if err := target.Process.Kill(); err != nil {
			return sent{}, err
		}
		_ = target.Wait() // it was killed
		result.signals++
	}
	result.elapsed = time.Since(start)
	return result, nil
}

// burden is what a collector uses while nothing happens.
type burden struct {
	// resident is in MB, busy in percent of a processor.
	resident, busy float64
}

// manyWatches has the collector watch as many processes as it can.
func manyWatches(o options, receiver string, enabled bool) (b burden, err error) {
	c, err := startCollector(o.collector, configured(receiver, enabled), toNowhere)
	if err != nil {
		return burden{}, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	var targets []*exec.Cmd
	defer func() {
		for _, target := range targets {
			_, _ = target.Process.Kill(), target.Wait() // it is our child, and ends
		}
	}()
	for range watches {
		target, err := startBlocking()
		if err != nil {
			return burden{}, err
		}
		targets = append(targets, target)
	}
	time.Sleep(time.Second) // until all have blocked the signal
	for _, target := range targets {
		if err := target.Process.Signal(fatal); err != nil {
			return burden{}, err
		}
	}
	time.Sleep(5 * time.Second)
	if watched, _ := c.metric("otelcol_receiver_audit_kill_outcome_watches"); enabled && watched < watches*99/100 {
		return burden{}, fmt.Errorf("watches %.0f processes of %d (%s)", watched, watches, c.losses())
	}
	const quiet = 20 * time.Second
	before := c.cpu()
	time.Sleep(quiet)
	b.busy = 100 * (c.cpu() - before).Seconds() / quiet.Seconds()
	b.resident = float64(c.resident()) / (1 << 20)
	return b, nil
}
