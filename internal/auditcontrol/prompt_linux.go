// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditcontrol

import (
	"errors"
	"syscall"
	"time"

	"github.com/elastic/go-libaudit/v2"
)

// looks is how often prompt looks for an answer before it says that there is none.
const looks = 50

// prompt looks every millisecond for the answers that a kernel thread gives
// (audit_send_reply of kernel/audit.c): that takes microseconds, but where go-libaudit has
// looked before, it looks again after 50 ms. The socket, which could be waited for, is its
// own.
type prompt struct{ libaudit.NetlinkSendReceiver }

// Receive implements libaudit.NetlinkReceiver.
func (p prompt) Receive(nonBlocking bool, parse libaudit.NetlinkParser) (messages []syscall.NetlinkMessage, err error) {
	for range looks {
		messages, err = p.NetlinkSendReceiver.Receive(nonBlocking, parse)
		if !errors.Is(err, syscall.EAGAIN) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return messages, err
}
