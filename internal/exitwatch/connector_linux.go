// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// The process connector: include/uapi/linux/connector.h and cn_proc.h. A message is a
// struct nlmsghdr, a struct cn_msg and a struct proc_event.
const (
	cnIdxProc, cnValProc = 1, 1
	listen, ignore       = 1, 2 // PROC_CN_MCAST_LISTEN, PROC_CN_MCAST_IGNORE

	cnMsg      = unix.NLMSG_HDRLEN
	cnMsgAck   = cnMsg + 12
	cnMsgSize  = 20
	procEvent  = cnMsg + cnMsgSize
	eventData  = procEvent + 16
	exitPID    = eventData
	exitTGID   = eventData + 4
	exitStatus = eventData + 8
	exitSize   = eventData + 12

	procEventNone = 0
	procEventExit = 1 << 31
)

const (
	// connectorBuffer holds the messages of some hundreds of processes that end at once.
	connectorBuffer = 1 << 20
	// connectorAnswer is how long to wait for the kernel's answer. If it answers at all, it
	// does so before sendto(2) returns.
	connectorAnswer = time.Second
	// connectorDatagram is larger than any message.
	connectorDatagram = 1 << 10
)

var errNoAnswer = errors.New("no answer: it works in the initial pid and user namespaces only")

// connector receives the end of every process on the host.
type connector struct {
	fd     int
	buffer [connectorDatagram]byte
}

// openConnector opens the process connector.
func openConnector() (*connector, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("opening a socket: %w", err)
	}
	c := &connector{fd: fd}
	if err := c.join(); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return c, nil
}

func (c *connector) join() error {
	if err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, leadersExit()); err != nil {
		return fmt.Errorf("attaching a filter: %w", err)
	}
	// Without the right to force the size it is bounded, and more messages may be lost.
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, connectorBuffer) != nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, connectorBuffer)
	}
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (cnIdxProc - 1)}); err != nil {
		return fmt.Errorf("binding: %w", err)
	}
	address, err := unix.Getsockname(c.fd)
	if err != nil {
		return err
	}
	var number uint32 // which tells our answer from those to others
	if own, ok := address.(*unix.SockaddrNetlink); ok {
		number = own.Pid
	}
	if err := c.ask(listen, number); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	return c.answer(number)
}

func (c *connector) ask(operation, number uint32) error {
	const size = procEvent + 4
	order := binary.NativeEndian
	m := order.AppendUint32(make([]byte, 0, size), size)
	m = order.AppendUint16(m, unix.NLMSG_DONE)
	m = append(m, make([]byte, cnMsg-len(m))...)
	for _, value := range []uint32{cnIdxProc, cnValProc, 0, number} {
		m = order.AppendUint32(m, value)
	}
	m = order.AppendUint16(m, 4) // the length of the operation
	m = order.AppendUint16(m, 0)
	return unix.Sendto(c.fd, order.AppendUint32(m, operation), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}

// answer waits for the kernel's answer to the request to listen.
func (c *connector) answer(number uint32) error {
	for deadline := time.Now().Add(connectorAnswer); ; {
		m, err := c.receive()
		switch {
		case errors.Is(err, unix.EAGAIN):
			left := time.Until(deadline)
			if left <= 0 {
				return errNoAnswer
			}
			ready := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
			if _, err = unix.Poll(ready, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		case err != nil && !errors.Is(err, unix.ENOBUFS):
			return err
		default:
			if code, ok := parseAnswer(m, number); ok && code != 0 {
				return fmt.Errorf("listening: %w", unix.Errno(code))
			} else if ok {
				return nil
			}
		}
	}
}

// receive returns the next message of the kernel, valid until the next call.
func (c *connector) receive() ([]byte, error) {
	for {
		n, from, err := unix.Recvfrom(c.fd, c.buffer[:], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if sender, ok := from.(*unix.SockaddrNetlink); err != nil || ok && sender.Pid == 0 {
			return c.buffer[:max(n, 0)], err
		}
	}
}

// each reports the processes that have ended, and returns whether some were lost.
func (c *connector) each(report func(pid, status int)) (lost bool) {
	for {
		m, err := c.receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			lost = true
		case err != nil:
			return lost
		default:
			if pid, status, ok := parseExit(m); ok {
				report(pid, status)
			}
		}
	}
}

// close also stops listening explicitly: old kernels count listeners, and do not notice that
// one is gone.
func (c *connector) close() error {
	return errors.Join(c.ask(ignore, 0), unix.Close(c.fd))
}

// parseExit reads the pid of a process whose first thread has ended, and its status as
// waitpid(2) returns it.
func parseExit(m []byte) (pid, status int, ok bool) {
	order := binary.NativeEndian
	if len(m) < exitSize || !ofProcesses(m) || order.Uint32(m[procEvent:]) != procEventExit {
		return 0, 0, false
	}
	pid = int(int32(order.Uint32(m[exitPID:])))
	leader := pid == int(int32(order.Uint32(m[exitTGID:])))
	return pid, int(int32(order.Uint32(m[exitStatus:]))), pid > 0 && leader
}

// parseAnswer reads the error number of the answer to the request with that number.
func parseAnswer(m []byte, number uint32) (code uint32, ok bool) {
	order := binary.NativeEndian
	if len(m) < eventData+4 || !ofProcesses(m) || order.Uint32(m[procEvent:]) != procEventNone ||
		order.Uint32(m[cnMsgAck:]) != number+1 {
		return 0, false
	}
	return order.Uint32(m[eventData:]), true
}

func ofProcesses(m []byte) bool {
	order := binary.NativeEndian
	return order.Uint32(m[cnMsg:]) == cnIdxProc && order.Uint32(m[cnMsg+4:]) == cnValProc
}

// leadersExit returns a filter that passes answers and the ends of processes, so that we are
// not woken for each thread, fork and exec on the host.
func leadersExit() *unix.SockFprog {
	const (
		load   = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		toX    = unix.BPF_MISC | unix.BPF_TAX
		equal  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		equalX = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X
		end    = unix.BPF_RET | unix.BPF_K
	)
	// The filter reads everything as big endian.
	exit := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, procEventExit))
	program := []unix.SockFilter{
		{Code: load, K: procEvent},
		{Code: equal, K: procEventNone, Jt: 5},
		{Code: equal, K: exit, Jf: 5},
		{Code: load, K: exitPID},
		{Code: toX},
		{Code: load, K: exitTGID},
		{Code: equalX, Jf: 1},
		{Code: end, K: connectorDatagram},
		{Code: end, K: 0},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}
