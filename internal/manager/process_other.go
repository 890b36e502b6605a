// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package manager

import (
	"errors"
	"net"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// process is never there: only Linux has systemd.
type process struct {
	pid, inner      int
	host, nested    bool
	user, innerUser uint32
}

type version struct{}

func openProcess(string, int) (*process, error) { return nil, errors.ErrUnsupported }

func (*process) close()      {}
func (*process) alive() bool { return false }

func (*process) parties() []party { return nil }

func (*process) dial(string) (net.Conn, error) { return nil, errors.ErrUnsupported }

func (*process) file(string, int64, version) ([]byte, version, error) {
	return nil, version{}, errors.ErrUnsupported
}

func (*process) userOf(int) kill.ID { return kill.ID{} }

func (*process) loginOf(int, kill.ID) (login, session kill.ID, his bool) {
	return kill.ID{}, kill.ID{}, true
}

type translator struct{}

func (*translator) outer(*process, int) int { return 0 }
