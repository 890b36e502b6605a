// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !(amd64 || arm64)

package diagnosis

import "errors"

func tryBPF() error { return errors.New("no programs for this machine") }

func tryMemory() error { return errors.New("no programs for this machine") }

func explainBPF(err error) BPF { return BPF{Problem: BPFUnsupported, Error: err.Error()} }
