// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package privilege determines which rights the collector lacks, and how to grant them.
package privilege
