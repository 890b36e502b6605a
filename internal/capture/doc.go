// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package capture captures signals and their outcomes. It is the engine of both the
// collector's receiver and `auditkill watch`, and knows nothing of configuration keys, flags
// and OpenTelemetry.
//
//	candidate   the sources to try, and why one could not be opened
//	capture     what is open from Open to Close
//	run         from an observation of the source to the Handler
//	outcomes    the outcomes of fatal signals, kept over a restart
//	guard       the audit rules, loaded as long as they are needed
//
// Failures are a problem.Problem, losses a source.Loss. The receiver and the command put them
// into words.
package capture
