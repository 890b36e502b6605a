// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditcontrol

import (
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
)

// slow is a kernel whose answer arrives after the given number of vain checks.
type slow struct {
	libaudit.NetlinkSendReceiver
	vain int
	err  error
}

func (s *slow) Receive(bool, libaudit.NetlinkParser) ([]syscall.NetlinkMessage, error) {
	if s.vain > 0 {
		s.vain--
		return nil, syscall.EAGAIN
	}
	return []syscall.NetlinkMessage{{}}, s.err
}

func TestPrompt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kernel slow
		takes  time.Duration
		err    error
	}{
		"at once":  {slow{}, 0, nil},
		"soon":     {slow{vain: 3}, 3 * time.Millisecond, nil},
		"not soon": {slow{vain: 1000}, attempts * time.Millisecond, syscall.EAGAIN},
		"in vain":  {slow{vain: 1, err: syscall.ENOBUFS}, time.Millisecond, syscall.ENOBUFS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				_, err := prompt{&tt.kernel}.Receive(true, nil)
				assert.Equal(t, tt.err, err)
				assert.Equal(t, tt.takes, time.Since(began))
			})
		})
	}
}
