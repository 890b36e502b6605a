// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
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
		"variants":            {recording("variants.log")},
		"variants_full":       {recording("variants.log"), "--command-line", "full", "-s", "TERM"},
		"variants_off.csv":    {recording("variants.log"), "--command-line", "off", "-s", "0,KILL", "-o", "csv"},
		"variants_kill.json":  {recording("variants.log"), "-s", "SIGKILL", "-o", "json"},
		"variants_failed":     {recording("variants.log"), "--failed"},
		"variants_user":       {recording("variants.log"), "--user", "nobody"},
		"variants_sender":     {recording("variants.log"), "--sender", "/usr/bin/python*"},
		"variants_time":       {recording("variants.log"), "--since", "2026-11-22 14:52:09", "--until", "2026-11-22T14:52:10Z"},
		"by_sender":           {recording("variants.log"), "--by", "sender"},
		"by_target":           {recording("variants.log"), "--by", "target"},
		"by_signal":           {recording("variants.log"), "--by", "signal"},
		"by_signal.json":      {recording("variants.log"), "--by", "signal", "-o", "json"},
		"by_user.csv":         {recording("variants.log"), "--by", "user", "-o", "csv"},
		"by_hour":             {recording("mixed.log.gz"), recording("variants.log"), recording("seed.log"), "--by", "hour"},
		"tamper":              {recording("tamper.log")},
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
func rotated(t *testing.T) (directory string) {
	t.Helper()
	content, err := os.ReadFile(recording("variants.log"))
	require.NoError(t, err)
	lines := strings.SplitAfter(string(content), "\n")
	directory = t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(directory, name), []byte(text), 0o600))
	}
	var compressed bytes.Buffer
	zipper := gzip.NewWriter(&compressed)
	_, err = zipper.Write([]byte(strings.Join(lines[:60], "")))
	require.NoError(t, err)
	require.NoError(t, zipper.Close())
	write("audit.log.2.gz", compressed.String())
	write("audit.log.1", strings.Join(lines[60:101], "")) // in the middle of an event
	write("audit.log", strings.Join(lines[101:], ""))
	return directory
}

// However the files of a log are named, each signal is reported once, and in its order.
func TestReportOfRotatedLogs(t *testing.T) {
	t.Parallel()
	want, _, _ := runReport(t, nil, recording("variants.log"))
	directory := rotated(t)
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(directory, name))
		}
		return paths
	}
	for name, paths := range map[string][]string{
		"the log":             in("audit.log"),
		"the directory":       {directory},
		"all of the files":    in("audit.log", "audit.log.1", "audit.log.2.gz"),
		"all, oldest first":   in("audit.log.2.gz", "audit.log.1", "audit.log"),
		"the same file twice": in("audit.log", "audit.log"),
		"log and directory":   append(in("audit.log"), directory),
	} {
		out, errs, code := runReport(t, nil, paths...)
		assert.Equal(t, want, out, name)
		assert.Equal(t, exitFound, code, name)
		assert.Equal(t, 3, strings.Count(errs, "\n"), "the tampering that there is, once: %s", errs)
	}

	file := regexp.MustCompile(`audit_file,,[^,]*,`)
	want, _, _ = runReport(t, nil, recording("variants.log"), "-o", "csv")
	out, _, code := runReport(t, nil, append(in("audit.log.1"), "-o", "csv")...)
	assert.Equal(t, exitFound, code)
	want, out = file.ReplaceAllString(want, ""), file.ReplaceAllString(out, "")
	lines := strings.SplitAfter(out, "\n")
	require.Greater(t, len(lines), 10)
	assert.Contains(t, want, strings.Join(lines[1:len(lines)-2], ""), "a part, but for what goes on in the next file")
}

// Logs of several hosts are one report by time.
func TestReportMergesHosts(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	var paths []string
	for i, times := range [][]string{{"1450214919.813:148", "1450214921.000:7"}, {"1450214920.000:9", "1450214922.000:3"}} {
		var log strings.Builder
		for _, stamp := range times {
			log.WriteString(strings.ReplaceAll(string(content), "1450214919.813:148", stamp))
		}
		path := filepath.Join(t.TempDir(), string(rune('a'+i)))
		require.NoError(t, os.WriteFile(path, []byte(log.String()), 0o600))
		paths = append(paths, path)
	}
	out, _, code := runReport(t, nil, append(paths, "-o", "csv")...)
	assert.Equal(t, exitFound, code)
	var times []string
	for line := range strings.Lines(out) {
		times = append(times, line[:strings.IndexByte(line, ',')])
	}
	assert.Equal(t, []string{
		"time", "2015-12-15T21:28:39.813Z", "2015-12-15T21:28:40Z", "2015-12-15T21:28:41Z", "2015-12-15T21:28:42Z",
	}, times)
}

func TestReportOfStandardInput(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	want, _, _ := runReport(t, nil, recording("seed.log"))
	lines := strings.SplitAfter(string(seed), "\n")
	var compressed bytes.Buffer
	zipper := gzip.NewWriter(&compressed)
	_, err = zipper.Write(seed)
	require.NoError(t, err)
	require.NoError(t, zipper.Close())
	for name, in := range map[string]string{
		"a log":           string(seed),
		"without its end": strings.TrimSuffix(string(seed), "\n"),
		"compressed":      compressed.String(),
		"through Windows": strings.ReplaceAll(string(seed), "\n", "\r\n"),
		"ausearch":        "----\ntime->Tue Dec 15 21:28:39 2015\n" + lines[1] + lines[0],
		"ausearch, twice": "----\n" + string(seed) + "----\n",
	} {
		out, errs, code := runReport(t, strings.NewReader(in), "-")
		assert.Equal(t, want, out, name)
		assert.Empty(t, errs, name)
		assert.Equal(t, exitFound, code, name)
	}
	out, _, code := runReport(t, bytes.NewReader(seed), "-", "-", recording("seed.log"))
	assert.Equal(t, 3, strings.Count(out, "\n"), "standard input is one log, the file is another")
	assert.Equal(t, exitFound, code)
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
		"NUL bytes":     {strings.Repeat("\x00", 5000) + "\n" + good, "FILE:1: NUL bytes, as a power failure leaves them\n", exitFound},
		"damaged": {
			"type=SYSCALL msg=audit(1450214919.813:147): arch=c000003e sysc\n" + good, "FILE:1: damaged audit record\n", exitFound,
		},
		"no stamp": {"type=SYSCALL msg=audit(x): arch=c000003e\n" + good, "FILE:1: not an audit record\n", exitFound},
		"interpreted": {
			"type=OBJ_PID msg=audit(12/15/15 21:28:39.813:148) : opid=3936\n" + good,
			"FILE:1: this was interpreted by ausearch -i, which cannot be read back: use ausearch --raw\n", exitFound,
		},
		"a very long line": {strings.Repeat("x", 300_000) + "\n" + good, "FILE:1: not an audit record\n", exitFound},
		"much": {
			strings.Repeat("nonsense\n", 12) + good,
			func() string {
				var all strings.Builder
				for i := range maxTold {
					fmt.Fprintf(&all, "FILE:%d: not an audit record\n", i+1)
				}
				return all.String() + "further lines that cannot be read are not told\n"
			}(), exitFound,
		},
		"cut gzip": {
			zipped.String()[:zipped.Len()-30],
			"FILE:LINE: what comes after this line cannot be read: unexpected EOF\n", exitTrouble,
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
		"not a log": {"hello\nworld\n", "none of its 2 lines is an audit record\n", exitTrouble},
		"no rule": {
			"type=CWD msg=audit(1450214919.813:149): cwd=\"/\"\ntype=CWD msg=audit(1450214920.813:150): cwd=\"/\"\n",
			"no signal from 2015-12-15 21:28:39 to 2015-12-15 21:28:40, as if no kill rule had been loaded", exitNothing,
		},
	} {
		out, errs, code := runReport(t, strings.NewReader(tt.in), "-")
		assert.Empty(t, out, name)
		assert.Contains(t, errs, tt.says, name)
		assert.Equal(t, tt.code, code, name)
	}
}

// Escape sequences in names do nothing.
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

// Who waits for the end of an input that has none can end it.
func TestReportIsInterrupted(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	defer close(ended)
	endless := readers{
		bytes.NewReader(seed),
		readerFunc(func([]byte) (int, error) { // asked for once what came before was passed on
			cancel()
			<-ended
			return 0, io.EOF
		}),
	}
	out, errs, code := runReportIn(ctx, io.MultiReader(endless...), "-")
	assert.Contains(t, out, "mysqld[3936]", "what was read is reported")
	assert.Contains(t, errs, "interrupted")
	assert.Equal(t, exitTrouble, code)
}

type readers = []io.Reader

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReportCannotBeWritten(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	code := Execute(t.Context(), []string{"report", recording("seed.log")}, nil, brokenPipe{}, &errs)
	assert.Equal(t, exitTrouble, code)
	assert.Contains(t, errs.String(), "closed pipe")
}

func TestConfigOfTimes(t *testing.T) {
	t.Parallel()
	f := reportFlags{since: "2 hours ago", until: "now", selectionFlags: selectionFlags{output: "table", commandLine: "off", flags: new(pflag.FlagSet)}}
	now := time.Date(2026, 11, 22, 3, 15, 0, 0, time.UTC)
	config, err := f.config(now)
	require.NoError(t, err)
	assert.Equal(t, now.Add(-2*time.Hour), config.Since)
	assert.Equal(t, now, config.Until)
}

// A FIFO that nobody writes to does not keep a report from being ended.
func TestReportOfAPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	makePipe(t, path)
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, seed, 0) }()
	out, _, code := runReport(t, nil, path)
	require.NoError(t, <-written)
	assert.Contains(t, out, "mysqld[3936]")
	assert.Equal(t, exitFound, code)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errs, code := runReportIn(ctx, nil, path)
	assert.Contains(t, errs, "interrupted")
	assert.Equal(t, exitTrouble, code)
	writer, err := os.OpenFile(path, os.O_WRONLY, 0) // so that who waits to open it ends
	require.NoError(t, err)
	require.NoError(t, writer.Close())
}

func TestReportDoesNotDrawOverTheLog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.svg")
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, seed, 0o600))
	_, errs, code := runReport(t, nil, path, "--plot", path)
	assert.Equal(t, exitTrouble, code)
	assert.Contains(t, errs, "is the log that is read")
}

func TestReportTellsWhatItDoesNotRead(t *testing.T) {
	t.Parallel()
	directory := rotated(t)
	path := filepath.Join(directory, "audit.log-20151215")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, errs, code := runReport(t, nil, directory)
	assert.Equal(t, exitFound, code)
	assert.Contains(t, errs, "not read, as the names do not tell the order; name them to have them read: "+path+"\n")
	packed := filepath.Join(directory, "audit.log.3.xz")
	require.NoError(t, os.WriteFile(packed, []byte("\xfd7zXZ\x00"), 0o600))
	_, errs, _ = runReport(t, nil, directory, path)
	assert.NotContains(t, errs, "the order", "it was named")
	assert.Contains(t, errs, "not read, as gzip has not compressed them; `xzcat FILE | auditkill report -` or the like reads them: "+packed+"\n")
	_, errs, code = runReport(t, nil, packed)
	assert.Equal(t, exitTrouble, code)
	assert.Equal(t, "auditkill: "+packed+": cannot be read: compressed, but not by gzip: use xzcat FILE | auditkill report -\n", errs)
}

// Whatever the name of a file is, it does nothing to the terminal.
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

func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"mistyped":       {[]string{"reprot"}, "unknown command \"reprot\""},
		"no such topic":  {[]string{"help", "nosuch"}, "unknown command \"nosuch\""},
		"nothing at all": {nil, "Available Commands"},
	} {
		var out, errs bytes.Buffer
		code := Execute(t.Context(), append([]string{}, tt.arguments...), nil, &out, &errs)
		assert.Equal(t, exitTrouble, code, name)
		assert.Contains(t, errs.String(), tt.says, name)
		assert.Empty(t, out.String(), name)
	}
}
