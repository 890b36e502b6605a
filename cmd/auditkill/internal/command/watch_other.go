// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package command

import (
	"context"
	"io"
)

// untilUnread does nothing: writing fails when nothing reads the output.
func untilUnread(ctx context.Context, _ io.Writer) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
