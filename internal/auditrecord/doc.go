// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditrecord reads single records of the Linux audit system: the
// bytes of one line go in, typed fields come out.
//
// It exists beside go-libaudit's auparse because a receiver has to check every record of
// the host while only a few are signals: auparse builds a map of strings for each record,
// this package allocates nothing. The tables of architectures, system calls and errors are
// go-libaudit's.
//
// Fields that hold text are returned as the undecoded bytes of the line, and are valid only
// as long as the line is. Decode turns them into text.
package auditrecord
