// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package live

import "errors"

var errOnlyLinux = errors.New("only on Linux")

func checkEBPF() error { return errOnlyLinux }

func checkNetlink(string) error { return errOnlyLinux }

func (*Config) adviseFile() {}
