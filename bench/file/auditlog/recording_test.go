// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const story = `type=CWD msg=audit(1450214919.813:147): cwd="/"
type=SYSCALL msg=audit(1450214920.001:148): syscall=62
type=OBJ_PID msg=audit(1450214920.001:148): opid=3936
`

func TestRepeat(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		killsOnly bool
		size      int64
		want      string
	}{
		"whole repetitions": {
			size: 1,
			want: story,
		},
		"time and serial move on": {
			size: int64(len(story)) + 1,
			want: story + `type=CWD msg=audit(1450214921.813:296): cwd="/"
type=SYSCALL msg=audit(1450214922.001:297): syscall=62
type=OBJ_PID msg=audit(1450214922.001:297): opid=3936
`,
		},
		"only events with a target": {
			killsOnly: true,
			size:      1,
			want: `type=SYSCALL msg=audit(1450214920.001:148): syscall=62
type=OBJ_PID msg=audit(1450214920.001:148): opid=3936
`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := newRecording(story, tt.killsOnly)
			require.NoError(t, err)
			var out strings.Builder
			require.NoError(t, r.repeat(&out, tt.size))
			assert.Equal(t, tt.want, out.String())
		})
	}
}

func TestNoRecording(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":          "",
		"no record":      "hello\n",
		"serial too big": "type=CWD msg=audit(1450214919.813:4294967296): cwd=\"/\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newRecording(text, false)
			require.Error(t, err)
		})
	}
}
