// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func init() {
	roles["crowd"] = beCrowd
	roles["alarmed"] = beAlarmed
}

// beCrowd runs a program as often as it is asked to.
func beCrowd([]string) {
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		times, err := strconv.Atoi(input.Text())
		check(err)
		for range times {
			check(exec.Command("/bin/true").Run())
		}
		fmt.Println(times) //nolint:forbidigo // this is how it answers
	}
}

// beAlarmed has the kernel send it signals until it has had so many.
func beAlarmed(arguments []string) {
	times, err := strconv.Atoi(arguments[0])
	check(err)
	had := make(chan os.Signal, 1)
	signal.Notify(had, syscall.SIGALRM)
	every := unix.NsecToTimeval(int64(100 * time.Microsecond))
	_, err = unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{Interval: every, Value: every})
	check(err)
	for range times {
		<-had
	}
	_, err = unix.Setitimer(unix.ITIMER_REAL, unix.Itimerval{})
	check(err)
	fmt.Println(times) //nolint:forbidigo // this is how it answers
	<-had
}

// pause keeps the reader from reading until the test resumes it.
func (w *watch) pause() (resume func()) {
	w.reader.mutex.Lock()
	return w.reader.mutex.Unlock
}

// smallRing is the size of a ring that fills up soon.
const smallRing = 256 << 10

// However many programs a user starts, what root's processes run stays known, also if they live for a moment only.
func TestProgramsOfAUser(t *testing.T) {
	t.Parallel()
	w := start(t, func(s *Settings) { s.RingBuffer = smallRing })
	target := run(t, exec.Command("sleep", "1000"))
	awaitCommand(t, target, "sleep")
	crowd := help(t, "crowd", unprivileged())
	w.fence(t)
	resume := w.pause()
	crowd.say("%d", 1500) // whose records have 600 kB
	crowd.read(new(int))
	used := w.reader.ring.AvailableBytes()
	killer := run(t, command("/bin/kill", "-KILL", itoa(target)))
	awaitEnd(t, killer)
	resume()
	assert.Less(t, used, smallRing/8*5+int(execTextOffset), "bytes of the crowd's records")
	e := w.find(t, to(target, kill.SIGKILL))
	assert.Equal(t, killer, e.Sender.PID)
	program, err := filepath.EvalSymlinks("/bin/kill")
	require.NoError(t, err)
	assert.Equal(t, program, e.Sender.Executable)
	assert.Zero(t, w.reader.snapshot().execs)
}

// What the kernel sends to a user's process takes that user's share of the ring.
func TestKernelSignalsOfAUser(t *testing.T) {
	t.Parallel()
	w := start(t, func(s *Settings) {
		s.RingBuffer, s.Signals = smallRing, append(s.Signals, sigAlarm)
	})
	w.fence(t)
	resume := w.pause()
	target := help(t, "alarmed", unprivileged(), "1000") // whose records have 600 kB
	target.read(new(int))
	used := w.reader.ring.AvailableBytes()
	resume()
	assert.Less(t, used, smallRing/2, "bytes of the records of alarms")
	w.some(t, to(target.pid, sigAlarm))
}
