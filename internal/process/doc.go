// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package process knows what the host knows about processes and users beyond
// the events themselves.
package process
