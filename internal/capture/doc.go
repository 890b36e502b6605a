// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package capture sees signals and what becomes of their targets. It is the one engine of the
// collector's receiver and of `auditkill watch`: it knows no configuration keys, no flags and
// nothing of OpenTelemetry.
//
//	candidate   the sources that may be opened, and why one was not
//	capture     what is open, from Open to Close
//	run         the way of an observation to the Handler
//	outcomes    what becomes of the targets of fatal signals, also over a restart
//	guard       the audit rules, for as long as they are needed
//
// What goes wrong is a problem.Problem or a source.Loss; whoever runs the engine words it.
package capture
