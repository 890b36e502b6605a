// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func open(t *testing.T) *os.File {
	t.Helper()
	control, tty, err := pty.Open()
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, tty.Close())
		require.NoError(t, control.Close())
	})
	return tty
}

func TestOf(t *testing.T) {
	for name, tt := range map[string]struct {
		noColor, term string
		color         bool
	}{
		"a terminal":           {"", "xterm", true},
		"the user says no":     {"1", "xterm", false},
		"the terminal says no": {"", "dumb", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NO_COLOR", tt.noColor)
			t.Setenv("TERM", tt.term)
			tty := open(t)
			require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 80}))
			on := Of(tty)
			assert.True(t, on.IsTerminal)
			assert.Equal(t, tt.color, on.Color)
			assert.Equal(t, 80, on.Width())
			require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 200}))
			assert.Equal(t, 200, on.Width(), "it was resized")
			want := "text"
			if tt.color {
				want = "\x1b[31mtext\x1b[0m"
			}
			assert.Equal(t, want, on.Paint(Red, "text"))
			assert.Equal(t, "text", on.Paint(Plain, "text"))
			assert.Empty(t, on.Paint(Red, ""))
		})
	}
}

func TestOfOthers(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	require.NoError(t, err)
	defer file.Close()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	assert.Equal(t, Terminal{}, Of(file))
	assert.Equal(t, Terminal{}, Of(writer))
	assert.Equal(t, Terminal{}, Of(new(bytes.Buffer)))
	assert.Zero(t, Of(writer).Width())
	assert.Equal(t, "text", Of(writer).Paint(Red, "text"))
}
