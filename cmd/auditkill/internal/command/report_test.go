// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// recordings are real logs.

const recordings = "../../../../testdata"

// report runs it and returns what it has said.

func runReport(t *testing.T, in io.Reader, arguments ...string) (out, errs string, code int) {
	t.Helper()
	return runReportIn(t.Context(), in, arguments...)
}

func runReportIn(ctx context.Context, in io.Reader, arguments ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	arguments = append([]string{"report", "--passwd", "testdata/passwd"}, arguments...) // the same everywhere
	code = Execute(ctx, arguments, in, &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

func recording(name string) string { return filepath.Join(recordings, name) }

func TestReport(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]string{
		"seed":                {recording("seed.log")},
		"seed.json":           {recording("seed.log"), "--output", "json"},
		"seed.csv":            {recording("seed.log"), "--output", "csv"},
		"behind":              {recording("behind.log"), "-s", "TERM,KILL,HUP"},
		"behind.json":         {recording("behind.log"), "-s", "TERM", "--by-user", "alice", "-o", "json"},
		"incidents":           {recording("variants.log"), "--incidents"},
		"incidents_behind":    {recording("behind.log"), "--incidents", "--by-user", "alice"},
		"incidents.json":      {recording("behind.log"), "--incidents", "--by-user", "alice", "-o", "json"},
		"incidents.csv":       {recording("variants.log"), "--incidents", "-o", "csv"},
		"incidents_by":        {recording("variants.log"), "--incidents", "--by", "user"},
		"behind_by":           {recording("behind.log"), "-s", "TERM,KILL,HUP", "--by", "cause"},
		"variants":            {recording("variants.log")},
		"variants_full":       {recording("variants.log"), "--command-line", "full", "-s", "TERM"},
		"variants_program":    {recording("variants.log"), "--command-line", "program", "-s", "TERM"},
		"variants_off.csv":    {recording("variants.log"), "--command-line", "off", "-s", "0,KILL", "-o", "csv"},
		"variants_kill.json":  {recording("variants.log"), "-s", "SIGKILL", "-o", "json"},
		"variants_failed":     {recording("variants.log"), "--failed"},
		"variants_user":       {recording("variants.log"), "--user", "nobody"},
		"variants_sender":     {recording("variants.log"), "--sender", "/usr/bin/python*"},
		"variants_by_user":    {recording("variants.log"), "--by-user", "nobody"},
		"nothing_behind":      {recording("variants.log"), "--cause", "service_stop", "--from", "10.0.0.5", "--requester", "systemctl"},
		"variants_time":       {recording("variants.log"), "--since", "2026-11-22 14:52:09", "--until", "2026-11-22T14:52:10Z"},
		"by_sender":           {recording("variants.log"), "--by", "sender"},
		"by_target":           {recording("variants.log"), "--by", "target"},
		"by_signal":           {recording("variants.log"), "--by", "signal"},
		"by_signal.json":      {recording("variants.log"), "--by", "signal", "-o", "json"},
		"by_user.csv":         {recording("variants.log"), "--by", "user", "-o", "csv"},
		"by_hour":             {recording("mixed.log.gz"), recording("variants.log"), recording("seed.log"), "--by", "hour"},
		"tamper":              {recording("tamper.log")},
		"oom":                 {recording("oom.journal")},
		"oom.json":            {recording("oom.journal"), "-o", "json"},
		"oom_other_boot":      {"../../../../internal/kernellog/testdata/4.19.dmesg"},
		"untrusted":           {recording("forged.log")},
		"untrusted.json":      {recording("forged.log"), "-o", "json"},
		"untrusted.csv":       {recording("forged.log"), "-o", "csv"},
		"untrusted_by.csv":    {recording("forged.log"), "-o", "csv", "--by", "target"},
		"nothing_target":      {recording("variants.log"), "--target", "mysqld"},
		"nothing_of_all":      {recording("variants.log"), "--target", "mysqld", "-s", "KILL", "--since", "2026-11-22 14:52:09"},
		"nothing_since":       {recording("variants.log"), "--since", "2026-11-23"},
		"nothing_until":       {recording("variants.log"), "--until", "2026-11-21"},
		"nothing_by":          {recording("seed.log"), "--by", "sender", "-s", "TERM"},
		"wrong_signal":        {"-s", "SIGFOO"},
		"wrong_glob":          {"--sender", "["},
		"wrong_output":        {"-o", "xml"},
		"wrong_since":         {"--since", "soon"},
		"wrong_order":         {"--since", "yesterday", "--until", "2 days ago"},
		"wrong_by":            {"--by", "weekday"},
		"wrong_plot":          {"--plot", "kills.gif"},
		"wrong_command_line":  {"--command-line", "short"},
		"wrong_flag":          {"--targets", "x"},
		"empty_signal":        {"-s", ""},
		"empty_target":        {"-t", ""},
		"empty_user":          {"-u", ""},
		"empty_since":         {"--since", ""},
		"empty_name":          {""},
		"plot_output":         {"--plot", "x.svg", "-o", "json"},
		"empty_plot":          {"--plot", ""},
		"wrong_passwd":        {recording("seed.log"), "--passwd", "/nonexistent/passwd"},
		"until_the_second":    {recording("seed.log"), "--since", "2015-12-15 21:28:39", "--until", "2015-12-15 21:28:39"},
		"until_the_day":       {recording("seed.log"), "--until", "2015-12-15"},
		"no_directory_log":    {"testdata/none"},
		"several_logs":        {recording("seed.log"), recording("variants.log"), "-s", "KILL"},
		"missing":             {"/nonexistent/audit.log"},
		"not_a_log":           {recording("config.yaml")},
		"missing_among_other": {"/nonexistent/audit.log", recording("seed.log")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := runReport(t, nil, arguments...)
			golden(t, "report_"+name, out+"--\n"+errs+"exit code "+strconv.Itoa(code)+"\n")
		})
	}
}

// Once standard error is no terminal either, nothing but the report is there.

func TestReportIsQuiet(t *testing.T) {
	t.Parallel()
	_, errs, code := runReport(t, nil, recording("seed.log"))
	assert.Empty(t, errs)
	assert.Equal(t, exitFound, code)
}

// rotated writes a recording as auditd leaves it: the oldest part compressed.

// However the files of a log are named, each signal is reported once, and in its order.

// Logs of several hosts are one report by time.

// Escape sequences in names do nothing.

func TestReportPlot(t *testing.T) {
	t.Parallel()
	for extension, magic := range map[string]string{"svg": "<?xml", "png": "\x89PNG"} {
		path := filepath.Join(t.TempDir(), "kills."+extension)
		out, _, code := runReport(t, nil, recording("variants.log"), "--plot", path)
		assert.Equal(t, exitFound, code)
		assert.Empty(t, out)
		drawn, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, bytes.HasPrefix(drawn, []byte(magic)))
		out, _, code = runReport(t, nil, recording("variants.log"), "--plot", path, "--by", "sender")
		assert.Equal(t, exitFound, code)
		assert.Contains(t, out, "/usr/bin/bash", "both were asked for")
	}
	path := filepath.Join(t.TempDir(), "kills.svg")
	_, _, code := runReport(t, nil, recording("variants.log"), "--plot", path, "-t", "mysqld")
	assert.Equal(t, exitNothing, code)
	assert.NoFileExists(t, path, "there is nothing to draw")
}

// TestReportCountsSendersAlike has senders of many processes and many targets: the picture, the page and the table count them by program.
func TestReportCountsSendersAlike(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"seed.log", "behind.log", "variants.log"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, _, _ := runReport(t, nil, recording(name), "--by", "sender", "--output", "csv")
			senders := strings.Count(table, "\n") - 1
			plot, _, _ := runReport(t, nil, recording(name), "--plot", "-")
			assert.Regexp(t, fmt.Sprintf(` by %d senders?,`, senders), plot)
			path := filepath.Join(t.TempDir(), "kills.html")
			_, errs, code := runReport(t, nil, recording(name), "--html", path)
			require.Equal(t, exitFound, code, errs)
			html, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Contains(t, string(html), fmt.Sprintf("<dt>senders</dt><dd>%d</dd>", senders))
		})
	}
}

// Who waits for the end of an input that has none can end it.

func TestConfigOfTimes(t *testing.T) {
	t.Parallel()
	f := reportFlags{since: "2 hours ago", until: "now", selectionFlags: selectionFlags{output: "table", commandLine: "off", flags: new(pflag.FlagSet)}}
	now := time.Date(2026, 11, 22, 3, 15, 0, 0, time.UTC)
	config, err := f.config(now)
	require.NoError(t, err)
	assert.Equal(t, now.Add(-2*time.Hour), config.Since)
	assert.Equal(t, now, config.Until)
}

// A report that reads a FIFO without a writer can be ended.

func TestReportDoesNotDrawOverTheLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.svg")
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, seed, 0o600))
	_, errs, code := runReport(t, nil, path, "--plot", path)
	assert.Equal(t, exitFailure, code)
	assert.Contains(t, errs, "is a log that the report reads")
}

// Whatever the name of a file is, it does nothing to the terminal.
