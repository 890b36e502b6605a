// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package logfile

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// packed returns a text in a format.
func packed(tb testing.TB, format Format, text string) []byte {
	tb.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch format {
	case Gzip:
		w = gzip.NewWriter(&b)
	case XZ:
		w, err = xz.NewWriter(&b)
	case Zstd:
		w, err = zstd.NewWriter(&b)
	case Plain:
		return []byte(text)
	}
	require.NoError(tb, err)
	_, err = io.WriteString(w, text)
	require.NoError(tb, err)
	require.NoError(tb, w.Close())
	return b.Bytes()
}

func TestUnpack(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("type=CWD msg=audit(1700000000.000:1): cwd=\"/\"\n", 10_000)
	for _, format := range []Format{Gzip, XZ, Zstd} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			data := packed(t, format, text)
			assert.Equal(t, format, FormatOf(data[:MagicLength]))
			in, err := Unpack(format, bytes.NewReader(data))
			require.NoError(t, err)
			got, err := io.ReadAll(in)
			require.NoError(t, err)
			assert.Equal(t, text, string(got))

			in, err = Unpack(format, bytes.NewReader(data[:len(data)/2]))
			if err == nil {
				_, err = io.ReadAll(in)
			}
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, "half of it")

			path := filepath.Join(t.TempDir(), "audit.log.1"+string(format))
			require.NoError(t, os.WriteFile(path, data, 0o600))
			assert.True(t, Compressed(path))
			prefix, err := Prefix(path)
			require.NoError(t, err)
			assert.Equal(t, text[:PrefixLength], string(prefix))
		})
	}
	assert.Equal(t, Plain, FormatOf([]byte("type=C")))
	assert.False(t, Compressed("audit.log.1"))
	assert.False(t, Compressed("audit.log.bz2"))
	_, err := Unpack(Plain, strings.NewReader(""))
	require.Error(t, err)
}

func FuzzUnpack(f *testing.F) {
	for _, format := range []Format{Gzip, XZ, Zstd} {
		f.Add(string(format), packed(f, format, "type=CWD"))
	}
	f.Fuzz(func(t *testing.T, format string, data []byte) {
		if in, err := Unpack(Format(format), bytes.NewReader(data)); err == nil {
			_, err = io.CopyN(io.Discard, in, 1<<20)
			t.Log(err)
		}
	})
}

// TestMemoryForXZ has blocks claim that anything in the last gigabyte may be repeated, for which the file itself is small.
func TestMemoryForXZ(t *testing.T) {
	t.Parallel()
	const gigabyte = 36 // as the .xz file format, 5.3.1, encodes the size of a dictionary
	data := packed(t, XZ, "type=CWD msg=audit(1700000000.000:1): cwd=\"/\"\n")
	block := data[12:]
	header := block[:(int(block[0])+1)*4]
	const lzma2 = 0x21
	filter := 2 + bytes.IndexByte(header[2:], lzma2)
	header[filter+2] = gigabyte
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	in, err := Unpack(XZ, bytes.NewReader(data))
	if err == nil {
		_, err = io.ReadAll(in)
	}
	require.ErrorContains(t, err, "dictionary size exceeds max")
}
