// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package live

import (
	"context"
	"errors"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// netlink is Linux's.
func (*Watch) netlink(mode string) candidate {
	if mode == Auto {
		mode = eitherNetlink
	}
	return candidate{name: mode, check: func() error { return errors.New("only on Linux") }}
}

func (*Watch) adviseFile() {}

// guard exists on Linux only.
type guard struct{}

func (*guard) install() []string { return nil }

func (*guard) run(context.Context, source.Deliver) {}

func (*guard) close() error { return nil }
