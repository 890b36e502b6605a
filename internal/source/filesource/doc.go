// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package filesource follows the log that auditd writes.
//
// It exists beside contrib's fileconsumer for two reasons. That one acknowledges single
// lines, while here a place in the file may be forgotten only once the event that its
// records belong to has been delivered. And auditd's rotation has a fixed order, so that
// the files can be read in the order in which they were written.
//
// # Guarantees
//
//   - Lines are read in the order in which they were written, over any number of
//     rotations by rename, with or without compression, and over copytruncate as
//     long as the copy exists. The next file is kept open, so that it can be read
//     even if it is removed.
//   - The checkpoint never passes a record whose event has not been delivered.
//     After a crash some events are delivered again, but none is missing.
//   - Facts come in order with the events, and after a restart those that still
//     matter are told again first, as they were at the checkpoint. If events wait
//     for facts (correlate.Config.Wait), the checkpoint stays before them.
//   - A line is read only once its line feed has been written, once the file was
//     rotated away, or at the end of a log that is not followed; in the last case
//     the checkpoint stays before it.
//   - Memory is bounded, however long the file or a line. Lines of up to 64 KiB are
//     read whole.
//   - Whatever is found missing is counted and logged.
//
// # Not guaranteed
//
//   - What was rotated out of existence before it was read is gone. The source can
//     only infer that, when the file that was read last no longer has a name: it
//     counts this once for all the files that may be missing.
//   - What is written between logrotate's copy and its truncation is gone without a
//     trace, as logrotate's manual says.
//   - Rotated files with a date instead of a number are not read: their order is not
//     auditd's.
package filesource
