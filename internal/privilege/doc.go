// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package privilege tells which rights the collector lacks, and how it is given
// them.
package privilege
