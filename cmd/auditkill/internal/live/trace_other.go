// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !(amd64 || arm64)

package live

import "errors"

// ebpf is for kernels and processors that there are programs for.
func (*Watch) ebpf() candidate {
	return candidate{name: EBPF, check: func() error { return errors.New("only on Linux, x86-64 and arm64") }}
}
