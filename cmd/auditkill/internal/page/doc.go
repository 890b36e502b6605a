// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package page writes one page of HTML for a ticket: a timeline, and a table with who has sent which signal to whom, who was
// behind it, and why. The page needs no other file, no network and, but for its search, no script. Everything in it that comes
// from a log is foreign: html/template escapes it, and a policy in the page itself forbids any other script.
package page
