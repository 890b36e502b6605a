// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package kill holds the plain types that every part of the receiver shares:
// what a signal event is, who sent it and whom it struck. It knows nothing of
// where events come from or where they go.
package kill
