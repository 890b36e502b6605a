// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
			"FILE:LINE: the rest after this line cannot be read: unexpected EOF\n", exitFailure,
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
		"empty":     {"", "standard input: empty\n", exitNothing},
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
