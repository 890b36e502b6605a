// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package kill holds the plain types that all packages share: a signal event, its sender and
// its targets. It knows nothing about where events come from or where they go.
package kill
