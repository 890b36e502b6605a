// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// taker is a program that takes signals from the kernel.
type taker interface {
	// count returns how many signals it has taken.
	count() int
	// cpu returns the CPU time that it has used.
	cpu() time.Duration
	stop() error
}

const patience = 30 * time.Second

// await waits for a condition, and returns an error if it does not become true.
func await(what string, condition func() bool) error {
	for start := time.Now(); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > patience {
			return fmt.Errorf("timed out waiting until %s", what)
		}
	}
	return nil
}

// program is a running program.
type program struct {
	command *exec.Cmd
	said    output
	folder  string
}

// output collects what a program writes.
type output struct {
	mutex sync.Mutex
	text  []byte
}

// Write implements io.Writer.
func (o *output) Write(text []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.text = append(o.text, text...)
	return len(text), nil
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return string(o.text)
}

func start(folder, path string, args ...string) (*program, error) {
	p := &program{command: exec.Command(path, args...), folder: folder}
	p.command.Stderr = &p.said
	p.command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	return p, p.command.Start()
}

func (p *program) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * (time.Second / 100) // USER_HZ
}

func (p *program) stop() error {
	err := p.command.Process.Signal(unix.SIGTERM)
	if err == nil {
		err = p.command.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", p.command.Path, err, p.said.String())
	}
	return errors.Join(err, os.RemoveAll(p.folder))
}

// auditd is a real audit daemon, with the rule that most administrators use.
type auditd struct {
	*program
	log      string
	seen     int
	position int64
}

var usualRule = []string{"exit,always", "-F", "arch=b64", "-S", "kill", "-F", "a1!=0", "-k", "audit_kill"}

// startAuditd starts auditd with a rule that records the signals.
func startAuditd(format string) (*auditd, error) {
	a, err := startQuietAuditd(format)
	if err != nil {
		return nil, err
	}
	return a, auditctl(append([]string{"-a"}, usualRule...)...)
}

// startQuietAuditd starts auditd without a rule.
func startQuietAuditd(format string) (*auditd, error) {
	folder, err := os.MkdirTemp("", "auditd")
	if err != nil {
		return nil, err
	}
	a := &auditd{log: filepath.Join(folder, "audit.log")}
	config := fmt.Sprintf("local_events = yes\nlog_file = %s\nlog_format = %s\nlog_group = root\nflush = INCREMENTAL_ASYNC\n"+
		"freq = 50\nmax_log_file = 10000\nmax_log_file_action = IGNORE\nspace_left = 2\nspace_left_action = IGNORE\n"+
		"admin_space_left = 1\nadmin_space_left_action = IGNORE\ndisk_full_action = IGNORE\ndisk_error_action = IGNORE\n"+
		"plugin_dir = %s\n", a.log, format, folder)
	err = os.WriteFile(filepath.Join(folder, "auditd.conf"), []byte(config), 0o600)
	if err != nil {
		return nil, err
	}
	if a.program, err = start(folder, tool("auditd"), "-n", "-c", folder); err != nil {
		return nil, err
	}
	pid := strconv.Itoa(a.command.Process.Pid)
	err = await("auditd is registered", func() bool { return status()["pid"] == pid })
	if err != nil {
		return nil, err
	}
	return a, errors.Join(auditctl("-b", "8192"), auditctl("-e", "1"))
}

// count reads what has been written since the last call.
func (a *auditd) count() int {
	file, err := os.Open(a.log)
	if err != nil {
		return a.seen
	}
	defer func() { _ = file.Close() }() // it was only read
	buffer := make([]byte, 1<<20)
	for {
		n, err := file.ReadAt(buffer, a.position)
		whole := bytes.LastIndexByte(buffer[:n], '\n') + 1
		a.seen += bytes.Count(buffer[:whole], []byte("type=OBJ_PID"))
		a.position += int64(whole)
		if err != nil || whole == 0 {
			return a.seen
		}
	}
}

func (a *auditd) stop() error {
	err := auditctl(append([]string{"-d"}, usualRule...)...)
	return errors.Join(err, a.program.stop())
}

// collector is a running collector.
type collector struct {
	*program
	metrics string
}

const collectorConfig = `
receivers:
  audit_kill: %s
exporters:
  to: %s
service:
  pipelines:
    logs: {receivers: [audit_kill], exporters: [to]}
  telemetry:
    metrics:
      readers: [{pull: {exporter: {prometheus: {host: localhost, port: %d}}}}]
`

// The exporters of a collector.
const (
	toNowhere = "debug {verbosity: basic}"
	toFile    = "file {path: %s/out, format: proto}"
	toBackend = `otlp_http {endpoint: "http://%s", compression: none, sending_queue: {enabled: false}}`
)

// startNetlink starts a collector with the netlink source.
func startNetlink(path, mode, exporter string) (*collector, error) {
	return startCollector(path, fmt.Sprintf("{netlink: {mode: %s}, signals: [CONT]}", mode), exporter)
}

// startCollector starts a collector with the configuration of a receiver and an exporter.
func startCollector(path, receiver, exporter string) (*collector, error) {
	folder, err := os.MkdirTemp("", "collector")
	if err != nil {
		return nil, err
	}
	if exporter == toFile {
		exporter = fmt.Sprintf(toFile, folder)
	}
	kind, settings, _ := strings.Cut(exporter, " ")
	listener, err := net.Listen("tcp", "localhost:0") //nolint:noctx // at once
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of a TCP listener
	err = listener.Close()
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(fmt.Sprintf(collectorConfig, receiver, settings, port), "to:", kind+":")
	config := filepath.Join(folder, "config.yaml")
	err = os.WriteFile(config, []byte(strings.ReplaceAll(text, "[to]", "["+kind+"]")), 0o600)
	if err != nil {
		return nil, err
	}
	c := &collector{metrics: fmt.Sprintf("http://localhost:%d/metrics", port)}
	if c.program, err = start(folder, path, "--config", config); err != nil {
		return nil, err
	}
	return c, await("the collector is ready", func() bool {
		_, err := c.metric("otelcol_process_uptime")
		return err == nil && strings.Contains(c.said.String(), "Everything is ready")
	})
}

// metric returns the sum of a metric's values.
func (c *collector) metric(name string) (float64, error) {
	response, err := http.Get(c.metrics) //nolint:noctx // at once
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }() // it was only read
	var text bytes.Buffer
	if _, err := text.ReadFrom(response.Body); err != nil {
		return 0, err
	}
	sum := 0.0
	for _, match := range regexp.MustCompile(`(?m)^`+name+`\S*(?:\{.*\})? (\S+)$`).FindAllStringSubmatch(text.String(), -1) {
		value, err := strconv.ParseFloat(match[1], 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, nil
}

// losses returns what the collector has counted as lost.
func (c *collector) losses() string {
	var text strings.Builder
	for _, name := range []string{
		"kernel_lost", "receive_overruns", "sequence_gaps", "queue_dropped", "ring_dropped", "missed",
		"incomplete", "dropped",
	} {
		value, _ := c.metric("otelcol_receiver_audit_kill_" + name) // an unknown metric is 0
		fmt.Fprintf(&text, "%s %.0f ", name, value)
	}
	return text.String()
}

// count returns how many log records the collector has handed on.
func (c *collector) count() int {
	count, _ := c.metric("otelcol_receiver_accepted_log_records") // 0 on an error: callers ask again
	return int(count)
}

// both is the collector beside auditd.
type both struct {
	*collector
	daemon *auditd
}

// startBoth starts auditd without a rule, and the collector beside it, whose rules make the
// kernel record signals.
func startBoth(path string) (*both, error) {
	daemon, err := startQuietAuditd("RAW")
	if err != nil {
		return nil, err
	}
	c, err := startNetlink(path, "multicast", toNowhere)
	return &both{c, daemon}, err
}

func (b *both) stop() error { return errors.Join(b.collector.stop(), b.daemon.program.stop()) }
