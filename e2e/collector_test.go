// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

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
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long to wait for what takes a moment on an idle machine.
const patience = 90 * time.Second

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool, what string, details ...any) {
	t.Helper()
	require.Eventually(t, condition, patience, 20*time.Millisecond, append([]any{what}, details...)...)
}

// until does something again and again until a condition holds. What it does may end the
// test, which a condition must not: testify evaluates it in a goroutine of its own.
func until(t *testing.T, condition func() bool, do func(), what string) {
	t.Helper()
	for begin := time.Now(); !condition(); time.Sleep(20 * time.Millisecond) {
		require.Less(t, time.Since(begin), patience, what)
		do()
	}
}

// config is a configuration of the collector. The parts are YAML, in the flow
// style that fits on one line.
type config struct {
	receiver, exporter, extensions string
	// pipelines are those that there are; only logs by default.
	pipelines []string
}

const configTemplate = `
receivers: {audit_kill: %s}
exporters: %s
extensions: %s
service:
  extensions: [%s]
  pipelines: {%s}
  telemetry:
    logs: {disable_stacktrace: true}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}
`

// write returns the path of a configuration file.
func (c config) write(t *testing.T, metricsPort int) string {
	t.Helper()
	if c.exporter == "" {
		c.exporter = "{debug: {}}"
	}
	if c.extensions == "" {
		c.extensions = "{}"
	}
	if c.pipelines == nil {
		c.pipelines = []string{"logs"}
	}
	var pipelines []string
	for _, signal := range c.pipelines {
		pipelines = append(pipelines, fmt.Sprintf("%s: {receivers: [audit_kill], exporters: [%s]}", signal, keyOf(c.exporter)))
	}
	text := fmt.Sprintf(configTemplate, c.receiver, c.exporter, c.extensions,
		keyOf(c.extensions), strings.Join(pipelines, ", "), metricsPort)
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

var keyPattern = regexp.MustCompile(`^\{(\w*)`)

// keyOf returns the key of a mapping that has one or none.
func keyOf(mapping string) string { return keyPattern.FindStringSubmatch(mapping)[1] }

// toFile is an exporter that writes to a file.
func toFile(path string) string {
	return fmt.Sprintf("{file: {path: %q, flush_interval: 100ms}}", path)
}

// fileStorage is an extension that keeps checkpoints in a folder.
func fileStorage(directory string) string {
	return fmt.Sprintf("{file_storage: {directory: %q, create_directory: true}}", directory)
}

// nextPort begins at a place that differs between processes, below the ports
// that the system hands out by itself.
var nextPort = func() *atomic.Int32 {
	port := new(atomic.Int32)
	port.Store(int32(20_000 + os.Getpid()%100*100))
	return port
}()

func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		port := int(nextPort.Add(1))
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			require.NoError(t, listener.Close())
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// collector is a running distribution.
type collector struct {
	t           *testing.T
	command     *exec.Cmd
	output      *output
	metricsPort int
	// ended is closed once the process is gone.
	ended chan struct{}
}

// start runs the collector until the test ends.
func start(t *testing.T, c config, options ...func(*exec.Cmd)) *collector {
	t.Helper()
	port := freePort(t)
	return startCommand(t, port, append([]func(*exec.Cmd){func(command *exec.Cmd) {
		command.Args = append(command.Args, "--config", c.write(t, port))
	}}, options...)...)
}

func startCommand(t *testing.T, metricsPort int, options ...func(*exec.Cmd)) *collector {
	t.Helper()
	path, err := filepath.Abs(distribution)
	require.NoError(t, err)
	c := &collector{
		t:           t,
		command:     exec.Command(path), //nolint:gosec // the program under test
		output:      new(output),
		metricsPort: metricsPort,
		ended:       make(chan struct{}),
	}
	c.command.Stdout, c.command.Stderr = c.output, c.output
	for _, option := range options {
		option(c.command)
	}
	require.NoError(t, c.command.Start())
	go func() {
		defer close(c.ended)
		_ = c.command.Wait() // the state tells
	}()
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("the collector said:\n%s", c.output.tail())
		}
	})
	return c
}

// ready waits until everything has started.
func (c *collector) ready() {
	c.t.Helper()
	c.says("Everything is ready.")
}

// says waits for a text in the collector's output.
func (c *collector) says(text string) {
	c.t.Helper()
	eventually(c.t, func() bool { return c.output.contains(text) || c.gone() }, "the collector never said %q", text)
	require.True(c.t, c.output.contains(text), "the collector ended without having said %q", text)
}

func (c *collector) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// running asserts that the collector has not crashed.
func (c *collector) running() {
	c.t.Helper()
	assert.False(c.t, c.gone(), "the collector must still be running")
}

// stop ends the collector as systemd would. It is ready some moments before it listens
// to signals (go.opentelemetry.io/collector/otelcol, Collector.Run), and says nothing then.
func (c *collector) stop() {
	c.t.Helper()
	time.Sleep(100 * time.Millisecond)
	require.NoError(c.t, c.command.Process.Signal(syscall.SIGTERM))
	assert.Equal(c.t, 0, c.wait(), "exit code")
}

// kill ends it without giving it a chance, if it is there at all.
func (c *collector) kill() {
	_ = c.command.Process.Kill()
	<-c.ended
}

// wait returns the exit code of a collector that ends by itself.
func (c *collector) wait() int {
	c.t.Helper()
	select {
	case <-c.ended:
		return c.command.ProcessState.ExitCode()
	case <-time.After(patience):
		c.t.Fatal("the collector does not end")
		return -1
	}
}

// metric returns the sum of a metric's series; 0 if there is none yet.
func (c *collector) metric(name string) int { return c.metricOf(name, "") }

// metricOf returns the sum of those series that have a label.
func (c *collector) metricOf(name, label string) int {
	sum, err := c.scrape(name, label)
	if err != nil {
		return -1
	}
	return sum
}

func (c *collector) scrape(name, label string) (int, error) {
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet,
		fmt.Sprintf("http://127.0.0.1:%d/metrics", c.metricsPort), http.NoBody)
	if err != nil {
		return 0, err
	}
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, errors.New(response.Status)
	}
	return sumOf(body.String(), name, label)
}

func sumOf(exposition, name, label string) (int, error) {
	var sum float64
	for line := range strings.Lines(exposition) {
		series, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if i := strings.IndexByte(series, '{'); i >= 0 {
			series, value = line[:i], line[strings.LastIndexByte(line, ' ')+1:]
		}
		if strings.TrimSuffix(series, "_total") != "otelcol_receiver_"+name || !strings.Contains(line, label) {
			continue
		}
		number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		if err != nil {
			return 0, err
		}
		sum += number
	}
	return int(sum), nil
}

// run runs the collector to its end and returns what it said and its exit code.
func run(t *testing.T, options ...func(*exec.Cmd)) (string, int) {
	t.Helper()
	c := startCommand(t, 0, options...)
	code := c.wait()
	return c.output.String(), code
}

// arguments are those of the command line.
func arguments(arguments ...string) func(*exec.Cmd) {
	return func(command *exec.Cmd) { command.Args = append(command.Args, arguments...) }
}

// output gathers what a process writes.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

func (o *output) contains(text string) bool { return strings.Contains(o.String(), text) }

var resourcePattern = regexp.MustCompile(`"resource": \{[^}]*\}(, )?`)

// tail returns the last part, which is enough to see what went wrong, without
// what each line repeats.
func (o *output) tail() string {
	text := resourcePattern.ReplaceAllString(o.String(), "")
	return text[max(0, len(text)-4000):]
}
