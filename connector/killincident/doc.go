// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:generate go tool -modfile=../../tools/go.mod mdatagen metadata.yaml

// Package killincident is a connector that joins records of the audit_kill receiver that belong together, over
// processes and hosts, into one kill.incident record each, and counts them as metrics.
package killincident
