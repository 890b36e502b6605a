// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// growth shows how the collector's CPU time and memory grow with the host: with the processes that live, the programs that
// are started, and the signals that are sent. Each level runs beside a collector of its own, so that none has what another left.
func growth(o options) error {
	restore, err := allowProcesses(2 * mostLiving)
	if err != nil {
		return err
	}
	defer restore()
	var all []curve
	for _, kind := range []struct {
		name, unit string
		levels     []int
		load       func(level int) (load, error)
	}{
		{"processes", "alive", []int{10, 100, 1000, 10_000, mostLiving}, living},
		{"programs started", "a second", []int{10, 100, 1000, 10_000}, starting},
		{signalsSent, "a second", []int{1, 10, 100, 1000, 10_000, 100_000, 200_000}, signaling},
	} {
		for _, source := range []struct{ name, receiver string }{
			{"ebpf", "{ebpf: {}, signals: [CONT]}"}, {"netlink, unicast", "{netlink: {mode: unicast}, signals: [CONT]}"},
		} {
			c := curve{kind: kind.name, unit: kind.unit, source: source.name}
			for _, level := range kind.levels {
				p, err := measureLevel(o, source.receiver, level, kind.load)
				if err != nil {
					return fmt.Errorf("%d %s, %s: %w", level, kind.name, source.name, err)
				}
				c.points = append(c.points, p)
				fmt.Fprintf(os.Stderr, "%s, %s: %+v\n", kind.name, source.name, p)
			}
			all = append(all, c)
		}
	}
	printCurves(all)
	return nil
}

// mostLiving is the largest host: some have as many processes.
const mostLiving = 100_000

const signalsSent = "signals sent"

// curve is how one source grows with one thing.
type curve struct {
	kind, unit, source string
	points             []point
}

// point is what a level takes.
type point struct {
	// wanted is the level; reached is what the machine managed of it, and sent how many signals or programs that were.
	wanted, reached, sent int
	// told is how many signals the log records stand for.
	told float64
	// cpu is in percent of a processor, resident in MB.
	cpu, resident float64
}

// load is what a level consists of.
type load struct {
	// run keeps it up for levelTime, and returns how much of it the machine managed: a second, and altogether.
	run func() (reached, sent int, err error)
	// end is nil if nothing is left.
	end func() error
}

// levelTime is how long a level lasts.
const levelTime = 6 * time.Second

func measureLevel(o options, receiver string, level int, begin func(level int) (load, error)) (p point, err error) {
	l, err := begin(level)
	if err != nil {
		return point{}, err
	}
	if l.end != nil {
		defer func() { err = errors.Join(err, l.end()) }()
	}
	c, err := startCollector(o.collector, receiver, toNowhere)
	if err != nil {
		return point{}, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	c.settle()
	before, start, count := c.cpu(), time.Now(), c.signals()
	reached, sent, err := l.run()
	if err != nil {
		return point{}, err
	}
	p = point{
		wanted: level, reached: reached, sent: sent, cpu: 100 * (c.cpu() - before).Seconds() / time.Since(start).Seconds(),
		resident: float64(c.resident()) / (1 << 20),
	}
	settled(joiner{c}, int(count)+sent) // the last ones may be counted a little later
	p.told = c.signals() - count
	return p, nil
}

// signals returns how many signals the log records stand for.
func (c *collector) signals() float64 {
	joined, _ := c.metric("otelcol_receiver_audit_kill_joined") // an unknown metric is 0
	return float64(c.count()) + joined
}

// living has processes live that do nothing.
func living(level int) (load, error) {
	herd := exec.Command(os.Args[0], senderRole, "living", strconv.Itoa(level), "0s") //nolint:gosec // this program
	herd.Stderr = os.Stderr
	hold, err := herd.StdinPipe()
	if err != nil {
		return load{}, err
	}
	ready, err := herd.StdoutPipe()
	if err != nil {
		return load{}, err
	}
	if err := herd.Start(); err != nil {
		return load{}, err
	}
	end := func() error { return errors.Join(hold.Close(), herd.Wait()) }
	var started int
	if _, err := fmt.Fscan(ready, &started); err != nil {
		return load{}, errors.Join(err, end())
	}
	return load{end: end, run: func() (int, int, error) {
		time.Sleep(levelTime)
		return started, started, nil
	}}, nil
}

// starting has programs started one after another by two processes.
func starting(level int) (load, error) {
	return load{run: func() (int, int, error) { return halves("processes", level) }}, nil
}

// signaling has signals sent by two processes to one each.
func signaling(level int) (load, error) {
	return load{run: func() (int, int, error) { return halves("rate", level) }}, nil
}

// halves has two senders do the same, and returns what they reach a second, and altogether.
func halves(what string, level int) (reached, sent int, err error) {
	return reachedBy([]*sender{startSender(what, level/2, levelTime), startSender(what, level-level/2, levelTime)})
}

func reachedBy(senders []*sender) (reached, sent int, err error) {
	rate := 0.0
	for _, s := range senders {
		has, failed := s.wait()
		err = errors.Join(err, failed)
		if failed == nil {
			sent += has.signals
			rate += float64(has.signals) / has.elapsed.Seconds()
		}
	}
	return int(rate + 0.5), sent, err
}

// settle waits until the collector has read the processes that live: with very many, that goes on after its start.
func (c *collector) settle() {
	const longest, calm = 2 * time.Minute, 50 * time.Millisecond
	for begin := time.Now(); time.Since(begin) < longest; {
		before := c.cpu()
		time.Sleep(time.Second)
		if c.cpu()-before < calm && time.Since(begin) > 3*time.Second {
			return
		}
	}
}

// allowProcesses lets the kernel have as many processes at once, and returns what restores its limit.
func allowProcesses(number int) (func(), error) {
	const path = "/proc/sys/kernel/pid_max"
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if limit >= number {
		return func() {}, nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(number)), 0); err != nil {
		return nil, err
	}
	return func() {
		if err := os.WriteFile(path, text, 0); err != nil {
			fmt.Fprintln(os.Stderr, "restoring the kernel's limit:", err)
		}
	}, nil
}

// printCurves prints a table of which tools/curves draws a picture.
func printCurves(all []curve) {
	fmt.Println("\n| what grows | | source | reached | CPU % of a processor | MB resident | signals told |")
	fmt.Println("|---|--:|---|--:|--:|--:|--:|")
	for _, c := range all {
		for _, p := range c.points {
			told := ""
			if c.kind == signalsSent {
				told = fmt.Sprintf("%.1f%%", min(100, 100*p.told/float64(p.sent)))
			}
			fmt.Printf("| %s, %s | %d | %s | %d | %.2f | %.1f | %s |\n", c.kind, c.unit, p.wanted, c.source, p.reached, p.cpu, p.resident, told)
		}
	}
}
