// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
)

// callTimes measures what the rules add to system calls.
func callTimes(o options) error {
	const calls = 200_000
	type row struct {
		name, call string
		with       func() (taker, error)
		least      time.Duration
	}
	nothing := func() (taker, error) { return nil, auditctl("-e", "0") }
	ours := func() (taker, error) { return startNetlink(o.collector, "unicast", toNowhere) }
	usual := func() (taker, error) { return startAuditd("RAW") }
	rows := []*row{
		{name: "getppid(2), nothing", call: "getppid", with: nothing},
		{name: "getppid(2), auditd's single rule", call: "getppid", with: usual},
		{name: "getppid(2), our rules", call: "getppid", with: ours},
		{name: "kill(2), nothing", call: "kill", with: nothing},
		{name: "kill(2) with signal 0, our rules", call: "kill0", with: ours},
		{name: "kill(2) that is recorded, auditd", call: "kill", with: usual},
		{name: "kill(2) that is recorded, our rules", call: "kill", with: ours},
	}
	for range o.rounds {
		for _, r := range rows {
			number := calls
			if r.call == "kill" {
				number /= 10
			}
			if err := timeOnce(r.name, r.call, number, r.with, &r.least); err != nil {
				return err
			}
		}
	}
	fmt.Println("| least time of a call | ns | compared with nothing | compared with auditd |")
	fmt.Println("|---|--:|--:|--:|")
	for i, r := range rows {
		base, auditd := rows[0], rows[1]
		if i > 2 {
			base, auditd = rows[3], rows[5]
		}
		fmt.Printf("| %s | %d | %.2f | %.2f |\n", r.name, r.least.Nanoseconds(),
			float64(r.least)/float64(base.least), float64(r.least)/float64(auditd.least))
	}
	o.aims.atMost("netlink: getppid(2), times that with auditd's single rule", float64(rows[2].least)/float64(rows[1].least), 1.1)
	return nil
}

// timeOnce times calls while a program runs, and updates the least time.
func timeOnce(name, call string, calls int, with func() (taker, error), least *time.Duration) error {
	started, err := with()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	result, err := startSender(call, calls, 0).wait()
	if started != nil {
		err = errors.Join(err, started.stop())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if *least == 0 || result.least < *least {
		*least = result.least
	}
	return nil
}

// latencies measures how long after kill(2) the log record arrives at a backend.
func latencies(o options) error {
	fmt.Println("\n| kill(2) to the backend at 1,000 a second | p50 ms | p99 ms | most ms |")
	fmt.Println("|---|--:|--:|--:|")
	for _, mode := range []string{"unicast", "multicast"} {
		times, err := netlinkLatency(o, mode)
		if err != nil {
			return fmt.Errorf("latency, %s: %w", mode, err)
		}
		fmt.Printf("| receiver, %s | %.1f | %.1f | %.1f |\n", mode, times.at(0.5), times.at(0.99), times.at(1))
		o.aims.atMost("netlink, "+mode+": p99 from kill(2) to the backend, ms", times.at(0.99), 15)
	}
	return nil
}

func netlinkLatency(o options, mode string) (times durations, err error) {
	if mode == "multicast" {
		var daemon *auditd
		if daemon, err = startQuietAuditd("RAW"); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, daemon.program.stop()) }()
	}
	return latency(func(exporter string) (*collector, error) { return startNetlink(o.collector, mode, exporter) })
}

// durations are in nanoseconds, the shortest first.
type durations []int64

// at returns the milliseconds that a part of all takes at most.
func (d durations) at(part float64) float64 { return float64(d[int(part*float64(len(d)-1))]) / 1e6 }

// latency returns how long after kill(2) each record arrives at a backend.
func latency(start func(exporter string) (*collector, error)) (arrived durations, err error) {
	b, err := startBackend()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.server.Close()) }()
	c, err := start(fmt.Sprintf(toBackend, b.address))
	if err != nil {
		return nil, err
	}
	sent, err := startSender("times", 1000, 10*time.Second).wait()
	if err == nil {
		err = await("all records have arrived", func() bool { return b.len() >= len(sent.times) })
	}
	if err != nil {
		err = fmt.Errorf("%w: %d of %d: %s", err, b.len(), len(sent.times), c.losses())
	}
	arrived = b.inOrder() // before the signal that ends the collector, which it also reports
	err = errors.Join(err, c.stop())
	if err != nil {
		return nil, err
	}
	if len(arrived) != len(sent.times) {
		return nil, fmt.Errorf("%d records of %d signals", len(arrived), len(sent.times))
	}
	for i := range arrived {
		arrived[i] -= sent.times[i]
	}
	slices.Sort(arrived)
	return arrived, nil
}

// backend takes log records over OTLP/HTTP, and notes when.
type backend struct {
	address string
	server  *http.Server

	mutex   sync.Mutex
	arrived map[int64]int64 // by the kernel's number of the event, or its time
}

func startBackend() (*backend, error) {
	listener, err := net.Listen("tcp", "localhost:0") //nolint:noctx // at once
	if err != nil {
		return nil, err
	}
	b := &backend{address: listener.Addr().String(), arrived: make(map[int64]int64)}
	b.server = &http.Server{Handler: b, ReadHeaderTimeout: patience}
	go func() {
		if err := b.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(os.Stderr, "backend:", err)
		}
	}()
	return b, nil
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := monotonic()
	var logs plog.Logs
	body, err := io.ReadAll(r.Body)
	if err == nil {
		// An export request looks like LogsData (opentelemetry-proto).
		logs, err = new(plog.ProtoUnmarshaler).UnmarshalLogs(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	each(logs, func(record plog.LogRecord) {
		number := int64(record.Timestamp())
		if serial, ok := record.Attributes().Get("kill.audit.serial"); ok {
			number = serial.Int()
		}
		b.arrived[number] = now
	})
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func each(logs plog.Logs, do func(plog.LogRecord)) {
	for _, resource := range logs.ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				do(record)
			}
		}
	}
}

func (b *backend) len() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return len(b.arrived)
}

// inOrder returns the times at which records arrived, in the order in which they were sent.
func (b *backend) inOrder() []int64 {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	var serials, times []int64
	for serial := range b.arrived {
		serials = append(serials, serial)
	}
	slices.Sort(serials)
	for _, serial := range serials {
		times = append(times, b.arrived[serial])
	}
	return times
}
