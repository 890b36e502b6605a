// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditfile follows the log that auditd writes.
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
//     by rename, and over copytruncate as far as the copy still exists.
//   - The checkpoint never passes a record whose event has not been delivered.
//     After a crash some events are delivered again, none is left out.
//   - A line is taken only when its line feed has been written, or when the file
//     was rotated away.
//   - Memory is bounded, whatever the length of the file or of a line.
//
// # Not guaranteed
//
//   - What is rotated out of existence before it was read is gone; it is counted.
//   - What is written between logrotate's copy and its truncation is gone;
//     logrotate's manual says so.
package auditfile
