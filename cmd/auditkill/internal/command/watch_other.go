// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package command

import (
	"context"
	"io"
)

// untilUnread lets writing find out that nobody reads.
func untilUnread(ctx context.Context, _ io.Writer) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}
