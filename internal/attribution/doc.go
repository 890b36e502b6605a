// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package attribution finds out who and what is behind a signal whose sender only carries it out, such as
// systemd. It is one bounded table of facts, which any source may tell, and a few rules that join them with
// an event. docs/behind.md describes what is known of each cause, and how.
package attribution
