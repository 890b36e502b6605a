// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

const (
	floodRole     = "flood"
	floodName     = "AUDITKILL_FLOOD_NAME"
	floodDuration = "AUDITKILL_FLOOD_DURATION"
)

func init() { harness.Roles[floodRole] = flood }

// Flood is an unprivileged user's process that sends SIGHUP to a child of its own as fast as it can. The child
// has a name that somebody watches, and ignores the signal.
type Flood struct {
	// PID is the sender, Target its child. Sent is how many signals it has sent; valid after Wait.
	PID, Target int
	Sent        int

	t       *testing.T
	command *exec.Cmd
	said    *bufio.Reader
}

// StartFlood starts a flood that lasts for some time.
func StartFlood(t *testing.T, name string, duration time.Duration) *Flood {
	t.Helper()
	audit.NoteSender(t)
	command := exec.CommandContext(t.Context(), "/proc/self/exe") // the other user may not be able to enter the folder of this program
	command.Env = append(os.Environ(), harness.RoleVariable+"="+floodRole, floodName+"="+name, floodDuration+"="+duration.String())
	command.Stderr = os.Stderr
	harness.Attributes(command).Credential = &syscall.Credential{Uid: harness.NobodyID, Gid: harness.NobodyID}
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	f := &Flood{t: t, PID: command.Process.Pid, command: command, said: bufio.NewReader(out)}
	f.Target = f.number()
	return f
}

// number reads a number that the process has written.
func (f *Flood) number() int {
	f.t.Helper()
	var n int
	_, err := fmt.Fscan(f.said, &n)
	require.NoError(f.t, err)
	return n
}

// Wait waits for the end of the flood.
func (f *Flood) Wait() {
	f.t.Helper()
	f.Sent = f.number()
	require.NoError(f.t, f.command.Wait())
}

// flood is the role of the sender.
func flood() {
	runtime.LockOSThread()
	duration, err := time.ParseDuration(os.Getenv(floodDuration))
	check(err)
	child := exec.Command("sh", "-c", `trap "" HUP; printf %s "$0" >/proc/$$/comm; echo; read -r end`, os.Getenv(floodName)) //nolint:gosec // the test chooses it
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := child.StdinPipe()
	check(err)
	output, err := child.StdoutPipe()
	check(err)
	check(child.Start())
	_, err = bufio.NewReader(output).ReadByte()
	check(err)
	fmt.Println(child.Process.Pid) //nolint:forbidigo // read by Flood
	sent := 0
	for end := time.Now().Add(duration); time.Now().Before(end); {
		for range 200 {
			check(unix.Kill(child.Process.Pid, unix.SIGHUP))
		}
		sent += 200
	}
	check(input.Close())
	_ = child.Wait()
	fmt.Println(strconv.Itoa(sent)) //nolint:forbidigo // as above
}
