// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package capture

import (
	"context"
	"sync"
)

// memory does not exist here.
type memory struct{}

func (*Capture) openMemory(context.Context) {}

func (*Capture) watchMemory(context.Context, *sync.WaitGroup) {}

func (*Capture) closeMemory() error { return nil }

// daemon returns 0: there is none.
func daemon() int { return 0 }
