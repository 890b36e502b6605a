// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What a real Jaeger makes of the traces, which come to it over OTLP.

// jaeger is a running Jaeger that keeps traces in its memory.
type jaeger struct {
	t *testing.T
	// otlp and query are the addresses of its servers.
	otlp, query string
}

// startJaeger runs Jaeger until the test ends. Where it was never built, that comes
// first and takes minutes; from then on it is in the cache of Go.
func startJaeger(t *testing.T) *jaeger {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "tool", "-n", "all-in-one")
	build.Dir, build.Stderr = "jaeger", new(output)
	path, err := build.Output()
	require.NoError(t, err, "Jaeger cannot be built: %s", build.Stderr)

	address := func() string { return fmt.Sprintf("127.0.0.1:%d", freePort(t)) }
	admin, otlp, query := address(), address(), address()
	command := exec.Command(strings.TrimSpace(string(path)), //nolint:gosec // was just built
		"--admin.http.host-port="+admin,
		"--collector.otlp.http.host-port="+otlp,
		"--query.http-server.host-port="+query,
		// What the test does not use cannot be turned off.
		"--collector.otlp.grpc.host-port="+address(),
		"--collector.grpc-server.host-port="+address(),
		"--collector.http-server.host-port="+address(),
		"--query.grpc-server.host-port="+address(),
	)
	command.Env = append(os.Environ(), "OTEL_TRACES_SAMPLER=always_off", "SPAN_STORAGE_TYPE=memory")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is interrupted
	said := new(output)
	command.Stdout, command.Stderr = said, said
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill() // it keeps nothing, and takes its time to end otherwise
		_ = command.Wait()
		if t.Failed() {
			t.Logf("Jaeger said:\n%s", said.tail())
		}
	})
	j := &jaeger{t: t, otlp: "http://" + otlp, query: "http://" + query}
	eventually(t, func() bool { return j.get("http://"+admin, nil) == nil }, "Jaeger is ready")
	return j
}

// get reads a JSON answer, unless nobody wants it.
func (j *jaeger) get(address string, answer any) error {
	request, err := http.NewRequestWithContext(j.t.Context(), http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	body, err := do(request)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(body, answer)
}

// do returns the body of a successful answer.
func do(request *http.Request) ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, body.String())
	}
	return body.Bytes(), nil
}

// jaegerSpan is a span as Jaeger tells it.
type jaegerSpan struct {
	TraceID       string `json:"traceID"`
	SpanID        string `json:"spanID"`
	OperationName string `json:"operationName"`
	// References are those to a parent.
	References []struct {
		RefType string `json:"refType"`
		SpanID  string `json:"spanID"`
	} `json:"references"`
	Tags jaegerTags `json:"tags"`
	// Logs are the span events, whose names are in the field event.
	Logs []struct {
		Fields jaegerTags `json:"fields"`
	} `json:"logs"`
}

// jaegerTags are attributes with their values as text, as questions have them.
type jaegerTags map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (t *jaegerTags) UnmarshalJSON(data []byte) error {
	var list []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a float64 would be printed with an exponent
	if err := decoder.Decode(&list); err != nil {
		return err
	}
	*t = make(jaegerTags, len(list))
	for _, tag := range list {
		(*t)[tag.Key] = fmt.Sprint(tag.Value)
	}
	return nil
}

// find returns what tryFind does, and fails the test if there is no answer.
func (j *jaeger) find(service, operation string, tags jaegerTags) []jaegerSpan {
	j.t.Helper()
	spans, err := j.tryFind(service, operation, tags)
	require.NoError(j.t, err)
	return spans
}

// tryFind returns the spans of the traces of the last hour with such an operation of a
// service, where one of their spans has all the tags.
func (j *jaeger) tryFind(service, operation string, tags jaegerTags) ([]jaegerSpan, error) {
	asked, err := json.Marshal(tags)
	if err != nil {
		return nil, err
	}
	question := url.Values{
		"service": {service}, "operation": {operation}, "tags": {string(asked)}, "lookback": {"1h"},
	}
	var answer struct {
		Data []struct {
			Spans []jaegerSpan `json:"spans"`
		} `json:"data"`
	}
	if err := j.get(j.query+"/api/traces?"+question.Encode(), &answer); err != nil {
		return nil, err
	}
	var spans []jaegerSpan
	for _, trace := range answer.Data {
		spans = append(spans, trace.Spans...)
	}
	return spans, nil
}

// await waits until a question is answered with so many spans.
func (j *jaeger) await(count int, service, operation string, tags jaegerTags) []jaegerSpan {
	j.t.Helper()
	var spans []jaegerSpan
	eventually(j.t, func() bool {
		var err error
		spans, err = j.tryFind(service, operation, tags)
		return err == nil && len(spans) >= count // an error means that there is no answer yet
	}, "%d spans %q of %s in Jaeger", count, operation, service)
	require.Len(j.t, spans, count, "spans %q of %s", operation, service)
	return spans
}

const toJaegerTemplate = `
receivers: {%s}
processors: {resource: {attributes: [{key: service.name, value: auditkill, action: upsert}]}}
exporters: {otlp_http: {endpoint: %q}}
service:
  pipelines: {traces: {receivers: [%s], processors: [%s], exporters: [otlp_http]}}
  telemetry:
    logs: {disable_stacktrace: true}
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: %d}}}}]}
`

// startTo runs a collector that sends the traces of a receiver to Jaeger.
func startTo(t *testing.T, j *jaeger, receiver, processors string) *collector {
	t.Helper()
	port := freePort(t)
	name, _, _ := strings.Cut(receiver, ":")
	text := fmt.Sprintf(toJaegerTemplate, receiver, j.otlp, name, processors, port)
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	c := startCommand(t, port, arguments("--config", path))
	c.ready()
	return c
}

// Jaeger asks for a service first. The receiver's resource is the host and names none:
// this is what a configuration must add so that the traces are found.
func TestJaegerFindsByServiceName(t *testing.T) {
	j := startJaeger(t)
	for i, test := range []struct{ name, processors, service string }{
		{"without", "", "missing-service-name"},
		{"given by the resource processor", "resource", "auditkill"},
	} {
		t.Run(test.name, func(t *testing.T) {
			endpoint := fmt.Sprintf("127.0.0.1:%d", freePort(t))
			c := startTo(t, j, fmt.Sprintf("otlp: {protocols: {http: {endpoint: %q}}}", endpoint), test.processors)
			traceID := fmt.Sprintf("5b8efff798038103d269b633813fc6%02x", i)
			postSpan(t, "http://"+endpoint+"/v1/traces", traceID)
			spans := j.await(1, test.service, "terminate mysqld", jaegerTags{"kill.escalated": "true"})
			c.stop()
			assert.Equal(t, traceID, spans[0].TraceID)
			assert.Equal(t, "42", spans[0].Tags["kill.target.pid"])
			assert.Equal(t, "ERROR", spans[0].Tags["otel.status_code"])
			assert.Empty(t, j.find(test.service, "terminate mysqld", jaegerTags{"kill.escalated": "false"}))
			assert.Empty(t, j.find(test.service, "terminate postgres", nil))
		})
	}
}

const spanTemplate = `{"resourceSpans": [{"scopeSpans": [{"spans": [{
	"traceId": %q, "spanId": "eee19b7ec3c1b174", "name": "terminate mysqld", "kind": 1,
	"startTimeUnixNano": "%d", "endTimeUnixNano": "%[2]d", "status": {"code": 2, "message": "killed"},
	"attributes": [
		{"key": "kill.escalated", "value": {"boolValue": true}},
		{"key": "kill.target.pid", "value": {"intValue": "42"}}
	]
}]}]}]}`

// postSpan sends a span of now over OTLP.
func postSpan(t *testing.T, address, traceID string) {
	t.Helper()
	body := fmt.Sprintf(spanTemplate, traceID, time.Now().UnixNano())
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	_, err = do(request)
	require.NoError(t, err)
}

// mysqlds are shell scripts that differ in what they do on SIGTERM; each says when it
// is ready, and the one that does not end of it says that as well.
var mysqlds = map[string]string{
	"dies":    "echo ready; read -r line",
	"exits":   "trap 'exit 0' TERM; echo ready; read -r line",
	"resists": "trap 'echo busy' TERM; echo ready; while :; do read -r line; done",
}

// startMysqld runs such a script and returns what it says.
func startMysqld(t *testing.T, manner string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mysqld")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+mysqlds[manner]+"\n"), 0o755))
	command := exec.Command(path) //nolint:gosec // was just written
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	_, err := command.StdinPipe() // which keeps it waiting
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill() // only if the test has failed
		_ = command.Wait()
	})
	says := bufio.NewScanner(stdout)
	awaitLine(t, says, "ready")
	return command, says
}

func awaitLine(t *testing.T, says *bufio.Scanner, line string) {
	t.Helper()
	require.True(t, says.Scan(), "it has ended")
	require.Equal(t, line, says.Text())
}

// Jaeger answers which terminations of mysqld were escalated.
func TestJaegerAnswers(t *testing.T) {
	needRoot(t)
	j := startJaeger(t)
	c := startTo(t, j, "audit_kill: {ebpf: {}, targets: [mysqld], outcome: {timeout: 30s}}", "resource")

	pids, manners := make(map[string]string), make(map[string]string)
	for manner := range mysqlds {
		command, says := startMysqld(t, manner)
		pid := command.Process.Pid
		pids[manner], manners[strconv.Itoa(pid)] = strconv.Itoa(pid), manner
		require.NoError(t, syscall.Kill(pid, syscall.SIGTERM))
		if manner == "resists" {
			awaitLine(t, says, "busy")
			time.Sleep(time.Second) // as whoever stops a service has patience for a while
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
		_ = command.Wait() // Jaeger is to tell how it ended
	}

	const operation = "terminate mysqld"
	told, traces := make(map[string]jaegerSpan), make(map[string]bool)
	for _, span := range j.await(len(mysqlds), "auditkill", operation, nil) {
		assert.Equal(t, operation, span.OperationName)
		assert.Empty(t, span.References, "a parent")
		told[manners[span.Tags["kill.target.pid"]]] = span
		traces[span.TraceID] = true
	}
	assert.Len(t, traces, len(mysqlds), "each was struck by a call of its own")
	escalated := j.find("auditkill", operation, jaegerTags{"kill.escalated": "true"})
	c.stop()

	require.Len(t, escalated, 1)
	assert.Equal(t, pids["resists"], escalated[0].Tags["kill.target.pid"])
	assert.Regexp(t, `^was killed by SIGKILL [1-9]\d*\.\d+ s after SIGTERM$`, escalated[0].Tags["otel.status_description"])
	for manner, want := range map[string]struct {
		tags    jaegerTags // an empty one must not be there
		signals []string
	}{
		"dies": {
			jaegerTags{"kill.outcome": "killed", "kill.exit.signal.name": "SIGTERM", "otel.status_code": ""},
			[]string{"SIGTERM"},
		},
		"exits": {
			jaegerTags{"kill.outcome": "exited", "process.exit.code": "0", "otel.status_code": ""},
			[]string{"SIGTERM"},
		},
		"resists": {
			jaegerTags{"kill.outcome": "killed", "kill.exit.signal.name": "SIGKILL", "otel.status_code": "ERROR"},
			[]string{"SIGTERM", "SIGKILL"},
		},
	} {
		span := told[manner]
		for name, value := range want.tags {
			assert.Equal(t, value, span.Tags[name], "%s of the one that %s", name, manner)
		}
		var signals []string
		for _, event := range span.Logs {
			assert.Equal(t, "signal", event.Fields["event"])
			signals = append(signals, event.Fields["kill.signal.name"])
		}
		assert.Equal(t, want.signals, signals, "signals to the one that %s", manner)
	}
}
