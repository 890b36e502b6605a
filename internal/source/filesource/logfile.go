// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
)

// errTruncated means that the bytes before the read offset are no longer those that were read.
var errTruncated = errors.New("file was truncated")

// errDamaged means that a compressed file cannot be read, or not to its end.
var errDamaged = errors.New("damaged compressed file")

// logFile is one open file of the log.
type logFile struct {
	path string
	file *os.File
	info fs.FileInfo
	// number is the number that it had been rotated to when it was opened, 0 for the live file.
	number int
	// unzipped is nil unless the file is compressed. Offsets then count uncompressed bytes,
	// so that they hold for the file before and after its compression.
	unzipped io.Reader
	// damage is why a compressed file ends early, until it has been reported.
	damage error
	// emptied is true once the loss of the rest of the file has been reported.
	emptied bool
	// offset is where the next read begins.
	offset int64
	// base is the stream position of the file's first byte.
	base correlate.Position
	// prefix is the beginning of the file, as far as it has been seen.
	prefix []byte
}

// openLogFile opens a file to be read from offset. Damage in a compressed file shows only
// when it is read.
func openLogFile(e logfile.File, offset int64) (*logFile, error) {
	file, err := os.Open(e.Path)
	if err != nil {
		return nil, logfile.Explain(err)
	}
	f := &logFile{path: e.Path, file: file, number: e.Number, offset: offset}
	if err := f.begin(); err != nil {
		return nil, errors.Join(logfile.Explain(err), file.Close())
	}
	return f, nil
}

func (f *logFile) begin() (err error) {
	if f.info, err = f.file.Stat(); err != nil {
		return err
	}
	if !logfile.Compressed(f.path) {
		f.prefix, err = logfile.ReadPrefix(f.file)
		return err
	}
	if f.prefix, err = logfile.UnpackedPrefix(f.path, f.file); err == nil {
		err = f.unzip()
	}
	if err != nil {
		f.damaged(err)
	}
	return nil
}

// unzip begins to read a compressed file at the offset.
func (f *logFile) unzip() (err error) {
	if f.unzipped, err = logfile.UnpackFile(f.path, f.file); err != nil {
		return err
	}
	if _, err = io.CopyN(io.Discard, f.unzipped, f.offset); errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// damaged makes the next read return the error, and ends the file there.
func (f *logFile) damaged(err error) {
	f.damage = fmt.Errorf("%s: %w: %w", f.path, errDamaged, err)
	f.unzipped = bytes.NewReader(nil)
}

// readable returns an error if a log cannot be read, even if it is still empty.
func readable(path string) error {
	if _, err := logfile.Regular(path); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return logfile.Explain(err)
	}
	return file.Close()
}

// read fills buf from the current offset. It returns io.EOF if there is nothing more for
// now; errTruncated, with no bytes, if what was read before is no longer there; and
// errDamaged once if the rest cannot be read.
func (f *logFile) read(buf []byte) (int, error) {
	if f.unzipped != nil {
		return f.readUnzipped(buf)
	}
	n, err := f.file.ReadAt(buf, f.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	// Checked only after reading: if the beginning is still the same, the bytes just read
	// are not those of a file that was emptied and grew again.
	if err := f.checkPrefix(); err != nil {
		return 0, err
	}
	f.offset += int64(n)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (f *logFile) readUnzipped(buf []byte) (int, error) {
	if damage := f.damage; damage != nil {
		f.damage = nil
		return 0, damage
	}
	n, err := logfile.Fill(f.unzipped, buf)
	f.offset += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		f.damaged(err)
		err = nil
	}
	if n == 0 && err == nil {
		return f.readUnzipped(buf)
	}
	return n, err
}

func (f *logFile) checkPrefix() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() < f.offset {
		return errTruncated
	}
	prefix, err := logfile.ReadPrefix(f.file)
	if err != nil {
		return err
	}
	if !extends(f.prefix, prefix) {
		return errTruncated
	}
	f.prefix = prefix
	return nil
}

// seekEnd moves past the last whole line, so that a line that is still being written is
// later read whole.
func (f *logFile) seekEnd() error {
	if f.unzipped != nil {
		skipped, err := io.Copy(io.Discard, f.unzipped)
		f.offset += skipped
		if err != nil {
			f.damaged(err)
		}
		return nil
	}
	info, err := f.file.Stat()
	if err != nil {
		return logfile.Explain(err)
	}
	tail := make([]byte, min(info.Size(), logfile.MaxLine))
	f.offset = info.Size() - int64(len(tail))
	n, err := f.file.ReadAt(tail, f.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return logfile.Explain(err)
	}
	f.offset += int64(bytes.LastIndexByte(tail[:n], '\n') + 1)
	return nil
}

// identity returns what recognizes the file later.
func (f *logFile) identity() identity {
	device, inode := inodeOf(f.info)
	return identityOf(f.prefix, device, inode)
}

// begun reports whether the file holds a whole line.
func (f *logFile) begun() bool { return f.identity().Length > 0 }

// position returns the stream position of the next read.
func (f *logFile) position() correlate.Position { return f.base + correlate.Position(f.offset) }

// behind returns how many bytes of the file have not been read yet; 0 for a compressed
// file, where that is not known.
func (f *logFile) behind() int64 {
	info, err := f.file.Stat()
	if err != nil || f.unzipped != nil {
		return 0
	}
	return max(0, info.Size()-f.offset)
}

func (f *logFile) close() error { return f.file.Close() }
