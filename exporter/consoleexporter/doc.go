// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../tools/go.mod mdatagen metadata.yaml

// Package consoleexporter is an exporter that writes one line for each log record, and nothing else, to standard output: to a terminal,
// a container's log or the journal.
package consoleexporter
