// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

// programs puts shell scripts into the path that stand in for journalctl and dmesg.
func programs(t *testing.T, scripts map[string]string) {
	t.Helper()
	folder := t.TempDir()
	for name, script := range scripts {
		audittest.WriteProgram(t, filepath.Join(folder, name), []byte("#!/bin/sh\n"+script+"\n"))
	}
	t.Setenv("PATH", folder)
}

// The kernel's log is what journalctl shows, or dmesg if that shows nothing.
func TestKernel(t *testing.T) {
	for name, test := range map[string]struct {
		scripts  map[string]string
		want     string
		open     string
		closing  string
		deadline time.Time
	}{
		"the journal": {scripts: map[string]string{"journalctl": `echo "$@"`, "dmesg": "echo no"}, want: "--quiet --no-pager --output=json _TRANSPORT=kernel\n"},
		"until a time": {
			scripts: map[string]string{"journalctl": `echo "$@"`}, deadline: time.Unix(5, 0),
			want: "--quiet --no-pager --output=json _TRANSPORT=kernel --until=@6\n",
		},
		"an empty journal":    {scripts: map[string]string{"journalctl": "true", "dmesg": "echo yes"}, want: "yes\n"},
		"a journal that ends": {scripts: map[string]string{"journalctl": "echo one; echo broken >&2; exit 3", "dmesg": "echo no"}, want: "one\n", closing: "journalctl: exit status 3: broken"},
		"no journal":          {scripts: map[string]string{"dmesg": "echo yes"}, want: "yes\n"},
		"no right": {
			scripts: map[string]string{"journalctl": "true", "dmesg": "echo not permitted >&2; exit 1"},
			open:    "journalctl shows nothing of it to this user",
		},
		"no right, no journal": {scripts: map[string]string{"dmesg": "echo not permitted >&2; exit 1"}, open: "dmesg: exit status 1: not permitted"},
		"neither":              {open: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			programs(t, test.scripts)
			k, err := OpenKernel(t.Context(), test.deadline)
			if test.open != "" {
				require.ErrorContains(t, err, test.open)
				return
			}
			require.NoError(t, err)
			read, err := io.ReadAll(k)
			require.NoError(t, err)
			assert.Equal(t, test.want, string(read))
			err = k.Close()
			if test.closing != "" {
				require.EqualError(t, err, test.closing)
			} else {
				require.NoError(t, err)
			}
		})
	}
}
