// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// Why the kernel sends signals on its own account (docs/behind.md, "Causes of the kernel").

// programs print the pid of the process that the kernel then signals, and end.
var programs = map[string]struct {
	script, cause, signal string
	// body is the sentence after the target, with the pid of the shell for %d.
	body string
}{
	"CPU time": {
		`echo $$; ulimit -St 1; while :; do :; done`, "cpu_limit", "SIGXCPU", `: CPU time limit of 1 s reached`,
	},
	"file size": {
		`echo $$; exec prlimit --fsize=8192 head -c 100000 /dev/zero >"$0"`, "file_size_limit", "SIGXFSZ", `: file size limit of 8 KiB reached`,
	},
	"a parent": {
		`setpriv --pdeathsig TERM sleep 1000 & echo $!; until grep -qx sleep /proc/$!/comm; do :; done; exit 3`,
		"parent_death", "SIGTERM", `: its parent sh\[%d\] exited with code 3`,
	},
	"an alarm": {`echo $$; exec perl -e 'alarm 1; sleep 100'`, "timer", "SIGALRM", `: a timer of its own`},
}

func TestReportsCausesOfTheKernel(t *testing.T) {
	harness.NeedRoot(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	for name, tt := range programs {
		t.Run(name, func(t *testing.T) {
			program := exec.CommandContext(t.Context(), "sh", "-c", tt.script, filepath.Join(t.TempDir(), "file")) //nolint:gosec // the test's own script
			out, err := program.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, program.Start())
			var pid int
			_, err = fmt.Fscan(bufio.NewReader(out), &pid)
			require.NoError(t, err)
			_ = program.Wait() // it ends by the signal
			r := awaitFromKernel(t, sink, "kill.signal", pid)
			body := tt.body
			if strings.Contains(body, "%d") {
				body = fmt.Sprintf(body, program.Process.Pid)
			}
			assert.Regexp(t, fmt.Sprintf(`^the kernel sent %s to \w+\[%d\]%s$`, tt.signal, pid, body), r.Body)
			otlp.AssertAttributes(t, r, map[string]any{
				"kill.cause": tt.cause, "kill.signal.name": tt.signal, "kill.evidence": nil, "kill.complete": true,
			})
			r = awaitFromKernel(t, sink, "kill.outcome", pid)
			assert.Contains(t, r.Body, "the kernel sent "+tt.signal+strings.ReplaceAll(body, `\`, ""))
			otlp.AssertAttributes(t, r, map[string]any{"kill.cause": tt.cause, "kill.last_cause": tt.cause})
		})
	}
	c.Stop()
}

// A program in a terminal, for which the terminal's name is known.
func TestReportsATerminal(t *testing.T) {
	harness.NeedRoot(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	for name, tt := range map[string]struct {
		signal, cause, body string
		act                 func(terminal *os.File) error
	}{
		"a key": {"SIGINT", "terminal_key", `: key on %s`, func(terminal *os.File) error {
			_, err := terminal.WriteString("\x03")
			return err
		}},
		"a hangup": {"SIGHUP", "terminal_hangup", `: hangup of %s(, prompted by .*)?`, func(terminal *os.File) error { return terminal.Close() }},
	} {
		t.Run(name, func(t *testing.T) {
			program := exec.CommandContext(t.Context(), "sleep", "1000")
			terminal, err := pty.Start(program)
			require.NoError(t, err)
			device, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/0", program.Process.Pid))
			require.NoError(t, err)
			require.NoError(t, tt.act(terminal))
			_ = program.Wait()
			r := awaitFromKernel(t, sink, "kill.signal", program.Process.Pid)
			body := fmt.Sprintf(tt.body, strings.TrimPrefix(device, "/dev/"))
			assert.Regexp(t, fmt.Sprintf(`^the kernel sent %s to sleep\[%d\]%s`, tt.signal, program.Process.Pid, body), r.Body)
			otlp.AssertAttributes(t, r, map[string]any{"kill.cause": tt.cause, "kill.signal.name": tt.signal})
		})
	}
	c.Stop()
}

// The end of a container's first process ends all others.
func TestReportsTheEndOfAPIDNamespace(t *testing.T) {
	harness.NeedRoot(t)
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{ebpf: {}}`, sink)
	first := exec.CommandContext(t.Context(), "sh", "-c", "sleep 1000 & echo; read x")
	first.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	in, err := first.StdinPipe()
	require.NoError(t, err)
	out, err := first.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, first.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", first.Process.Pid))
	require.NoError(t, err)
	var pid int
	_, err = fmt.Sscan(string(children), &pid)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	_ = first.Wait()
	r := awaitFromKernel(t, sink, "kill.signal", pid)
	c.Stop()
	assert.Regexp(t, fmt.Sprintf(`^the kernel sent SIGKILL to \w+\[%d\]: end of the pid namespace whose init was sh\[%d\]$`, pid, first.Process.Pid), r.Body)
	otlp.AssertAttributes(t, r, map[string]any{"kill.cause": "pid_namespace_end", "process.pid": int64(first.Process.Pid)})
}
