// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package pluginsource reads the records that auditd's af_unix plugin writes to a Unix socket,
// as they come, one per line. It needs no capability, only the right to connect to the socket.
//
//	socket -> reader -> scanner -> queue -> Run -> deliver
//
// auditd blocks while the socket is full, and its own queue fills meanwhile (auditd-plugins(5)).
// So the reader has a goroutine of its own, which never waits for the pipeline: events that do
// not fit into the queue are dropped and counted.
//
// # Guarantees
//
//   - auditd never waits for the pipeline.
//   - When auditd ends or restarts, the source connects again.
//   - An event that may lack records because a connection ended is marked as incomplete.
//   - Memory is bounded, whatever the length of a line.
//
// # Not guaranteed
//
//   - What is recorded while there is no connection is missed, and nobody can count it: auditd
//     sends no record twice.
//   - The plugin serves one reader. Up to auditd 3.1 a second one waits, and is sent nothing;
//     later versions close its connection at once.
//   - Up to auditd 3.1 the plugin notices that its reader is gone only when it writes the next
//     record, which is lost, as are those up to the moment when it accepts another connection
//     (audisp/audispd-builtins.c, send_af_unix_string).
package pluginsource
