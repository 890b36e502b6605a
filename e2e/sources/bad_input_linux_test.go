// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// The collector refuses to start with an unreadable log, and reports its path and what to do.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		// make makes something in a folder, and returns its path.
		make func(t *testing.T, directory string) string
		// user runs the collector as another user than root, which may read everything.
		user bool
		says string
	}{
		"folder": {
			make: func(_ *testing.T, directory string) string { return directory },
			says: "PATH is a directory; set file::path to the log file, such as /var/log/audit/audit.log",
		},
		"FIFO": {
			make: func(t *testing.T, directory string) string {
				t.Helper()
				path := filepath.Join(directory, "audit.log")
				require.NoError(t, syscall.Mkfifo(path, 0o644))
				return path
			},
			says: "PATH is not a regular file (p",
		},
		"device": {
			make: func(*testing.T, string) string { return "/dev/zero" },
			says: "PATH is not a regular file (D",
		},
		"no permission for the file": {
			make: func(t *testing.T, directory string) string {
				t.Helper()
				path := filepath.Join(directory, "audit.log")
				require.NoError(t, os.WriteFile(path, []byte("type=DAEMON_START\n"), 0o000))
				return path
			},
			user: true,
			says: "open PATH: permission denied: run it as root or with CAP_DAC_READ_SEARCH",
		},
		"no permission for a file that is empty so far": {
			make: func(t *testing.T, directory string) string {
				t.Helper()
				path := filepath.Join(directory, "audit.log")
				require.NoError(t, os.WriteFile(path, nil, 0o000))
				return path
			},
			user: true,
			says: "open PATH: permission denied: run it as root or with CAP_DAC_READ_SEARCH",
		},
		"no permission for the folder": {
			make: func(t *testing.T, directory string) string {
				t.Helper()
				folder := filepath.Join(directory, "audit")
				require.NoError(t, os.Mkdir(folder, 0o000))
				return filepath.Join(folder, "audit.log")
			},
			user: true,
			says: "stat PATH: permission denied: run it as root or with CAP_DAC_READ_SEARCH",
		},
		"nothing to read without waiting": {
			make: func(_ *testing.T, directory string) string { return filepath.Join(directory, "audit.log") },
			says: "PATH: no such file or directory",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options []func(*exec.Cmd)
			directory := t.TempDir()
			if test.user {
				directory = harness.PublicDir(t)
				options = append(options, collector.AsNobody(t))
			}
			path := test.make(t, directory)
			c := collector.Start(t, collector.Config{Receiver: fmt.Sprintf("{file: {path: %q, follow: false}}", path)}, options...)
			assert.Equal(t, 1, c.Wait(), "exit code")
			c.Says(strings.ReplaceAll(test.says, "PATH", path))
		})
	}
}

// A log that does not exist yet is read from its first line once it appears.
func TestLogAppears(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{"in a folder": "", "with its folder": "audit"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), folder, "audit.log")
			sink := otlp.NewSink(t, "grpc")
			c := collector.Start(t, collector.Config{Receiver: fmt.Sprintf("{file: {path: %q}}", path), Exporter: sink.Exporter})
			c.Ready()
			c.Says(fmt.Sprintf("%q", path))
			c.Says("the log does not exist yet, waiting for it: is auditd installed and running?")

			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			log := auditlog.NewAt(t, path)
			log.Add(auditlog.SingleKill(t))
			otlp.AwaitAll(t, sink, log.Want)
			log.Rotate()
			log.Add(auditlog.SingleKill(t))
			otlp.AwaitAll(t, sink, log.Want)
			c.Stop()
			assert.Equal(t, log.Want, otlp.KeysOf(sink.Records()))
		})
	}
}

// After a rotation the new file is unreadable, as if the log_group in auditd.conf was removed.
func TestPermissionIsLost(t *testing.T) {
	t.Parallel()
	harness.NeedRoot(t) // which can own a log that the collector may not read
	nobody := collector.AsNobody(t)
	log, sink := auditlog.NewAt(t, filepath.Join(harness.PublicDir(t), "audit.log")), otlp.NewSink(t, "grpc")
	require.NoError(t, log.File.Chmod(0o644))
	kill := auditlog.SingleKill(t)
	log.Add(kill)
	c := collector.Start(t, collector.Config{
		Receiver: fmt.Sprintf("{file: {path: %q, start_at: beginning}}", log.Path),
		Exporter: sink.Exporter,
	}, nobody)
	otlp.AwaitAll(t, sink, log.Want)

	log.Rotate()
	log.Add(kill)
	c.Says("cannot read the log, trying again")
	c.Says(log.Path + ": permission denied: run it as root or with CAP_DAC_READ_SEARCH")
	require.NoError(t, log.File.Chmod(0o644))
	otlp.AwaitAll(t, sink, log.Want)
	c.Says("the log can be read again")
	c.Stop()
}

// Lines that are no records do not cost the records around them.
func TestRubbish(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte([]byte("the same rubbish every time, ok?")))
	binary := make([]byte, 1<<20)
	_, err := io.ReadFull(random, binary)
	require.NoError(t, err)
	long := "type=OBJ_PID" + strings.Repeat("x", 10<<20)
	tests := map[string]struct {
		before, after string
		rejected      int
	}{
		"binary":           {string(binary) + "\n", "\n" + string(binary), bytes.Count(binary, []byte("\n"))},
		"binary and glued": {string(binary), string(binary), bytes.Count(binary, []byte("\n"))},
		"10 MB line":       {"", long + "\n", 1},
		"only line feeds":  {strings.Repeat("\n", 100_000), strings.Repeat("\n", 100_000), 0},
		"NULs (a crash)":   {strings.Repeat("\x00", 4096) + "\n", strings.Repeat("\x00", 4096) + "\n", 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, sink := auditlog.New(t), otlp.NewSink(t, "grpc")
			kill := auditlog.SingleKill(t)
			c := collector.Start(t, collector.Config{
				Receiver: fmt.Sprintf("{file: {path: %q, start_at: beginning}}", log.Path),
				Exporter: sink.Exporter,
			})
			log.Add(kill)
			log.Write(test.before)
			if !strings.HasSuffix(test.before, "\n") {
				log.Write("\n")
			}
			log.Add(kill)
			log.Write(test.after)
			if !strings.HasSuffix(test.after, "\n") {
				log.Write("\n")
			}
			log.Add(kill)
			otlp.AwaitAll(t, sink, log.Want)
			harness.Eventually(t, func() bool { return c.Metric("audit_kill_rejected") >= test.rejected }, "the lines are counted as rejected")
			c.Running()
			c.Stop()
			assert.Equal(t, log.Want, otlp.KeysOf(sink.Records()))
		})
	}
}

// The serial starts again with each boot, so it identifies an event only together
// with the time.
func TestSerialRepeats(t *testing.T) {
	t.Parallel()
	log, sink := auditlog.New(t), otlp.NewSink(t, "grpc")
	kill := auditlog.SingleKill(t)
	for range 3 {
		log.Serial = 0
		log.Add(kill)
		log.Add(kill)
	}
	c := collector.Start(t, collector.Config{
		Receiver: fmt.Sprintf("{file: {path: %q, start_at: beginning}}", log.Path),
		Exporter: sink.Exporter,
	})
	otlp.AwaitAll(t, sink, log.Want)
	c.Stop()
	otlp.AssertConsistent(t, sink.Records(), log.Want)
}
