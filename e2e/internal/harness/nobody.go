// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

// NobodyID is a user without rights.
const NobodyID = 65534
