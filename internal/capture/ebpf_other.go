// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package capture

import (
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// errNoPrograms is returned where there are no eBPF programs for the kernel.
var errNoPrograms = &problem.Problem{What: "only on Linux, x86-64 and arm64", Advice: []problem.Advice{problem.UseNetlink}}

func (EBPF) source(*Capture, *Candidate) source.Source { return unavailable{errNoPrograms} }
