// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package oomwatch

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kernellog"
	"github.com/auditkill/auditkillreceiver/internal/process"
)

// maxHistory is more messages than the kernel's buffer holds by default (CONFIG_LOG_BUF_SHIFT).
const maxHistory = 1 << 17

// History is what the kernel's log of this boot still holds. It is read when it is first needed. Where that is not
// possible it is empty. It is safe for concurrent use.
type History struct {
	once     sync.Once
	messages map[message]bool
}

type message struct {
	sinceBoot time.Duration
	text      string
}

// Has reports whether the log has a message.
func (h *History) Has(sinceBoot time.Duration, text string) bool {
	h.once.Do(h.read)
	return h.messages[message{sinceBoot, text}]
}

// Time returns when a message of this boot was written, by the clock as it is set now. The log's clock may have drifted
// away by seconds.
func (*History) Time(sinceBoot time.Duration) time.Time { return process.BootTime().Add(sinceBoot) }

func (h *History) read() {
	h.messages = map[message]bool{}
	fd, err := unix.Open(filepath.Join("/", device), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	file := os.NewFile(uintptr(fd), device)
	defer file.Close()
	buffer := make([]byte, maxRecord)
	for len(h.messages) < maxHistory {
		n, err := unix.Read(fd, buffer) // which does not wait
		if errors.Is(err, unix.EPIPE) {
			continue
		}
		if err != nil {
			return
		}
		if r, err := kernellog.ParseRecord(buffer[:n]); err == nil {
			h.messages[message{r.SinceBoot, r.Text}] = true
		}
	}
}
