// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// message is one datagram from the kernel.
type message struct {
	// kind is the type of the record (include/uapi/linux/audit.h), or of one of netlink's
	// own messages.
	kind uint16
	// sequence is that of the request that this answers; 0 for a record.
	sequence uint32
	// multicast is true for a copy sent to all listeners, false for what was sent to the
	// audit daemon, or as an answer.
	multicast bool
	// cut is true if the end is missing.
	cut bool
	// data is valid until the next call of receive.
	data []byte
}

// errTimeout is what receive returns if the deadline passes first.
var errTimeout = errors.New("timeout")

// transport is the socket, so that tests can replace it.
type transport interface {
	// receive waits until there are messages or the deadline has passed, and returns the
	// messages that are there. emptied is true if there are no more. It returns
	// unix.ENOBUFS once after the kernel found no room for a message, and os.ErrClosed
	// after close.
	receive(deadline time.Time) (messages []message, emptied bool, err error)
	// join starts listening beside the audit daemon, leave ends that.
	join() error
	leave() error
	// register makes this process the audit daemon, unregister ends that. Both return the
	// sequence number of the answer, which arrives through receive.
	register() (uint32, error)
	unregister() (uint32, error)
	close() error
}

// parse splits a datagram. It returns false for anything that is not a netlink message from
// the kernel. For records the length in the header is that of the text alone
// (kernel/audit.c, audit_log_end), so it is not used.
func parse(datagram []byte, port, groups uint32) (message, bool) {
	if len(datagram) < unix.NLMSG_HDRLEN || port != 0 {
		return message{}, false
	}
	return message{
		kind:      binary.NativeEndian.Uint16(datagram[4:]),
		sequence:  binary.NativeEndian.Uint32(datagram[8:]),
		multicast: groups != 0,
		data:      datagram[unix.NLMSG_HDRLEN:],
	}, true
}

// answer returns the error in an answer, nil for success.
func answer(data []byte) error {
	if len(data) < 4 {
		return errors.New("audit: the kernel's answer is cut")
	}
	if number := int32(binary.NativeEndian.Uint32(data)); number != 0 {
		return unix.Errno(-number)
	}
	return nil
}
