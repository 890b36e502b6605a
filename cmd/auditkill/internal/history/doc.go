// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package history reads what a collector has written to its host's disk with the file exporter: log records as lines
// of OTLP JSON, in a file that is rotated. It turns them back into events.
//
// The files belong to the service, and whoever took that over could write anything: nothing in them is trusted.
// Lines may be cut, where the collector was killed or the disk was full.
package history

import "path/filepath"

// Directory is where the packaged configurations write.
const Directory = "/var/lib/otelcol-auditkill/history"

// FileName is the name of the file that is written to.
const FileName = "events.json"

// Default is the file of the packaged service.
func Default() string { return filepath.Join(Directory, FileName) }
