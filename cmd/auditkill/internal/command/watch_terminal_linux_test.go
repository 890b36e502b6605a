// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// screen is a terminal with a watch on it.
type screen struct {
	t     *testing.T
	cmd   *exec.Cmd
	side  *os.File
	lines chan string
}

var style = regexp.MustCompile("\x1b\\[\\d*m")

// startScreen starts a watch on a terminal of some width, and waits until it says so.
func startScreen(t *testing.T, width uint16, variable string) *screen {
	t.Helper()
	needRoot(t)
	s := &screen{t: t, cmd: auditkill(t, "watch", "--source", "ebpf", "-t", "sleep"), lines: make(chan string, 1<<10)}
	s.cmd.Env = append(s.cmd.Env, variable)
	s.cmd.SysProcAttr.Pdeathsig = 0 // the terminal is closed then, too
	side, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: width})
	require.NoError(t, err)
	s.side = unblocked(t, side)
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(s.side); lines.Scan(); {
			s.lines <- strings.TrimSuffix(lines.Text(), "\r")
		}
	}()
	t.Cleanup(func() { s.close() })
	assert.Equal(t, "auditkill: watching with ebpf; press Ctrl-C to stop", s.next())
	assert.Regexp(t, "^(EPO|TIM|…)", style.ReplaceAllString(s.next(), ""), "the header comes before the first signal")
	return s
}

// unblocked returns the same file such that closing it ends reading it.
func unblocked(t *testing.T, file *os.File) *os.File {
	t.Helper()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.SetNonblock(fd, true))
	require.NoError(t, file.Close())
	return os.NewFile(uintptr(fd), file.Name())
}

func (s *screen) close() {
	_ = s.cmd.Process.Kill() // it may have ended
	_ = s.cmd.Wait()         // or was waited for
	_ = s.side.Close()       // or was closed
}

func (s *screen) resize(width uint16) {
	s.t.Helper()
	raw, err := s.side.SyscallConn()
	require.NoError(s.t, err)
	require.NoError(s.t, raw.Control(func(fd uintptr) {
		assert.NoError(s.t, unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: width}))
	}))
}

func (s *screen) next() string {
	s.t.Helper()
	select {
	case line, more := <-s.lines:
		require.True(s.t, more, "a line comes")
		return line
	case <-time.After(limit):
		require.Fail(s.t, "no line comes")
		return ""
	}
}

// kill kills a process, and returns its two lines: that of the signal and that of the outcome.
func (s *screen) kill() (lines []string) {
	s.t.Helper()
	v := newVictim(s.t)
	v.kill(syscall.SIGKILL)
	_ = v.cmd.Wait() // it was killed
	// That of the signal comes before that of the outcome.
	for len(lines) < 2 {
		if line := s.next(); strings.Contains(line, strconv.Itoa(v.pid)) {
			lines = append(lines, line)
		}
	}
	return lines
}

// end ends it with Ctrl-C, typed on the terminal.
func (s *screen) end() {
	s.t.Helper()
	_, err := s.side.WriteString("\x03")
	require.NoError(s.t, err)
	assert.NoError(s.t, s.cmd.Wait())
}

// goneSoon matches what a wide terminal shows of the end of who is killed: how soon that is depends on the host.
const goneSoon = `gone (at once|after \d+\.\d s), by SIGKILL`

func TestWatchFitsTheTerminal(t *testing.T) {
	for width, tells := range map[uint16][]string{
		200: {"SIGKILL", "ok", goneSoon},
		80:  {"KILL", "ok", `gone \d+(\.\d)?s`},
		60:  {"KILL"},
		20:  nil,
		1:   nil,
	} {
		t.Run(strconv.Itoa(int(width)), func(t *testing.T) {
			s := startScreen(t, width, "NO_COLOR=1")
			var lines []string
			if width > 20 {
				lines = s.kill()
			} else { // where no pid is to be seen
				v := newVictim(t)
				v.kill(syscall.SIGKILL)
				_ = v.cmd.Wait() // it was killed
				lines = append(lines, s.next(), s.next())
			}
			for _, line := range lines {
				assert.LessOrEqual(t, uniseg.StringWidth(line), int(width), line)
				assert.NotContains(t, line, "\x1b")
			}
			for _, text := range tells {
				assert.Regexp(t, text, strings.Join(lines, "\n"))
			}
			s.end()
		})
	}
}

func TestWatchFollowsTheTerminal(t *testing.T) {
	s := startScreen(t, 200, "NO_COLOR=1")
	assert.Regexp(t, goneSoon, s.kill()[1])
	for _, width := range []uint16{80, 133, 60} {
		s.resize(width)
		for _, line := range s.kill() {
			assert.LessOrEqual(t, uniseg.StringWidth(line), int(width), line)
		}
	}
	s.resize(200)
	assert.Regexp(t, goneSoon, s.kill()[1])
	s.end()
}

func TestWatchPaints(t *testing.T) {
	s := startScreen(t, 200, "NO_COLOR=")
	line := s.kill()[0]
	assert.Contains(t, line, "\x1b[31mSIGKILL\x1b[0m")
	assert.NotContains(t, style.ReplaceAllString(line, ""), "\x1b")
	s.end()
}

// Whoever closes the window does not say Ctrl-C.
func TestWatchOnATerminalThatIsClosed(t *testing.T) {
	s := startScreen(t, 80, "NO_COLOR=1")
	require.NoError(t, s.side.Close())
	ended := make(chan error, 1)
	go func() { ended <- s.cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		assert.False(t, errors.As(err, &exit) && !exit.Exited(), "it ends by itself: %v", err)
	case <-time.After(limit):
		assert.Fail(t, "it does not end")
	}
}
