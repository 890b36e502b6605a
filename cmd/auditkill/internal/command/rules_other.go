// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package command

import (
	"errors"
	"io"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func checkRules(io.Writer, []kill.Signal, string, string) error {
	return errors.New("--check: only Linux has audit rules")
}
