// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package rendering knows how other programs than auditd render audit records. What they have kept it reads: the journal's
// lines, as text and as JSON. Of the rest it says which program's it seems to be, and which command prints records instead.
package rendering
