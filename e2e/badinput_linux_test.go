// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// nobodyID is a user without rights.
const nobodyID = 65534

// What cannot be read is refused at the start, with its name and what to do.
func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		// make returns the path of what it has made in a folder.
		make func(t *testing.T, directory string) string
		// user runs the collector as anybody but root, who may read everything.
		user bool
		says string
	}{
		"folder": {
			make: func(_ *testing.T, directory string) string { return directory },
			says: "PATH is a directory: file::path must name the log file in it, such as PATH/audit.log",
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
			says: "open PATH: permission denied: run the collector as root or with CAP_DAC_READ_SEARCH",
		},
		"no permission for a file that is empty so far": {
			make: func(t *testing.T, directory string) string {
				t.Helper()
				path := filepath.Join(directory, "audit.log")
				require.NoError(t, os.WriteFile(path, nil, 0o000))
				return path
			},
			user: true,
			says: "open PATH: permission denied: run the collector as root or with CAP_DAC_READ_SEARCH",
		},
		"no permission for the folder": {
			make: func(t *testing.T, directory string) string {
				t.Helper()
				folder := filepath.Join(directory, "audit")
				require.NoError(t, os.Mkdir(folder, 0o000))
				return filepath.Join(folder, "audit.log")
			},
			user: true,
			says: "stat PATH: permission denied: run the collector as root or with CAP_DAC_READ_SEARCH",
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
				directory = publicDir(t)
				options = append(options, asNobody(t))
			}
			path := test.make(t, directory)
			c := start(t, config{receiver: fmt.Sprintf("{file: {path: %q, follow: false}}", path)}, options...)
			assert.Equal(t, 1, c.wait(), "exit code")
			c.says(strings.ReplaceAll(test.says, "PATH", path))
		})
	}
}

// A log that does not exist yet is read from its first line on when it appears.
func TestLogAppears(t *testing.T) {
	t.Parallel()
	for name, folder := range map[string]string{"in a folder": "", "with its folder": "audit"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), folder, "audit.log")
			sink := newSink(t, "grpc")
			c := start(t, config{receiver: fmt.Sprintf("{file: {path: %q}}", path), exporter: sink.exporter})
			c.ready()
			c.says(fmt.Sprintf("%q", path))
			c.says("the log does not exist yet, waiting for it: is auditd installed and running?")

			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			log := auditLogAt(t, path)
			log.add(singleKill(t))
			awaitAll(t, sink, log.want)
			log.rotate()
			log.add(singleKill(t))
			awaitAll(t, sink, log.want)
			c.stop()
			assert.Equal(t, log.want, keysOf(sink.records()))
		})
	}
}

// auditd makes the next file unreadable, as with a log_group that was removed.
func TestPermissionIsLost(t *testing.T) {
	t.Parallel()
	needRoot(t) // who can own a log that the collector may not read
	nobody := asNobody(t)
	log, sink := auditLogAt(t, filepath.Join(publicDir(t), "audit.log")), newSink(t, "grpc")
	require.NoError(t, log.file.Chmod(0o644))
	kill := singleKill(t)
	log.add(kill)
	c := start(t, config{
		receiver: fmt.Sprintf("{file: {path: %q, start_at: beginning}}", log.path),
		exporter: sink.exporter,
	}, nobody)
	awaitAll(t, sink, log.want)

	log.rotate()
	log.add(kill)
	c.says("cannot read the log, trying again")
	c.says(log.path + ": permission denied: run the collector as root or with CAP_DAC_READ_SEARCH")
	require.NoError(t, log.file.Chmod(0o644))
	awaitAll(t, sink, log.want)
	c.says("the log can be read again")
	c.stop()
}

// Nothing is lost around lines that are no records.
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
			log, sink := newAuditLog(t), newSink(t, "grpc")
			kill := singleKill(t)
			c := start(t, config{
				receiver: fmt.Sprintf("{file: {path: %q, start_at: beginning}}", log.path),
				exporter: sink.exporter,
			})
			log.add(kill)
			log.write(test.before)
			if !strings.HasSuffix(test.before, "\n") {
				log.write("\n")
			}
			log.add(kill)
			log.write(test.after)
			if !strings.HasSuffix(test.after, "\n") {
				log.write("\n")
			}
			log.add(kill)
			awaitAll(t, sink, log.want)
			eventually(t, func() bool { return c.metric("audit_kill_rejected") >= test.rejected }, "it is counted")
			c.running()
			c.stop()
			assert.Equal(t, log.want, keysOf(sink.records()))
		})
	}
}

// The serial begins anew with each boot; only together with the time it names
// an event.
func TestSerialRepeats(t *testing.T) {
	t.Parallel()
	log, sink := newAuditLog(t), newSink(t, "grpc")
	kill := singleKill(t)
	for range 3 {
		log.serial = 0
		log.add(kill)
		log.add(kill)
	}
	c := start(t, config{
		receiver: fmt.Sprintf("{file: {path: %q, start_at: beginning}}", log.path),
		exporter: sink.exporter,
	})
	awaitAll(t, sink, log.want)
	c.stop()
	assertConsistent(t, sink.records(), log.want)
}

// asNobody runs the collector as a user without rights if the test runs as
// root.
func asNobody(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		return func(*exec.Cmd) {}
	}
	// The folders above the original may be closed to others.
	directory := publicDir(t)
	path := filepath.Join(directory, "otelcol-auditkill")
	source, err := os.Open(distribution)
	require.NoError(t, err)
	defer source.Close()
	program, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(program, source)
	require.NoError(t, err)
	require.NoError(t, program.Close())
	return func(command *exec.Cmd) {
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobodyID, Gid: nobodyID}}
		command.Path, command.Dir = path, directory
		configuration := filepath.Join(directory, "config.yaml")
		at := slices.Index(command.Args, "--config") + 1
		data, err := os.ReadFile(command.Args[at])
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(configuration, data, 0o644))
		command.Args[at] = configuration
	}
}

// publicDir is a temporary folder that everybody may enter.
func publicDir(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	require.NoError(t, os.Chmod(directory, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(directory), 0o755))
	return directory
}
