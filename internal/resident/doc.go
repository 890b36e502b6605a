// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package resident keeps the resident memory of this process small.
package resident
