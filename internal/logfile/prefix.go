// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

// PrefixLength is how much of a file's beginning identifies it. The first line of an audit
// log contains a time and a serial with which no other log begins.
const PrefixLength = 1024

// Prefix returns the beginning of a file; of a compressed one, the beginning of its text.
func Prefix(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if Compressed(path) {
		return UnpackedPrefix(path, file)
	}
	return ReadPrefix(file)
}

// ReadPrefix returns the beginning of an open file.
func ReadPrefix(file io.ReaderAt) ([]byte, error) {
	prefix := make([]byte, PrefixLength)
	n, err := file.ReadAt(prefix, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return prefix[:n], nil
}

// UnpackedPrefix is ReadPrefix for a compressed file. It leaves the file at its start.
func UnpackedPrefix(path string, file *os.File) ([]byte, error) {
	unpacked, err := UnpackFile(path, file)
	if err != nil {
		return nil, err
	}
	prefix := make([]byte, PrefixLength)
	n, err := io.ReadFull(unpacked, prefix)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return prefix[:n], err
}

// Settled returns the part of a file's prefix that distinguishes it from others: a line
// that is still being written may be the beginning of any line.
func Settled(prefix []byte) []byte {
	if len(prefix) == PrefixLength {
		return prefix
	}
	return prefix[:bytes.LastIndexByte(prefix, '\n')+1]
}

// FirstStamp returns the stamp of the first record that can be read whole.
func FirstStamp(prefix []byte) (auditrecord.Stamp, bool) {
	for line := range bytes.Lines(Settled(prefix)) {
		if record, err := auditrecord.Parse(line); err == nil {
			return record.Stamp, true
		}
	}
	return auditrecord.Stamp{}, false
}

// Fill reads until buf is full, or nothing more can be read: gzip's reader returns little at a time.
func Fill(from io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = from.Read(buf[n:])
		n += more
	}
	return n, err
}
