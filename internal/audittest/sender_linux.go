// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audittest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/auparse"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
)

const (
	// senderVariable is set if the test binary is to act as a Sender instead.
	senderVariable = "AUDITTEST_SENDER"
	// recordPatience is how long a record may take to arrive.
	recordPatience = 30 * time.Second
)

func init() {
	if os.Getenv(senderVariable) == "" {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sender:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve sends a signal for each line that names a process and a signal, and answers with
// the error number, 0 for none. Because init calls it, the first thread sends all of them:
// the kernel decides for each thread whether it records it.
func serve(orders io.Reader, answers io.Writer) error {
	for lines := bufio.NewScanner(orders); lines.Scan(); {
		var pid int
		var signal syscall.Signal
		if _, err := fmt.Sscan(lines.Text(), &pid, &signal); err != nil {
			return fmt.Errorf("%q is not an order: %w", lines.Text(), err)
		}
		var errno syscall.Errno
		if err := syscall.Kill(pid, signal); err != nil && !errors.As(err, &errno) {
			return err
		}
		if _, err := fmt.Fprintln(answers, int(errno)); err != nil {
			return err
		}
	}
	return nil
}

// Sender is a process whose signals the kernel records. It may record nothing of the test
// itself: tasks, even single threads, that existed before audit was first turned on go
// unrecorded (kernel/auditsc.c, audit_alloc).
type Sender struct {
	pid     int
	orders  io.Writer
	answers *bufio.Reader
}

// StartSender starts a process that sends signals until the end of the test, and requires
// that the kernel records what it does. The test must hold the audit system (Kernel), and
// nothing may listen to it yet.
func StartSender(t *testing.T) *Sender {
	t.Helper()
	require.True(t, taken.Load(), "take the audit system first (audittest.Kernel): what was started before may go unrecorded")
	s := start(t)
	require.NoError(t, s.recorded(recordPatience))
	return s
}

func start(t *testing.T) *Sender {
	t.Helper()
	command := exec.Command("/proc/self/exe")
	command.Env = append(os.Environ(), senderVariable+"=1")
	command.Stderr = os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // if the test is interrupted
	orders, err := command.StdinPipe()
	require.NoError(t, err)
	answers, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		assert.NoError(t, orders.Close()) // which makes it end
		assert.NoError(t, command.Wait())
	})
	return &Sender{pid: command.Process.Pid, orders: orders, answers: bufio.NewReader(answers)}
}

// Kill is kill(2), called by the sender.
func (s *Sender) Kill(pid int, signal syscall.Signal) error {
	if _, err := fmt.Fprintln(s.orders, pid, int(signal)); err != nil {
		return err
	}
	var errno syscall.Errno
	if _, err := fmt.Fscanln(s.answers, &errno); err != nil {
		return fmt.Errorf("the sender does not answer: %w", err)
	}
	if errno != 0 {
		return errno
	}
	return nil
}

// recorded returns an error unless the kernel records what the sender sends. Only a record
// shows that: nothing in /proc does.
func (s *Sender) recorded(patience time.Duration) (err error) {
	var kernel auditcontrol.Client
	status, err := kernel.GetStatus()
	if err != nil {
		return err
	}
	if status.Enabled == 0 {
		err = kernel.SetEnabled(true, libaudit.WaitForReply)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kernel.SetEnabled(false, libaudit.WaitForReply)) }()
	}
	wire, err := ruleOf(fmt.Sprintf("-a always,exit -F arch=b%d -S kill -F a1=0 -F pid=%d -k audittest", strconv.IntSize, s.pid))
	if err != nil {
		return err
	}
	listener, err := libaudit.NewMulticastAuditClient(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	err = kernel.AddRule(wire)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kernel.DeleteRule(wire)) }()
	err = s.Kill(s.pid, 0)
	if err != nil {
		return err
	}
	return awaitSignal(listener, s.pid, patience)
}

// ruleOf returns a rule in the form in which auditctl sends it.
func ruleOf(line string) ([]byte, error) {
	parsed, err := flags.Parse(line)
	if err != nil {
		return nil, err
	}
	return rule.Build(parsed)
}

// awaitSignal waits for the record of a signal to a process.
func awaitSignal(listener *libaudit.AuditClient, pid int, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end); {
		message, err := listener.Receive(true)
		switch {
		case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EINTR), errors.Is(err, syscall.ENOBUFS):
			time.Sleep(time.Millisecond)
		case err != nil:
			return err
		case message.Type == auparse.AUDIT_OBJ_PID && strings.Contains(string(message.Data), fmt.Sprintf("opid=%d ", pid)):
			return nil
		}
	}
	return fmt.Errorf("the kernel does not record what process %d sends: it was started before audit was first turned on, "+
		"or an audit rule suppresses records (auditctl -l says never)", pid)
}
