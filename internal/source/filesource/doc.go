// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package filesource follows the log that auditd writes.
//
// It exists beside contrib's fileconsumer because that one acknowledges lines
// one at a time, while here a place in the file may only be forgotten once the
// event that its records belong to has been delivered; and because auditd's
// rotation has a fixed order, which allows to read the files in the order in
// which they were written.
//
// # Guarantees
//
//   - Lines are read in the order they were written, over any number of rotations
//     by rename, with or without compression, and over copytruncate as far as the
//     copy still exists. The file that comes next is held open, so that it may
//     even be removed.
//   - The checkpoint never passes a record whose event has not been delivered.
//     After a crash some events are delivered again, none is left out.
//   - A line is taken only when its line feed has been written, or when the file
//     was rotated away, or at the end of a log that is not followed; then the
//     checkpoint stays before it.
//   - Memory is bounded, whatever the length of the file or of a line. Lines of up
//     to 64 KiB are taken whole.
//   - Whatever is found missing is counted, and written to the collector's log.
//
// # Not guaranteed
//
//   - What is rotated out of existence before it was read is gone. That it was
//     can only be guessed, when the file that was read last has no name any more:
//     it is counted once for all the files that may be missing.
//   - What is written between logrotate's copy and its truncation is gone, and
//     nobody can tell; logrotate's manual says so.
//   - Rotated files with a date for a number are not read: their order is not
//     auditd's.
package filesource
