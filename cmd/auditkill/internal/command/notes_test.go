// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/history"
)

// An empty log, one whose beginning is cut off, and a history that is none are said to be so.
func TestReportOfNothing(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for name, tt := range map[string]struct {
		in, says string
		code     int
	}{
		"empty.log":  {"", "FILE: empty: is it the right log, and does auditd write to it?\n", exitNothing},
		"cut.log.gz": {"\x1f\x8b", "FILE: cannot be read: the compressed file is cut off: unexpected EOF\n", exitFailure},
		"events.json": {
			`{"resourceLogs":[]}` + "\n", "FILE: none of its 1 lines is a record of the receiver\n", exitNothing,
		},
	} {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(tt.in), 0o600))
		_, errs, code := runReport(t, nil, path)
		assert.Equal(t, "auditkill: "+strings.ReplaceAll(tt.says, "FILE", path), errs)
		assert.Equal(t, tt.code, code, name)
	}
	rubbish := filepath.Join(folder, "rubbish")
	require.NoError(t, os.WriteFile(rubbish, []byte("a\nb\n"), 0o600))
	opened, err := history.Open(rubbish)
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	said := new(bytes.Buffer)
	l := &logs{notes: newNotes(said), histories: []*history.History{opened}, paths: []string{rubbish}}
	for range l.merged() {
		assert.Fail(t, "there is nothing in it")
	}
	l.noteForeign()
	assert.Equal(t, "auditkill: "+rubbish+": none of its 2 lines has log records in OTLP JSON, as the file exporter of a collector writes them\n", said.String())
	assert.True(t, l.notes.failed.Load())
}

// What refuses may be the log or its folder.
func TestFixes(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/var/log/audit/audit.log": "/var/log/audit/audit.log: permission denied: run it as root or with CAP_DAC_READ_SEARCH, or set log_group in auditd.conf to a group of yours",
		"/var/log/audit":           "/var/log/audit: permission denied: run it as root or with CAP_DAC_READ_SEARCH, or set log_group in auditd.conf to a group of yours",
		"/srv/logs":                "/srv/logs: permission denied: run it as root",
	} {
		require.EqualError(t, withFix(&fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}), want)
	}
}

func TestReportOfRubbish(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	good := string(seed)
	want, _, _ := runReport(t, nil, recording("seed.log"))
	var zipped bytes.Buffer
	zipper := gzip.NewWriter(&zipped)
	_, err = zipper.Write([]byte(good + strings.Repeat("type=CWD msg=audit(1450214919.813:149): cwd=\"/\"\n", 10000)))
	require.NoError(t, err)
	require.NoError(t, zipper.Close())
	for name, tt := range map[string]struct {
		in, errs string
		code     int
	}{
		"words": {"nonsense\n" + good, "FILE:1: not an audit record\n", exitFound},
		"between": {
			strings.Replace(good, "\n", "\n\xff\xfe\x00binary\x1b[31m\n", 1), "FILE:2: not an audit record\n", exitFound,
		},
		"the last line": {good + "no line feed", "FILE:3: not an audit record\n", exitFound},
		"NUL bytes":     {strings.Repeat("\x00", 5000) + "\n" + good, "FILE:1: NUL bytes, as after a power failure\n", exitFound},
		"damaged": {
			"type=SYSCALL msg=audit(1450214919.813:147): arch=c000003e sysc\n" + good, "FILE:1: damaged audit record\n", exitFound,
		},
		"no stamp": {"type=SYSCALL msg=audit(x): arch=c000003e\n" + good, "FILE:1: not an audit record\n", exitFound},
		"interpreted": {
			"type=OBJ_PID msg=audit(12/15/15 21:28:39.813:148) : opid=3936\n" + good,
			"FILE:1: not an audit record: it looks like the output of ausearch -i: `ausearch --raw` prints what can be read\n", exitFound,
		},
		"a very long line": {strings.Repeat("x", 300_000) + "\n" + good, "FILE:1: not an audit record\n", exitFound},
		"much": {
			strings.Repeat("nonsense\n", 12) + good,
			func() string {
				var all strings.Builder
				for i := range maxReported {
					fmt.Fprintf(&all, "FILE:%d: not an audit record\n", i+1)
				}
				return all.String() + "further unreadable lines are not reported\n"
			}(), exitFound,
		},
		"cut gzip": {
			zipped.String()[:zipped.Len()-30],
			"FILE:LINE: the rest after this line cannot be read: the compressed file is cut off: unexpected EOF\n", exitFailure,
		},
	} {
		path := filepath.Join(t.TempDir(), "audit.log")
		require.NoError(t, os.WriteFile(path, []byte(tt.in), 0o600))
		out, errs, code := runReport(t, nil, path)
		assert.Equal(t, want, out, "the rest is reported: %s", name)
		assert.Equal(t, tt.code, code, name)
		for i, line := range strings.Split(strings.TrimSuffix(tt.errs, "\n"), "\n") {
			got := strings.Split(errs, "\n")[i]
			if before, after, ok := strings.Cut(line, "LINE"); ok {
				assert.True(t, strings.HasSuffix(got, after), "%s: %q", name, got)
				line = before
				got = got[:strings.LastIndex(got, "audit.log:")+len("audit.log:")]
			}
			assert.Equal(t, "auditkill: "+strings.ReplaceAll(line, "FILE", path), got, name)
		}
	}
}

func TestReportSaysWhyNothingMatches(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in, says string
		code     int
	}{
		"empty":     {"", "standard input: empty: the command before it has printed nothing\n", exitNothing},
		"not a log": {"hello\nworld\n", "none of its 2 lines is an audit record, or one of a kernel log\n", exitFailure},
		"one line without an end": {
			"type=PATH msg=audit(1450214919.813:149): item=0 nametype=NORMAL", "no signal from 2015-12-15 21:28:39 to 2015-12-15 21:28:39", exitNothing,
		},
		"no rule": {
			"type=CWD msg=audit(1450214919.813:149): cwd=\"/\"\ntype=CWD msg=audit(1450214920.813:150): cwd=\"/\"\n",
			"no signal from 2015-12-15 21:28:39 to 2015-12-15 21:28:40, perhaps because no audit rule recorded signals", exitNothing,
		},
	} {
		out, errs, code := runReport(t, strings.NewReader(tt.in), "-")
		assert.Empty(t, out, name)
		assert.Contains(t, errs, tt.says, name)
		assert.Equal(t, tt.code, code, name)
	}
}

func TestReportOfEscapes(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	in := strings.Replace(string(seed), `comm="mykill"`, "comm="+strings.ToUpper(hex.EncodeToString([]byte("\x1b[31mred"))), 1)
	require.NotEqual(t, string(seed), in)
	out, _, code := runReport(t, strings.NewReader(in), "-")
	assert.Equal(t, exitFound, code)
	assert.NotContains(t, out, "\x1b")
	assert.Contains(t, out, `\x1b[31mred[3997]`)
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReportCannotBeWritten(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	code := Execute(t.Context(), []string{"report", recording("seed.log")}, nil, brokenPipe{}, &errs)
	assert.Equal(t, exitFailure, code)
	assert.Contains(t, errs.String(), "closed pipe")
}

func TestMessagesAreHarmless(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a\x1b[31mb")
	for range 2 {
		_, errs, code := runReport(t, nil, path)
		assert.NotEqual(t, exitFound, code)
		assert.NotContains(t, errs, "\x1b")
		assert.Contains(t, errs, `a\x1b[31mb`)
		require.NoError(t, os.WriteFile(path, []byte("rubbish\n"), 0o600))
	}
}
