// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package oomwatch reports kills for lack of memory as the kernel's log tells of them, for sources that see only what
// processes send. It reads /dev/kmsg from the moment of its start.
package oomwatch
