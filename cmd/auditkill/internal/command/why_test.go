// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	goldenlogs "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/history"
)

// recorded writes what a collector has recorded, as the file exporter does it.
func recordedAs(t *testing.T, name string) (directory string) {
	t.Helper()
	logs, err := goldenlogs.ReadLogs(recording(filepath.Join("golden", name+".yaml")))
	require.NoError(t, err)
	line, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	require.NoError(t, err)
	directory = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(directory, history.FileName), append(line, '\n'), 0o600))
	return directory
}

func runWhy(t *testing.T, arguments ...string) (out, errs string, code int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	arguments = append([]string{"why", "--passwd", "testdata/passwd", "--kernel-log", noKernelLog}, arguments...)
	code = Execute(t.Context(), arguments, nil, &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

const nowhere = "/nonexistent/history"

func TestWhy(t *testing.T) {
	t.Parallel()
	seed, behind := recording("seed.log"), recording("behind.log")
	kernelLog := "../../../../internal/kernellog/testdata/5.15-global.dmesg-T"
	for name, arguments := range map[string][]string{
		"seed":          {"mysqld", "--audit-log", seed, "--history", nowhere},
		"behind":        {"mariadbd", "--audit-log", behind, "--history", nowhere, "--at", "2026-11-28 14:18"},
		"unit":          {"mariadb.service", "--audit-log", behind, "--history", nowhere},
		"off":           {"mariadbd", "--audit-log", behind, "--history", nowhere, "--command-line", "off"},
		"near":          {"mysql", "--audit-log", seed, "--history", nowhere},
		"too_early":     {"mysqld", "--audit-log", seed, "--history", nowhere, "--at", "2014-01-01"},
		"nothing":       {"mysqld", "--audit-log", "/nonexistent/audit.log", "--history", nowhere},
		"kernel_log":    {"python", "--audit-log", "/nonexistent/audit.log", "--history", nowhere, "--kernel-log", kernelLog},
		"all":           {"mysqld", "--audit-log", recording("cases/kill_all_nobody_hit.log"), "--history", nowhere},
		"all.json":      {"mysqld", "--audit-log", recording("cases/kill_all_nobody_hit.log"), "--history", nowhere, "-o", "json"},
		"thread":        {"exporter", "--audit-log", recording("cases/seccomp_kill_thread.log"), "--history", nowhere},
		"refused":       {"sh", "--audit-log", recording("cases/selinux_partial_group.log"), "--history", nowhere},
		"none":          {"22591", "--audit-log", recording("variants.log"), "--history", nowhere},
		"no_target":     {},
		"two_targets":   {"a", "b"},
		"wrong_pid":     {"0"},
		"wrong_time":    {"mysqld", "--at", "soon"},
		"behind.json":   {"mariadbd", "--audit-log", behind, "--history", nowhere, "--at", "2026-11-28 14:18", "--output", "json"},
		"nothing.json":  {"mysqld", "--audit-log", "/nonexistent/audit.log", "--history", nowhere, "-o", "json"},
		"wrong_output":  {"mysqld", "--output", "table"},
		"wrong_command": {"mysqld", "--command-line", "short"},
		"empty_at":      {"mysqld", "--at", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := runWhy(t, arguments...)
			compareAnswer(t, "why_"+name, out, errs, code)
		})
	}
}

var agePattern = regexp.MustCompile(`, \d+ (s|min|hours|days) ago`)

// compareAnswer compares an answer with a file, but for how long ago it was.
func compareAnswer(t *testing.T, name, out, errs string, code int) {
	t.Helper()
	text := agePattern.ReplaceAllString(out, ", N ago")
	golden(t, name, text+"--\n"+errs+"exit code "+strconv.Itoa(code)+"\n")
}

// sent is a record of a call of root's, named its records of two targets of two users.
const (
	sent = `type=SYSCALL msg=audit(1700000000.500:77): arch=c000003e syscall=62 success=yes exit=0 a0=%s a1=9 a2=0 a3=0 items=0 ppid=900 pid=901 ` +
		`auid=1000 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts0 ses=3 comm="bash" exe="/usr/bin/bash" key="audit_kill"` + "\n"
	named = `type=OBJ_PID msg=audit(1700000000.500:77): opid=3936 oauid=-1 ouid=27 oses=-1 ocomm="mysqld"` + "\n" +
		`type=OBJ_PID msg=audit(1700000000.500:77): opid=3940 oauid=-1 ouid=0 oses=-1 ocomm="mysqld_safe"` + "\n"
)

// A culprit whom any user may have made up is told with that, as a report does it, with and without the priority that a syslog daemon writes.
func TestWhyOfForgeableLogs(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	const forgeable = "any user may have had a line written to it that looks like the kernel's"
	for name, head := range map[string]string{
		"short":               "Nov 14 22:13:20 db1 audispd: ",
		"short with priority": "<85>Nov 14 22:13:20 db1 audispd: ",
		"date with priority":  "<85>2026-11-14T22:13:20.123456+00:00 db1 audispd: ",
		"auditd's own":        "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			for line := range bytes.Lines(seed) {
				log.WriteString(head)
				log.Write(line)
			}
			path := filepath.Join(t.TempDir(), "syslog")
			require.NoError(t, os.WriteFile(path, log.Bytes(), 0o600))
			_, reported, _ := runReport(t, nil, path)
			out, errs, code := runWhy(t, "mysqld", "--audit-log", path, "--history", nowhere)
			assert.Equal(t, exitFound, code, errs)
			assert.Contains(t, out, "mykill")
			if head == "" {
				assert.NotContains(t, errs+reported, forgeable)
				return
			}
			assert.Contains(t, reported, path+": "+forgeable)
			assert.Contains(t, errs, path+": "+forgeable)
		})
	}
}

// What may have ended it is told, and that this is not certain, in sentences and to programs.
func TestWhyOfDoubt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ log, want string }{
		"to all":        {fmt.Sprintf(sent, "ffffffff") + named, "bash[901] (/usr/bin/bash, uid 0, login 1000) sent SIGKILL to all processes; whether"},
		"to a group":    {fmt.Sprintf(sent, "fffff0a0") + named, "bash[901] (/usr/bin/bash, uid 0, login 1000) sent SIGKILL to process group 3936; whether"},
		"a lost record": {named, "an unknown process sent an unknown signal to mysqld[3936]; whether"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := filepath.Join(t.TempDir(), "audit.log")
			require.NoError(t, os.WriteFile(log, []byte(tt.log), 0o600))
			out, errs, code := runWhy(t, "mysqld", "--history", nowhere, "--audit-log", log)
			assert.Zero(t, code, errs)
			assert.Contains(t, out, "The death of mysqld[3936] is not recorded, but this may have ended it on ")
			assert.Contains(t, out, tt.want+" it reached mysqld[3936] is not recorded\n")
			out, errs, code = runWhy(t, "mysqld", "--history", nowhere, "--audit-log", log, "-o", "json")
			assert.Zero(t, code, errs)
			var answer map[string]any
			require.NoError(t, json.Unmarshal([]byte(out), &answer))
			assert.NotContains(t, answer, "death")
			assert.NotContains(t, answer, "last_signal")
			require.Len(t, answer["maybe"], 1)
			assert.Equal(t, "unknown", answer["maybe"].([]any)[0].(map[string]any)["kill.result"])
		})
	}
}

// What a collector has recorded has more than the audit log: how it ended.
func TestWhyOfWhatWasRecorded(t *testing.T) {
	t.Parallel()
	directory := recordedAs(t, "outcomes")
	out, errs, code := runWhy(t, "mysqld", "--history", directory, "--audit-log", "/nonexistent/audit.log")
	assert.Zero(t, code, errs)
	assert.Contains(t, out, "mysqld[")
	assert.Contains(t, out, "Not looked at: the audit log (/nonexistent/audit.log does not exist).")
}

// The answer for programs has the same records as the history.
func TestWhyInJSON(t *testing.T) {
	t.Parallel()
	directory := recordedAs(t, "outcomes")
	out, errs, code := runWhy(t, "mysqld", "--history", directory, "--audit-log", "/nonexistent/audit.log", "-o", "json")
	require.Zero(t, code, errs)
	var answer struct {
		Target  string
		Death   map[string]any
		Signals []map[string]any
		Unseen  []string `json:"not_looked_at"`
	}
	require.NoError(t, json.Unmarshal([]byte(out), &answer))
	assert.Equal(t, "mysqld", answer.Target)
	assert.Equal(t, "kill.outcome", answer.Death["event"])
	assert.NotEmpty(t, answer.Death["log.record.uid"])
	require.NotEmpty(t, answer.Signals)
	assert.Equal(t, "kill.signal", answer.Signals[0]["event"])
	assert.Equal(t, answer.Death["kill.target.pid"], answer.Signals[0]["kill.target.pid"])
	assert.Contains(t, answer.Unseen, "the audit log (/nonexistent/audit.log does not exist)")
	assert.Equal(t, 1, strings.Count(out, "\n"), "one object on one line")
}

// Which file is missing, and which one is empty, is said.
func TestWhyOfNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	_, errs, code := runWhy(t, "mysqld", "--history", nowhere, "--audit-log", folder)
	assert.Equal(t, exitNothing, code)
	assert.Contains(t, errs, "the audit log ("+filepath.Join(folder, "audit.log")+" does not exist)")
	log := filepath.Join(folder, "empty.log")
	require.NoError(t, os.WriteFile(log, nil, 0o600))
	_, errs, code = runWhy(t, "mysqld", "--history", nowhere, "--audit-log", log)
	assert.Equal(t, exitNothing, code)
	assert.Contains(t, errs, "auditkill: "+log+" is empty\n")
}

// Of a log that auditd writes and a collector reads and records, each event is listed once.
func TestReportOfBoth(t *testing.T) {
	t.Parallel()
	log := recording("variants.log")
	alone, _, _ := runReport(t, nil, log, "-o", "json")
	both, errs, code := runReport(t, nil, log, recordedAs(t, "variants"), "-o", "json")
	assert.Equal(t, exitFound, code, errs)
	assert.Equal(t, strings.Count(alone, "\n"), strings.Count(both, "\n"))
	table, _, _ := runReport(t, nil, recordedAs(t, "behind_log"), "-s", "TERM")
	assert.Contains(t, table, "~alice@192.0.2.15: systemctl stop mariadb")
	without, _, _ := runReport(t, nil, recordedAs(t, "behind_log"), "-s", "TERM", "-o", "json", "--command-line", "off")
	assert.NotContains(t, without, "systemctl stop mariadb")
	assert.Contains(t, without, `"kill.requester.name":"systemctl"`)
}

// While a queue is full, the collector writes the same batch again until that takes it. Each kill counts once, even if the
// file was rotated in between.
func TestBatchesRecordedAgain(t *testing.T) {
	t.Parallel()
	once := recordedAs(t, "outcomes")
	batch, err := os.ReadFile(filepath.Join(once, history.FileName))
	require.NoError(t, err)
	again := t.TempDir()
	rotated := strings.TrimSuffix(history.FileName, ".json") + "-2026-11-28T03-15-00.123-size.json"
	require.NoError(t, os.WriteFile(filepath.Join(again, rotated), bytes.Repeat(batch, 20), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(again, history.FileName), bytes.Repeat(batch, 3), 0o600))
	for name, arguments := range map[string][]string{
		"listed":  {"-o", "json"},
		"counted": {"--by", "target", "-o", "json"},
	} {
		want, _, _ := runReport(t, nil, append([]string{once}, arguments...)...)
		got, errs, code := runReport(t, nil, append([]string{again}, arguments...)...)
		assert.Equal(t, exitFound, code, errs)
		assert.NotEmpty(t, want)
		assert.Equal(t, want, got, name)
	}
	want, _, _ := runWhy(t, "mysqld", "--history", once, "--audit-log", "/nonexistent/audit.log")
	got, _, _ := runWhy(t, "mysqld", "--history", again, "--audit-log", "/nonexistent/audit.log")
	assert.Equal(t, agePattern.ReplaceAllString(want, ""), agePattern.ReplaceAllString(got, ""))
}

// A service that runs, and whose rights do not permit everything, is no reason to answer nothing.
func TestWhyOfDamage(t *testing.T) {
	t.Parallel()
	directory := recordedAs(t, "seed")
	file := filepath.Join(directory, history.FileName)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(whole[:len(whole)/3:len(whole)/3], whole...), 0o600))
	out, errs, code := runWhy(t, "mysqld", "--history", file, "--audit-log", nowhere)
	assert.Zero(t, code)
	assert.Contains(t, out, "mysqld[3936] was sent SIGKILL on 2015-12-15")
	assert.Contains(t, errs, "events.json:1: a damaged line")
	start := time.Now()
	_, errs, code = runWhy(t, "java", "--history", t.TempDir(), "--audit-log", t.TempDir())
	assert.Equal(t, exitNothing, code)
	assert.Contains(t, errs, "for the next time: install the package otelcol-auditkill")
	assert.Less(t, time.Since(start), time.Minute)
}
