// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// Format is how a file is compressed.
type Format string

const (
	Plain Format = ""
	Gzip  Format = ".gz"
	XZ    Format = ".xz"
	Zstd  Format = ".zst"
)

// MagicLength is how many bytes at the beginning of a file show its format.
const MagicLength = 6

// maxWindow bounds the memory for what has been unpacked and may be repeated. xz -9 and zstd --ultra take 64 and 128 MB; no
// rotation uses either by default.
const maxWindow = 128 << 20

// magics begin data of a format (RFC 1952, the .xz file format, RFC 8878).
var magics = map[Format]string{Gzip: "\x1f\x8b", XZ: "\xfd7zXZ\x00", Zstd: "\x28\xb5\x2f\xfd"}

// FormatOf returns the format of data by its first MagicLength bytes.
func FormatOf(begin []byte) Format {
	for format, magic := range magics {
		if bytes.HasPrefix(begin, []byte(magic)) {
			return format
		}
	}
	return Plain
}

// Compressed reports whether a file is compressed, by its name.
func Compressed(path string) bool { return formatByName(path) != Plain }

func formatByName(path string) Format {
	format := Format(filepath.Ext(path))
	if _, ok := magics[format]; ok {
		return format
	}
	return Plain
}

// UnpackFile returns the text of a compressed file, whose name shows its format.
func UnpackFile(path string, in io.Reader) (io.Reader, error) { return Unpack(formatByName(path), in) }

// Unpack returns the text of compressed data. It takes no goroutine and need not be closed.
func Unpack(format Format, in io.Reader) (io.Reader, error) {
	switch format {
	case Gzip:
		return gzip.NewReader(in)
	case XZ:
		return newXZReader(in)
	case Zstd:
		return zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	case Plain:
	}
	return nil, fmt.Errorf("%q is no format of compressed files that can be read", format)
}

// xzReader says of a file that has no end yet what the other formats say of one.
type xzReader struct{ *xz.Reader }

func newXZReader(in io.Reader) (io.Reader, error) {
	r, err := xz.NewReader(in, maxWindow)
	if err != nil {
		return nil, withoutEnd(err)
	}
	return xzReader{r}, nil
}

func (r xzReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	return n, withoutEnd(err)
}

// withoutEnd adds io.ErrUnexpectedEOF to an error that may mean the same.
func withoutEnd(err error) error {
	if errors.Is(err, xz.ErrBuf) {
		return fmt.Errorf("%w: %w", err, io.ErrUnexpectedEOF)
	}
	return err
}
