// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditcontrol

import (
	"errors"
	"syscall"
	"time"

	"github.com/elastic/go-libaudit/v2"
)

// attempts is how often prompt checks for an answer before it gives up.
const attempts = 50

// prompt checks every millisecond for the answers that a kernel thread gives
// (audit_send_reply of kernel/audit.c). That takes microseconds, but once go-libaudit has
// checked too early, it checks again only after 50 ms; and it does not expose its socket,
// on which one could wait.
type prompt struct{ libaudit.NetlinkSendReceiver }

// Receive implements libaudit.NetlinkReceiver.
func (p prompt) Receive(nonBlocking bool, parse libaudit.NetlinkParser) (messages []syscall.NetlinkMessage, err error) {
	for range attempts {
		messages, err = p.NetlinkSendReceiver.Receive(nonBlocking, parse)
		if !errors.Is(err, syscall.EAGAIN) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return messages, err
}
