// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/delivery"
	"github.com/auditkill/auditkillreceiver/internal/stub"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/machine"
	"github.com/auditkill/auditkillreceiver/internal/metadatatest"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

const (
	// soon is how long a test waits for something that must happen.
	soon = time.Minute
	// often is how often it checks.
	often = 5 * time.Millisecond
)

// errNotNow is the error of a consumer that fails for a while.
var errNotNow = errors.New("not now")

// fixture is a receiver under test and its surroundings.
type fixture struct {
	config    *Config
	set       receiver.Settings
	telemetry *componenttest.Telemetry
	logged    *observer.ObservedLogs
	host      component.Host
	machine   machine.Machine
	grace     time.Duration
	// sink is the next consumer if there is no other.
	sink sink
	next consumer.Logs
	// nextTraces is nil unless traces are wanted.
	nextTraces consumer.Traces
}

// newFixture reads path from the beginning, on a machine that is the same everywhere, and retries
// at once.
func newFixture(t *testing.T, path string) *fixture {
	t.Helper()
	telemetry := componenttest.NewTelemetry()
	// Not with t.Context, which is already done during cleanup.
	t.Cleanup(func() { require.NoError(t, telemetry.Shutdown(context.Background())) })
	f := &fixture{
		config:    createDefaultConfig().(*Config),
		set:       metadatatest.NewSettings(telemetry),
		telemetry: telemetry,
		host:      componenttest.NewNopHost(),
		machine: machine.Machine{
			Name: "db1.example.com", ID: "0123456789abcdef0123456789abcdef", OS: "linux", Passwd: passwd(t),
		},
		grace: shutdownGrace,
	}
	f.next = &f.sink
	f.config.File = configoptional.Some(FileConfig{Path: path, StartAt: startAtBeginning, Follow: true})
	f.config.RetryOnFailure.InitialInterval = time.Millisecond
	f.config.RetryOnFailure.MaxInterval = 5 * time.Millisecond
	core, logged := observer.New(zap.DebugLevel)
	f.set.Logger, f.logged = zap.New(core), logged
	return f
}

// passwd writes a file of users.
func passwd(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(path, []byte("root:x:0:0::/root:/bin/sh\nmysql:x:102:102::/:/bin/false\n"), 0o600))
	return path
}

// new returns a receiver that is not started.
func (f *fixture) new(t *testing.T) *killReceiver {
	t.Helper()
	r, err := newKillReceiver(f.config, f.set)
	require.NoError(t, err)
	r.nextLogs, r.nextTraces, r.machine, r.grace = f.next, f.nextTraces, f.machine, f.grace
	return r
}

// delivery returns the delivery of a receiver.
func (f *fixture) delivery(t *testing.T, stopping context.Context, ahead bool) *delivery.Delivery { //nolint:revive // the test comes first
	t.Helper()
	r := f.new(t)
	r.health = delivery.NewHealth(func(*componentstatus.Event) {})
	return delivery.New(stopping, t.Context(), r.deliverySettings(ahead))
}

// start returns a receiver that runs until the test ends or stop is called.
func (f *fixture) start(t *testing.T) (stop func()) {
	t.Helper()
	r := f.new(t)
	require.NoError(t, r.Start(t.Context(), f.host))
	stop = sync.OnceFunc(func() {
		require.NoError(t, r.Shutdown(context.Background())) // t.Context may be done
	})
	t.Cleanup(stop)
	return stop
}

// useStorage gives the receiver a storage extension.
func (f *fixture) useStorage(id component.ID, extension component.Component) {
	f.config.StorageID = &id
	f.host = storagetest.NewStorageHost().WithExtension(id, extension)
}

// fakeStorage returns one client, or an error.
type fakeStorage struct {
	component.StartFunc
	component.ShutdownFunc
	storage.Client
	err error
	// full makes the client refuse to store anything.
	full bool
	// closed is set when the client was closed.
	closed bool
}

// Set implements storage.Client.
func (s *fakeStorage) Set(ctx context.Context, key string, value []byte) error {
	if s.full {
		return storage.ErrStorageFull
	}
	return s.Client.Set(ctx, key, value)
}

// GetClient implements storage.Extension.
func (s *fakeStorage) GetClient(context.Context, component.Kind, component.ID, string) (storage.Client, error) {
	return s, s.err
}

// Close implements storage.Client.
func (s *fakeStorage) Close(ctx context.Context) error {
	s.closed = true
	return s.Client.Close(ctx)
}

// metric returns the sum of all data points of a metric; 0 if there are none.
func (f *fixture) metric(t *testing.T, name string) int64 {
	t.Helper()
	var sum int64
	for _, point := range f.points(t, name) {
		sum += point.Value
	}
	return sum
}

// points returns all data points of a metric.
func (f *fixture) points(t *testing.T, name string) []metricdata.DataPoint[int64] {
	t.Helper()
	metric, err := f.telemetry.GetMetric(name)
	if err != nil {
		return nil // nothing was counted yet
	}
	switch data := metric.Data.(type) {
	case metricdata.Sum[int64]:
		return data.DataPoints
	case metricdata.Gauge[int64]:
		return data.DataPoints
	}
	require.Failf(t, "unknown kind of metric", "%s: %T", name, metric.Data)
	return nil
}

// auditLog is a log that is being written.
type auditLog struct {
	path   string
	mutex  sync.Mutex
	serial int
}

func newAuditLog(t *testing.T) *auditLog {
	t.Helper()
	log := &auditLog{path: filepath.Join(t.TempDir(), "audit.log")}
	require.NoError(t, os.WriteFile(log.path, nil, 0o600))
	return log
}

// kill appends n events, in which mykill sends SIGKILL to mysqld. It returns
// the target's pid in the first of them; the following ones count up.
func (l *auditLog) kill(n int) int {
	return l.write(slices.Repeat([]event{{signal: 9, sender: "mykill", target: "mysqld"}}, n)...)
}

// event describes a signal. Its pid and serial number count up by themselves.
type event struct {
	signal, exit   int
	sender, target string
}

// write appends events and returns the target's pid in the first of them.
func (l *auditLog) write(events ...event) int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	first := l.serial + 1
	var lines []byte
	for _, e := range events {
		l.serial++
		success := "yes"
		if e.exit < 0 {
			success = "no"
		}
		id := fmt.Sprintf("msg=audit(1700000000.%03d:%d):", l.serial%1000, l.serial)
		lines = fmt.Appendf(lines, "type=SYSCALL %s arch=c000003e syscall=62 success=%s exit=%d a0=%x a1=%x a2=0 a3=0 "+
			"items=0 ppid=1 pid=70000 auid=500 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts3 ses=1 "+
			"comm=%q exe=\"/usr/bin/%s\" key=\"audit_kill\"\n",
			id, success, e.exit, l.serial, e.signal, e.sender, e.sender)
		lines = fmt.Appendf(lines, "type=OBJ_PID %s opid=%d oauid=-1 ouid=102 oses=-1 ocomm=%q\n", id, l.serial, e.target)
		lines = fmt.Appendf(lines, "type=PROCTITLE %s proctitle=%q\n", id, e.sender)
	}
	l.append(string(lines))
	return first
}

// append writes text as it is.
func (l *auditLog) append(text string) {
	file, err := os.OpenFile(l.path, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		panic(err) // may be called from any goroutine
	}
}

// content returns the content of the log.
func (l *auditLog) content(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(l.path)
	require.NoError(t, err)
	return string(content)
}

// sink takes everything.
type sink struct{ consumertest.LogsSink }

// await waits for n log records and returns them in the order of their arrival.
func (s *sink) await(t *testing.T, n int) []plog.LogRecord {
	t.Helper()
	require.Eventually(t, func() bool { return s.LogRecordCount() >= n }, soon, often)
	return s.records()
}

func (s *sink) records() []plog.LogRecord {
	var all []plog.LogRecord
	for _, logs := range s.AllLogs() {
		all = append(all, stub.Records(logs)...)
	}
	return all
}

func uidsOf(records []plog.LogRecord) []string {
	var uids []string
	for _, record := range records {
		uids = append(uids, text(record, "log.record.uid"))
	}
	return uids
}

// text returns an attribute; empty if it is not there.
func text(record plog.LogRecord, key string) string {
	value, ok := record.Attributes().Get(key)
	if !ok {
		return ""
	}
	return value.Str()
}

// sequence returns n numbers counting up from first.
func sequence(first, n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = first + i
	}
	return numbers
}

// needProcesses skips a test where /proc is not the host's, as in a container, or is missing, as on other
// systems than Linux.
func needProcesses(t *testing.T) {
	t.Helper()
	if err := process.NewTable(process.Config{}).Prime(); err != nil {
		t.Skipf("SKIPPED, as the processes cannot be seen: %v", err)
	}
}
