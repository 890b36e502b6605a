// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// behindParts are the parts of behind. Each needs the path of a manager's socket.
var behindParts = []struct {
	name string
	run  func(o options, listed string) error
}{
	{"behind.calls", behindCalls},
	{"behind.signals", behindSignals},
	{"behind.latencies", behindLatencies},
	{"behind.processes", behindProcesses},
}

// behind measures what it costs to find out who is behind signals: it compares the collector with and without
// attribution.
func behind(o options) error {
	for _, part := range behindParts {
		if err := partOfBehind(o, part.run); err != nil {
			return err
		}
	}
	return nil
}

func partOfBehind(o options, run func(o options, listed string) error) error {
	folder, err := os.MkdirTemp("/tmp", "auditkill-behind-")
	if err != nil {
		return err
	}
	return errors.Join(run(o, filepath.Join(folder, "listed")), os.RemoveAll(folder))
}

// attributed returns the configuration of a receiver with attribution enabled or disabled.
func attributed(settings, listed string, enabled bool) string {
	return fmt.Sprintf("{ebpf: {}, attribution: {enabled: %t, sockets: [%s]}%s}", enabled, listed, settings)
}

// attributedCalls are the calls that attribution may cost something. Each has a path if it connects.
func attributedCalls(listed string) [][3]string {
	folder := filepath.Dir(listed)
	other := "/tmp/another_"
	return [][3]string{
		{"kill(2) that is reported", "kill"},
		{"getppid(2)", "getppid"},
		{"getuid(2) of root, which returns 0", "getuid"},
		{"connect(2) of a datagram socket of IPv4", "connect", ""},
		{"connect(2), Unix, another length", "connect", filepath.Join(folder, strings.Repeat("x", 70))},
		{"connect(2), Unix, another beginning", "connect", other + strings.Repeat("x", len(listed)-len(other))},
		{"connect(2), Unix, the same length and beginning", "connect", filepath.Join(folder, "others")},
		{"connect(2), Unix, listed", "connect", listed},
	}
}

// behindCalls measures what attribution adds to system calls.
func behindCalls(o options, listed string) error {
	for _, way := range []struct{ name, settings string }{
		{"ebpf", ", signals: [CONT]"},
		{"ebpf, include_failed: false", ", signals: [CONT], include_failed: false"},
	} {
		states := []func() (taker, error){
			func() (taker, error) { return nil, auditctl("-e", "0") },
			func() (taker, error) {
				return startCollector(o.collector, attributed(way.settings, listed, false), toNowhere)
			},
			func() (taker, error) {
				return startCollector(o.collector, attributed(way.settings, listed, true), toNowhere)
			},
		}
		calls := attributedCalls(listed)
		least := make([][3]time.Duration, len(calls))
		for range o.rounds {
			for i, state := range states {
				if err := timeAll(calls, state, func(call int) *time.Duration { return &least[call][i] }); err != nil {
					return fmt.Errorf("%s: %w", way.name, err)
				}
			}
		}
		fmt.Printf("\n| %s: least ns of a call | no collector | attribution disabled | enabled | compared | added |\n", way.name)
		fmt.Println("|---|--:|--:|--:|--:|--:|")
		for i, call := range calls {
			without, with := least[i][1], least[i][2]
			fmt.Printf("| %s | %d | %d | %d | %.2f | %d |\n", call[0], least[i][0].Nanoseconds(), without.Nanoseconds(),
				with.Nanoseconds(), float64(with)/float64(without), (with - without).Nanoseconds())
			if strings.HasPrefix(call[0], "connect(2), Unix") && call[2] != listed {
				o.aims.atMost(way.name+": "+call[0]+": ns that attribution adds", float64((with - without).Nanoseconds()), 60)
			}
		}
	}
	return nil
}

// timeAll times all calls while a program runs, and updates the least time of each.
func timeAll(calls [][3]string, with func() (taker, error), least func(call int) *time.Duration) error {
	started, err := with()
	if err != nil {
		return err
	}
	for i, call := range calls {
		result, failed := startSender(call[1], 100_000, 0, call[2]).wait()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", call[0], failed))
			break
		}
		if shortest := least(i); *shortest == 0 || result.least < *shortest {
			*shortest = result.least
		}
	}
	if started != nil {
		err = errors.Join(err, started.stop())
	}
	return err
}

// behindSignals measures the CPU time for signals that are no manager's, of two collectors that take the same signals at
// the same time. With attribution the command lines of a sender's parents are told as well, which is most of the difference
// if there are some. What managers do meanwhile counts, too.
func behindSignals(o options, listed string) error {
	ways := []struct {
		name, settings string
		start          func(what string, number int, duration time.Duration) *sender
	}{
		{"sent by a child of init, command_line: off", `, command_line: "off"`, startOrphan},
		{"sent by a child of this program, command_line: off", `, command_line: "off"`, startChild},
		{"sent by a child of init", "", startOrphan},
		{"sent by a child of this program", "", startChild},
	}
	costs := make([][2][]float64, len(ways))
	for round := range o.rounds {
		for i, way := range ways {
			used, err := costBothWays(o, round, func(enabled bool) string {
				return attributed(", signals: [CONT]"+way.settings, listed, enabled)
			}, way.start)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			for enabled := range used {
				costs[i][enabled] = append(costs[i][enabled], used[enabled])
			}
		}
	}
	fmt.Println("\n| CPU us of the collector for a signal, to a file, median | attribution disabled | enabled | compared | added | " +
		"from | to |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|")
	for i, way := range ways {
		without, with := costs[i][0], costs[i][1]
		added := make([]float64, len(with))
		for round := range with {
			added[round] = with[round] - without[round]
		}
		fmt.Printf("| %s | %.1f | %.1f | %.2f | %.1f | %.1f | %.1f |\n", way.name, median(without), median(with),
			median(with)/median(without), median(added), slices.Min(added), slices.Max(added))
	}
	return nil
}

func startChild(what string, number int, duration time.Duration) *sender {
	return startSender(what, number, duration)
}

// costBothWays returns the CPU microseconds for a signal of a collector with attribution disabled, and of one with it
// enabled, which run at the same time.
func costBothWays(o options, round int, receiver func(enabled bool) string,
	from func(what string, number int, duration time.Duration) *sender,
) (used [2]float64, err error) {
	var both [2]*collector
	for i := range both {
		enabled := (i + round) % 2 // which starts first may matter
		c, failed := startCollector(o.collector, receiver(enabled == 1), toFile)
		if failed != nil {
			return used, failed
		}
		defer func() { err = errors.Join(err, c.stop()) }()
		both[enabled] = c
	}
	return costOfBoth(both, from("rate", 10_000, 10*time.Second))
}

// costOfBoth returns the CPU microseconds of two collectors for each of the same signals.
func costOfBoth(both [2]*collector, s *sender) (used [2]float64, err error) {
	var before [2]time.Duration
	var count [2]int
	for i, c := range both {
		before[i], count[i] = c.cpu(), c.count()
	}
	sent, err := s.wait()
	if err != nil {
		return used, err
	}
	for i, c := range both {
		settled(c, count[i]+sent.signals)
		if taken := c.count() - count[i]; taken < sent.signals*99/100 {
			return used, fmt.Errorf("took %d signals of %d (%s)", taken, sent.signals, c.losses())
		}
	}
	for i, c := range both {
		used[i] = float64((c.cpu() - before[i]).Microseconds()) / float64(sent.signals)
	}
	return used, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// behindLatencies measures whether signals that are no manager's arrive later.
func behindLatencies(o options, listed string) error {
	names := [2]string{"disabled", "enabled"}
	settings := fmt.Sprintf(", signals: [CONT], senders: [%.15s]", filepath.Base(os.Args[0])) // a systemd sends it, too
	var p50, p99 [2][]float64
	for range max(o.rounds/2, 1) {
		for i := range names {
			times, err := latency(func(exporter string) (*collector, error) {
				return startCollector(o.collector, attributed(settings, listed, i == 1), exporter)
			})
			if err != nil {
				return fmt.Errorf("latency, attribution %s: %w", names[i], err)
			}
			p50[i], p99[i] = append(p50[i], times.at(0.5)), append(p99[i], times.at(0.99))
		}
	}
	fmt.Println("\n| kill(2) to the backend at 1,000 a second, ebpf | p50 ms | p99 ms |")
	fmt.Println("|---|--:|--:|")
	for i, name := range names {
		fmt.Printf("| attribution %s | %.1f | %.1f |\n", name, median(p50[i]), median(p99[i]))
		o.aims.atMost("ebpf, attribution "+name+": p99 from kill(2) to the backend, ms", median(p99[i]), 10)
	}
	return nil
}

// busy is what happens while many processes start, and somebody has some of them stopped.
type busy struct {
	// processes and stops are how many a second; seen the part of the stops of which it is told
	// who may have wanted them.
	processes, stops, seen float64
	// resident is in MB, cpu in percent of a processor.
	resident, cpu float64
}

// behindProcesses has as many processes started as the machine can, up to 10,000 a second, and 1,000 a minute stopped by
// a manager, whom somebody asks for each.
func behindProcesses(o options, listed string) error {
	names := [2]string{"disabled", "enabled"}
	var seen [2][]busy
	for range max(o.rounds/3, 1) {
		for i := range names {
			b, err := busyMinute(o, listed, i == 1)
			if err != nil {
				return fmt.Errorf("processes, attribution %s: %w", names[i], err)
			}
			seen[i] = append(seen[i], b)
		}
	}
	fmt.Println("\n| processes are started as fast as possible, 1,000 a minute are stopped | started a second | stopped a minute | " +
		"asked for, as is told | MB resident | CPU % of a processor |")
	fmt.Println("|---|--:|--:|--:|--:|--:|")
	for i, name := range names {
		of := func(value func(b busy) float64) float64 {
			var all []float64
			for _, b := range seen[i] {
				all = append(all, value(b))
			}
			return median(all)
		}
		fmt.Printf("| attribution %s | %.0f | %.0f | %.0f%% | %.1f | %.1f |\n", name, of(func(b busy) float64 { return b.processes }),
			60*of(func(b busy) float64 { return b.stops }), 100*of(func(b busy) float64 { return b.seen }),
			of(func(b busy) float64 { return b.resident }), of(func(b busy) float64 { return b.cpu }))
	}
	return nil
}

func busyMinute(o options, listed string, enabled bool) (b busy, err error) {
	c, err := startCollector(o.collector, attributed("", listed, enabled), toFile)
	if err != nil {
		return busy{}, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	before := c.cpu()
	const starters, second = 2, time.Second
	duration := time.Duration(20 * o.seconds * float64(second))
	var started [starters]*sender
	for i := range started {
		started[i] = startSender("processes", 10_000/starters, duration)
	}
	stops, err := startSender("stops", 1000, duration, listed).wait()
	for _, s := range started {
		processes, waited := s.wait()
		err = errors.Join(err, waited)
		b.processes += float64(processes.signals) / max(processes.elapsed, second).Seconds()
	}
	if err != nil {
		return busy{}, err
	}
	b.resident = float64(c.resident()) / (1 << 20)
	b.cpu = 100 * (c.cpu() - before).Seconds() / duration.Seconds()
	b.stops = float64(stops.signals) / stops.elapsed.Seconds()
	time.Sleep(2 * second) // for the last signals
	out, err := os.ReadFile(filepath.Join(c.folder, "out"))
	// A stop and its outcome both tell it, and so may those of others.
	told := bytes.Count(out, []byte("kill.requester.pid")) + bytes.Count(out, []byte("kill.requester.candidates"))
	b.seen = min(1, float64(told)/2/float64(stops.signals))
	return b, err
}
