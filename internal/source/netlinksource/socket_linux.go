// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/elastic/go-libaudit/v2"
	"golang.org/x/sys/unix"
)

const (
	// batchSize is how many messages one system call fetches at most. Four make an event.
	batchSize = 128
	// messageSize is larger than any record (include/uapi/linux/audit.h,
	// MAX_AUDIT_MESSAGE_LENGTH 8970).
	messageSize = 16 << 10
	// readLog is the multicast group of those who listen beside the audit daemon
	// (include/uapi/linux/audit.h, AUDIT_NLGRP_READLOG).
	readLog = 1
)

// socket is an audit netlink socket. go-libaudit has one as well, but it receives one
// message for each system call, cannot set the size of its buffer, and does not distinguish
// multicast from unicast. Its protocol is used on top of this one.
//
// Go's runtime does not poll it: that would wake a thread for each message, even while the
// reader lets them gather.
type socket struct {
	fd int
	// wake is an eventfd that interrupts the wait for messages.
	wake     int
	sequence uint32
	closed   atomic.Bool
	// receiving is held while the socket is read, so that it is not closed meanwhile.
	receiving sync.Mutex
	messages  []message

	headers [batchSize]multiHeader
	vectors [batchSize]unix.Iovec
	senders [batchSize]unix.RawSockaddrNetlink
	buffers [batchSize][messageSize]byte
}

// multiHeader is struct mmsghdr of recvmmsg(2).
type multiHeader struct {
	header unix.Msghdr
	length uint32
}

var _ transport = (*socket)(nil)

// openSocket opens a socket that receives nothing yet.
func openSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_AUDIT)
	if err != nil {
		return nil, err
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	s := &socket{fd: fd, wake: wake}
	for i := range s.headers {
		s.vectors[i].Base = &s.buffers[i][0]
		s.vectors[i].SetLen(messageSize)
		header := &s.headers[i].header
		header.Iov = &s.vectors[i]
		header.SetIovlen(1)
		header.Name = (*byte)(unsafe.Pointer(&s.senders[i])) //nolint:gosec // as msghdr has it
	}
	return s, nil
}

// setBuffer requests a receive buffer of so many bytes and returns the size granted. Beyond
// net.core.rmem_max this requires CAP_NET_ADMIN.
func (s *socket) setBuffer(bytes int) (int, error) {
	var got int
	err := s.control(func(fd int) error {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes); err != nil {
				return err
			}
		}
		var err error
		got, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		return err
	})
	return got / 2, err // the kernel doubles it for its own needs (man 7 socket)
}

// join implements transport.
func (s *socket) join() error {
	return s.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, readLog)
	})
}

// leave implements transport.
func (s *socket) leave() error {
	return s.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_DROP_MEMBERSHIP, readLog)
	})
}

// register implements transport.
func (s *socket) register() (uint32, error) {
	client := libaudit.AuditClient{Netlink: s}
	err := client.SetPID(libaudit.NoWait)
	return s.sequence, err
}

// unregister implements transport. go-libaudit can do this only as a part of closing, and
// without an answer.
func (s *socket) unregister() (uint32, error) {
	status := libaudit.AuditStatus{Mask: libaudit.AuditStatusPID}
	return s.Send(syscall.NetlinkMessage{
		Header: syscall.NlMsghdr{Type: libaudit.AuditSet, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK},
		Data:   (*[unsafe.Sizeof(status)]byte)(unsafe.Pointer(&status))[:], //nolint:gosec // as go-libaudit does
	})
}

// receive implements transport.
func (s *socket) receive(deadline time.Time) ([]message, bool, error) {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	for i := range s.headers {
		s.headers[i].header.Namelen = unix.SizeofSockaddrNetlink
	}
	count, err := s.receiveBy(deadline)
	if err != nil {
		return nil, errors.Is(err, errTimeout), err
	}
	s.messages = s.messages[:0]
	for i := range count {
		length := min(int(s.headers[i].length), messageSize)
		m, ok := parse(s.buffers[i][:length], s.senders[i].Pid, s.senders[i].Groups)
		if ok {
			m.cut = s.headers[i].header.Flags&unix.MSG_TRUNC != 0
			s.messages = append(s.messages, m)
		}
	}
	return s.messages, count < batchSize, nil
}

// receiveBy waits for messages until a deadline, and returns how many there are.
func (s *socket) receiveBy(deadline time.Time) (int, error) {
	for !s.closed.Load() {
		count, err := receiveMany(s.fd, &s.headers)
		if !errors.Is(err, unix.EAGAIN) {
			return count, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return 0, errTimeout
		}
		ready := []unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLIN}, {Fd: int32(s.wake), Events: unix.POLLIN}}
		if _, err := unix.Poll(ready, int(left.Milliseconds())+1); err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
	}
	return 0, os.ErrClosed
}

// receiveMany is recvmmsg(2), which golang.org/x/sys does not have.
func receiveMany(fd int, headers *[batchSize]multiHeader) (int, error) {
	for {
		count, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd),
			uintptr(unsafe.Pointer(headers)), uintptr(len(headers)), unix.MSG_DONTWAIT, 0, 0) //nolint:gosec // a system call
		switch errno {
		case 0:
			return int(count), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Send implements libaudit.NetlinkSender.
func (s *socket) Send(m syscall.NetlinkMessage) (uint32, error) {
	s.sequence++
	m.Header.Seq = s.sequence
	m.Header.Len = uint32(unix.NLMSG_HDRLEN + len(m.Data))
	datagram := make([]byte, 0, m.Header.Len)
	datagram = append(datagram, (*[unix.NLMSG_HDRLEN]byte)(unsafe.Pointer(&m.Header))[:]...) //nolint:gosec // as go-libaudit does
	datagram = append(datagram, m.Data...)
	return s.sequence, s.control(func(fd int) error {
		return unix.Sendto(fd, datagram, unix.MSG_DONTWAIT, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
}

// SendNoWait implements libaudit.NetlinkSender.
func (s *socket) SendNoWait(m syscall.NetlinkMessage) (uint32, error) { return s.Send(m) }

// Receive implements libaudit.NetlinkReceiver. Answers arrive among the records, see receive.
func (s *socket) Receive(bool, libaudit.NetlinkParser) ([]syscall.NetlinkMessage, error) {
	return nil, errors.ErrUnsupported
}

// Close implements io.Closer.
func (s *socket) Close() error { return s.close() }

// close implements transport.
func (s *socket) close() error {
	if s.closed.Swap(true) {
		return os.ErrClosed
	}
	one := binary.NativeEndian.AppendUint64(nil, 1)
	_, err := unix.Write(s.wake, one)
	s.receiving.Lock()
	defer s.receiving.Unlock()
	return errors.Join(err, unix.Close(s.fd), unix.Close(s.wake))
}

func (s *socket) control(do func(fd int) error) error {
	if s.closed.Load() {
		return os.ErrClosed
	}
	return do(s.fd)
}
