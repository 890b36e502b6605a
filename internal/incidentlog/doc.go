// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package incidentlog reads log records of the receiver for internal/incident, and writes its incidents as log records. Records
// may come from anybody: what has another type than expected is taken for absent.
package incidentlog
