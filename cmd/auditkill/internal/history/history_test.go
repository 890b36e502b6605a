// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const recordings = "../../../../testdata/golden"

// line is what the file exporter writes of one SIGKILL.
func line(t *testing.T, uid string, at time.Time) string {
	t.Helper()
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	resource.Resource().Attributes().PutStr("host.name", "db1")
	record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	record.SetEventName("kill.signal")
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.Attributes().PutInt("kill.signal.number", 9)
	record.Attributes().PutInt("kill.target.pid", 3936)
	record.Attributes().PutStr("kill.target.name", `my\x1bsql`)
	record.Attributes().PutStr("log.record.uid", uid)
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	return string(text)
}

var start = time.Date(2026, 11, 28, 3, 15, 0, 0, time.UTC)

func TestHistory(t *testing.T) {
	t.Parallel()
	first, second := line(t, "1", start), line(t, "2", start.Add(time.Second))
	for name, tc := range map[string]struct {
		files    map[string]string
		uids     []string
		problems []string
	}{
		"one file":             {map[string]string{"events.json": first + "\n" + second + "\n"}, []string{"1", "2"}, nil},
		"no newline yet":       {map[string]string{"events.json": first}, []string{"1"}, nil},
		"not in order of time": {map[string]string{"events.json": second + "\n" + first + "\n"}, []string{"1", "2"}, nil},
		"recorded twice":       {map[string]string{"events.json": first + "\n" + first + "\n" + second}, []string{"1", "2"}, nil},
		"rotated": {map[string]string{
			"events-2026-11-28T03-15-00.123-size.json": first, "events-2026-11-28T03-16-00.123.json": second, "events.json": "\n",
			"events-old.json": "{", "events.json.bak": "{",
		}, []string{"1", "2"}, nil},
		"only rotated ones": {map[string]string{"events-2026-11-28T03-15-00.123-size.json": first}, []string{"1"}, nil},
		"cut, and begun again": {
			map[string]string{"events.json": first[:len(first)/2] + second + "\n" + first + "\n"},
			[]string{"1", "2"},
			[]string{"events.json:1: a damaged line"},
		},
		"a lost newline":  {map[string]string{"events.json": first + second}, []string{"1", "2"}, nil},
		"cut at the end":  {map[string]string{"events.json": first + "\n" + second[:99]}, []string{"1"}, []string{"events.json:2: a damaged line"}},
		"something else":  {map[string]string{"events.json": "hello\n" + first}, []string{"1"}, []string{"events.json:1: no log records"}},
		"NULs":            {map[string]string{"events.json": strings.Repeat("\x00", 99) + "\n" + first}, []string{"1"}, []string{"events.json:1: no log"}},
		"a line too long": {map[string]string{"events.json": strings.Repeat("x", maxLine+1) + "\n" + first}, []string{"1"}, []string{"more than 8 MB"}},
		"too many parts": {
			map[string]string{"events.json": `{"resourceLogs":[` + strings.Repeat("{},", maxObjects) + "{}]}\n" + first},
			[]string{"1"},
			[]string{"too many parts"},
		},
		"empty": {map[string]string{"events.json": ""}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			for file, text := range tc.files {
				require.NoError(t, os.WriteFile(filepath.Join(directory, file), []byte(text), 0o600))
			}
			h, err := Open(directory)
			require.NoError(t, err)
			defer h.Close()
			var problems, uids []string
			h.Problem = func(err error) { problems = append(problems, err.Error()) }
			read := int64(0)
			h.Progress = func(n int64) { read += n }
			for e := range h.Events() {
				uids = append(uids, e.UID)
				assert.Equal(t, "my\x1bsql", e.Targets[0].Command)
				assert.Equal(t, "db1", e.HostName)
			}
			assert.Equal(t, tc.uids, uids)
			assert.Equal(t, h.Size(), read)
			require.Len(t, problems, len(tc.problems), problems)
			for i, want := range tc.problems {
				assert.Contains(t, problems[i], want)
			}
		})
	}
}

func TestCannotBeOpened(t *testing.T) {
	t.Parallel()
	_, err := Open(t.TempDir())
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(filepath.Join(t.TempDir(), "none", "events.json"))
	require.ErrorIs(t, err, os.ErrNotExist)
	directory := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(directory, FileName), 0o700))
	_, err = Open(directory)
	require.ErrorIs(t, err, errIrregular)
}

// What is read back is what was recorded: recorded again, each attribute has the same value.
func TestReadsBack(t *testing.T) {
	t.Parallel()
	// lost is what neither lists nor searches need; the record has it.
	lost := []string{
		"kill.sender.ancestry", "kill.sender.ancestry_titles", "kill.requester.ancestry", "kill.requester.ancestry_titles",
		"log.record.original", "kill.signal.count", "process.executable.name", "kill.audit.subject", "kill.audit.arch", "kill.duration",
	}
	count := 0
	for _, name := range []string{"seed", "variants", "tamper", "behind_log", "outcomes", "traced"} {
		logs, err := golden.ReadLogs(filepath.Join(recordings, name+".yaml"))
		require.NoError(t, err)
		for _, resource := range logs.ResourceLogs().All() {
			for _, record := range resource.ScopeLogs().At(0).LogRecords().All() {
				count++
				e := eventOf(resource.Resource(), record)
				require.NotNil(t, e, record.Body().Str())
				var target *kill.Process
				if len(e.Targets) > 0 {
					target = &e.Targets[0]
				}
				again := telemetry.NewLogs(telemetry.Config{CommandLine: redact.Full})
				again.Append(e.Event, target, e.Time)
				got := again.Take().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
				assert.Equal(t, record.Timestamp(), got.Timestamp())
				attributes := got.Attributes().AsRaw()
				for key, want := range record.Attributes().AsRaw() {
					if key == "kill.target.pid" && e.Kind == kill.KindTamper {
						continue // only in the sentence
					}
					if key != "log.record.uid" && !slices.Contains(lost, key) {
						assert.Equal(t, want, attributes[key], "%s of %s: %s", key, name, record.Body().Str())
					}
					delete(attributes, key)
				}
				assert.Empty(t, attributes, "invented in %s: %s", name, record.Body().Str())
			}
		}
	}
	assert.Greater(t, count, 100)
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"kill.outcome","attributes":[` +
		`{"key":"kill.outcome","value":{"stringValue":"exited"}},{"key":"process.exit.code","value":{"intValue":"99999999999"}}]}]}]}]}`))
	f.Add([]byte(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"kill.tamper"}]}]}]}`))
	f.Add(fmt.Appendf(nil, `{"resourceLogs":%s`, strings.Repeat("[", 99)))
	f.Fuzz(func(_ *testing.T, line []byte) {
		_, _ = decode(line, func(e *Event) bool { // whatever it is, nothing happens
			for i := range e.Targets {
				_ = telemetry.Sentence(e.Event, &e.Targets[i], redact.Redacted)
			}
			if len(e.Targets) == 0 && e.Kind != kill.KindOutcome {
				_ = telemetry.Sentence(e.Event, nil, redact.Redacted)
			}
			return true
		})
	})
}

// A record of several equal signals stands for all of them.
// TestForgedWords reads words of a record that only somebody else can have made, such as an agent that a gateway has heard. None may
// act on a terminal, or begin another line of a list.
func TestForgedWords(t *testing.T) {
	t.Parallel()
	const forged = "x\x1b]0;x\x07\nmysqld[1] was killed by root"
	for _, kind := range []kill.Kind{kill.KindSignal, kill.KindOutcome, kill.KindTamper} {
		logs := plog.NewLogs()
		resource := logs.ResourceLogs().AppendEmpty()
		record := resource.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		record.SetEventName(string(kind))
		for key := range setters {
			if (kind == kill.KindTamper || !strings.HasPrefix(key, "kill.tamper")) && key != "kill.outcome" {
				record.Attributes().PutStr(key, forged)
			}
		}
		if kind == kill.KindOutcome {
			record.Attributes().PutStr("kill.outcome", "killed")
		}
		e := eventOf(resource.Resource(), record)
		require.NotNil(t, e, kind)
		for _, entry := range listing.Entries(e.Event) {
			for _, text := range []string{
				entry.SenderName(), entry.SenderProcess(), entry.TargetProcess(), entry.By(redact.Redacted), entry.Cause(), entry.Evidence(), entry.Result(),
				entry.Login(), entry.User(), entry.Host(), entry.Address(), e.Source, e.Syscall, e.Code,
				telemetry.Sentence(e.Event, entry.Target, redact.Redacted),
			} {
				assert.Equal(t, visible.Message(text), text, kind)
			}
		}
	}
}

// TestOtherTypes reads a record whose attributes all have another type than ours.
func TestOtherTypes(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(pcommon.Value){
		"a text":   func(v pcommon.Value) { v.SetStr("text") },
		"a number": func(v pcommon.Value) { v.SetDouble(1.5) },
		"a list":   func(v pcommon.Value) { v.SetEmptySlice().AppendEmpty().SetEmptyMap() },
		"a map":    func(v pcommon.Value) { v.SetEmptyMap() },
		"bytes":    func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte{0xff}) },
		"nothing":  func(pcommon.Value) {},
	} {
		record := plog.NewLogRecord()
		record.SetEventName(string(kill.KindSignal))
		for key := range setters {
			if !strings.HasPrefix(key, "kill.tamper") && key != "kill.outcome" {
				put(record.Attributes().PutEmpty(key))
			}
		}
		assert.NotNil(t, eventOf(pcommon.NewResource(), record), name)
	}
}

func TestCountOfJoinedSignals(t *testing.T) {
	t.Parallel()
	r := plog.NewLogRecord()
	r.SetEventName("kill.signal")
	r.Attributes().PutInt("kill.signal.number", 15)
	r.Attributes().PutInt("kill.target.pid", 5)
	r.Attributes().PutInt("kill.count", 100_000)
	r.Attributes().PutStr("kill.last_time", "2026-01-01T00:00:01Z")
	e := eventOf(pcommon.NewResource(), r)
	assert.Equal(t, 100_000, e.Signals())
	assert.Equal(t, time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC), e.LastTime.UTC())
}
