// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
		assert.Equal(t, 1, strings.Count(errs, "\n"), "the tampering that there is, in one line: %s", errs)
		assert.Contains(t, errs, "the last of 3 changes", "each once")
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
	assert.Equal(t, exitFailure, code)
}

type readers = []io.Reader

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

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
	assert.Equal(t, exitFailure, code)
	writer, err := os.OpenFile(path, os.O_WRONLY, 0) // so that whoever waits to open it ends
	require.NoError(t, err)
	require.NoError(t, writer.Close())
}

func TestReportTellsWhatItDoesNotRead(t *testing.T) {
	t.Parallel()
	directory := rotated(t)
	path := filepath.Join(directory, "audit.log-20151215.old")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	_, errs, code := runReport(t, nil, directory)
	assert.Equal(t, exitFound, code)
	assert.Contains(t, errs, "not read because their names do not show the order; name them to read them: "+path+"\n")
	packed := filepath.Join(directory, "audit.log.3.bz2")
	require.NoError(t, os.WriteFile(packed, []byte("BZh91AY"), 0o600))
	_, errs, _ = runReport(t, nil, directory, path)
	assert.NotContains(t, errs, "the order", "it was named")
	assert.Contains(t, errs, "not read because of how they are compressed; `bzcat FILE | auditkill report -` or the like reads them: "+packed+"\n")
	_, errs, code = runReport(t, nil, packed)
	assert.Equal(t, exitFailure, code)
	assert.Equal(t, "auditkill: "+packed+": cannot be read: compressed, but not by gzip, xz or zstd: use bzcat FILE | auditkill report -\n", errs)
}

func TestSome(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "a b", some([]string{"a", "b"}))
	assert.Equal(t, "c d e f g and 2 more", some([]string{"a", "b", "c", "d", "e", "f", "g"}))
}
